"""The tab of the networks themselves: what is here, more of them from the Hub, and a visitor's own for the visit."""

import base64
import functools
import html
import io
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import gradio as gr
import torch

from .. import checkpoints, fixed, hub, images, networks, weights
from ..errors import CheckpointError, InputError, StyleTransferError
from . import common

TITLE = "Models"
ABOUT = "The networks that paint here, where they come from, and room for others."
KINDS = {"johnson": "Fixed style", "multimodal": "Fixed style, three sizes", "cyclegan": "Fixed style, both ways",
         "adain": "Any style (AdaIN)", "wct": "Any style (WCT)", "encoder": "Sees the pictures"}
FACTS = {"credit": "Painting", "trained_on": "Trained on", "command": "By the command", "started_from": "Started from",
         "averaged": "Averaged"}  # of a header, in this order
COLUMNS = ("Model", "Kind", "From", "Licence", "MB")
YOURS = "yours"
SCRIPT = Path(__file__).with_name("models.js").read_text()
THUMBNAIL = 160  # pixels

# Of a visitor's own network. It bounds the work as well: the largest that fits takes a third longer than a shipped one.
OWN_BYTES, OWN_COUNT = 10_000_000, 5
# Of what is fetched at once.
PULL_BYTES, PULL_FILES, SPARE_BYTES = 500_000_000, 200, 1_000_000_000
HERE = ("127.0.0.1", "::1", "localhost")
PROXY = ("forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host")
OFF = ("Fetching is for those who run this app: on a machine of one's own it works as it is, for a public app its owner "
       "sets STYLE_TRANSFER_PULL=1.")
ONE_AT_A_TIME = dict(concurrency_id="models", concurrency_limit=1)


class Visit(NamedTuple):
    """What a visitor has added: kept with the visit, seen by nobody else."""

    own: dict = {}  # {label: path of the upload}
    pulls: int = 0  # so that a change of it is seen


def available():
    """Always: there is something to list, or to be fetched."""
    return True


def named(style, visit=None):
    """The path of a fixed style, one of the visit's own or a name as `weights.named` takes it. Raises InputError, HubError."""
    if visit is None or style not in visit.own:
        return weights.named(style, *networks.FIXED)
    path = Path(visit.own[style])
    if not path.is_file():
        raise InputError(f"Your network {path.stem} is no longer here, for uploads are kept for an hour: upload it again.")
    return path


def own_choices(visit):
    """[(title, label)] of the visit's own networks, for a list of styles."""
    return [(f"{_text(checkpoints.entry(path).title)} (yours)", label) for label, path in visit.own.items()
            if os.path.isfile(path)]


def may_pull(request):
    """Whether this gr.Request may add to the server's store: by the owner's word, else only from the machine itself."""
    word = os.environ.get("STYLE_TRANSFER_PULL")
    if word:
        return word == "1"
    asked = urlsplit(f"//{request.headers.get('host', '')}").hostname
    return (not os.environ.get("SPACE_ID") and request.client.host in HERE and asked in HERE
            and not any(name in request.headers for name in PROXY))


def _text(value, limit=300):
    """A header's text as it may be shown."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text if len(text) <= limit else f"{text[:limit]} ..."


def _json(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@functools.lru_cache(maxsize=256)
def _thumbnail(path, stamp):
    """A picture as a data URI, "" where it cannot be read."""
    try:
        small = images.to_pil(images.load(path, THUMBNAIL, common.MAX_PIXELS))
    except InputError:
        return ""
    small.save(out := io.BytesIO(), "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _facts(entry, header):
    """[(term, text)] of what a weight file says of itself; header: None where the file is not here."""
    facts = [("File", entry.file)]
    if header is None:
        return [*facts, ("Painting", entry.credit), ("Details", "are in the file, which is fetched when it is first used")]
    facts += [(term, header[key]) for key, term in FACTS.items() if header.get(key)]
    if header.get("minutes"):
        steps = f", {header['steps']} steps" if header.get("steps") else ""
        facts.append(("For", f"{header['minutes']} minutes on {header.get('device', 'a machine')}{steps}"))
    losses, arguments = _json(header.get("losses", "")), _json(header.get("arguments", ""))
    if isinstance(losses, dict):
        facts.append(("Figures at the end", ", ".join(f"{name} {value}" for name, value in losses.items())))
    if isinstance(arguments, dict):
        shape = ", ".join(f"{name} {value}" for name, value in arguments.items())
        facts.append(("Network", f"{header.get('architecture')}: {shape}"))
    return facts


def _row(number, entry, place, header, tile=None):
    """A model as two rows: what the columns say, and the details, which a click unfolds."""
    e = html.escape
    title, kind = e(_text(entry.title, 80)), e(_text(KINDS.get(entry.family, entry.family), 40))
    cells = [(kind, kind), (e(place), e(place)), (e(_text(entry.license or "not said", 40)),) * 2,
             (f"{entry.size / 1e6:.2g}", str(entry.size))]
    picture = _thumbnail(str(tile), checkpoints.stamp(tile)) if tile else ""
    picture = f'<img src="{picture}" alt="{title}" width="120">' if picture else ""
    facts = "".join(f"<div><dt>{e(term)}</dt><dd>{e(_text(text))}</dd></div>"
                    for term, text in [*_facts(entry, header), ("Licence", entry.license), ("From", place)] if text)
    return (f'<tbody><tr><td data-sort="{title}"><button type="button" aria-expanded="false" aria-controls="model-{number}">'
            f"{title}</button></td>" + "".join(f'<td data-sort="{key}">{text}</td>' for text, key in cells)
            + f'</tr><tr id="model-{number}" class="details" hidden><td colspan="{len(COLUMNS)}">{picture}<dl>{facts}</dl></td>'
              "</tr></tbody>")


def table(sources, visit):
    """All networks as an HTML table: `weights.Source`s, and before them the visit's own."""
    rows = [(checkpoints.entry(path), f"{YOURS}, for this visit", checkpoints.describe(path), None)
            for path in visit.own.values() if os.path.isfile(path)]
    for source in sorted(sources, key=lambda s: (s.entry.family not in networks.FIXED, s.entry.family, s.entry.title)):
        path = None if source.repository else checkpoints.FOLDER / source.entry.file
        painted = source.entry.family in networks.FIXED
        rows.append((source.entry, source.repository.id if source.repository else "this app",
                     checkpoints.describe(path) if path else None, source.tile() if painted else None))
    head = "".join(f'<th scope="col" aria-sort="none"><button type="button">{name}</button></th>' for name in COLUMNS)
    return (f'<table class="models"><caption>{len(rows)} models: a click on a name shows more</caption>'
            f"<thead><tr>{head}</tr></thead>" + "".join(_row(n, *row) for n, row in enumerate(rows)) + "</table>")


def _listed(visit):
    sources, problems = weights.catalog()
    common.warn(problems)
    return table(sources, visit)


def _permitted(request: gr.Request):
    """What stands under "From the Hub" for this visitor: (whether there is a form, or the sentence instead)."""
    allowed = may_pull(request)
    return gr.Column(visible=allowed), gr.Markdown(visible=not allowed)


def _measured(repo, sha, entries, files):
    """Raises InputError for a repository that is too large; files: {name: bytes} as the Hub itself says."""
    chosen = [name for item in entries for name in (item.file, f"{item.name}.jpg") if name in files]
    total = sum(files[name] for name in chosen)
    if total > PULL_BYTES or len(chosen) > PULL_FILES:
        raise InputError(f"{repo} has {len(chosen)} files of {total / 1e6:.0f} MB, and this page fetches at most {PULL_FILES} "
                         f"of {PULL_BYTES / 1e6:.0f} MB: take the ones you need by `python -m style_transfer weights pull`.")
    if shutil.disk_usage(checkpoints.FOLDER).free < 2 * total + SPARE_BYTES:  # in the client's cache, and in checkpoints/
        raise InputError(f"There is too little room on the disk for {total / 1e6:.0f} MB: free some first.")


def _differs(item):
    """Whether there is another file by an entry's name here."""
    path = checkpoints.FOLDER / item.file
    return path.exists() and checkpoints.sha256(path) != item.sha256


def _sorted_out(entries):
    """(what is to be fetched, names of what is left out, for others are here by that name, or by that of its encoder)."""
    foreign = {item.name for item in entries if _differs(item)}
    encoders = {item.fingerprint for item in entries if item.name in foreign} - {""}
    foreign |= {item.name for item in entries if item.encoder in encoders}
    return [i for i in entries if i.name not in foreign and not (checkpoints.FOLDER / i.file).exists()], sorted(foreign)


def _bar(share, text):
    return f'<progress aria-label="Progress" value="{share:.3f}"></progress>{html.escape(text)}'


def pull(name, visit, request: gr.Request):
    """Fetch what a repository has and this app has not. Yields (status, visit, stop button); may be closed at any yield."""
    def said(status, visit=gr.skip(), working=True):  # noqa: B008  a mark, always the same
        return status, visit, gr.Button(interactive=working)

    with common.as_gradio_errors():
        if not may_pull(request):
            raise InputError(OFF)
        repo = hub.parse(name)
        yield said(html.escape(f"Asking for {repo}"))
        sha = hub.commit(*repo)
        files = hub.files(repo.id, sha, PULL_FILES * 4)
        if files.get(checkpoints.INDEX, 0) > checkpoints.INDEX_BYTES:
            raise InputError(f"The list of weights of {repo} is too long to be one: name another repository.")
        repo = repo._replace(revision=sha)
        entries = hub.index(repo)[1]
        wanted, foreign = _sorted_out(entries)
        _measured(repo.id, sha, wanted, files)
        good, problems = [], []
        for number, item in enumerate(wanted):
            yield said(_bar(number / len(wanted), f"Fetching {item.title}, {item.size / 1e6:.1f} MB, "
                                                  f"{number + 1} of {len(wanted)}"))
            try:
                checkpoints.load(hub.fetch(repo, sha, item))
                good.append(item)
            except CheckpointError as error:
                problems.append(f"{item.title} is left out. {error}")
        arrived = list(hub.pull(repo, [item.name for item in good])) if good else []
        common.warn(problems)
        if foreign:
            common.warn([f"Left out, for there are others here by that name: {', '.join(foreign)}."])
        text = f"Fetched from {repo.id}: {', '.join(i.title for i in good)}" if arrived else f"{repo.id} has nothing new"
        yield said(html.escape(text), visit._replace(pulls=visit.pulls + 1), False)


class Weights(gr.File):
    """A file of weights as it was uploaded, unopened."""

    is_template = True

    def preprocess(self, payload):
        return payload and payload.path


def check_own(path):
    """What `checkpoints.entry` says of a visitor's own network, once it has painted a small picture.

    Raises InputError or CheckpointError, one sentence without the server's paths, for what is none or does not work.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"{path.name} is no .safetensors file, and others may hold programs, so they are not opened: "
                         "`python -m style_transfer weights convert` makes one of other projects' weights.")
    if path.stat().st_size > OWN_BYTES:
        raise InputError(f"{path.name} is larger than {OWN_BYTES / 1e6:.0f} MB: save it in half precision, or train a "
                         "narrower network.")
    try:
        if not networks.of(checkpoints.shared(path))[1].fixed:
            raise InputError(f"{path.name} is no network of a fixed style, and only those can be added here.")
        fixed.outputs(torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64), path)
        return checkpoints.entry(path)
    except StyleTransferError as error:
        raise type(error)(str(error.args[0]).replace(str(path), path.name)) from None


def add(path, visit):
    """(nothing for the field, the visit with its own network, what to do now) of an upload."""
    if not path:
        return gr.skip(), gr.skip(), gr.skip()
    with common.as_gradio_errors():
        title = _text(check_own(path).title, 80)
        label = f"{YOURS}/{Path(path).stem}"
        own = {k: v for k, v in visit.own.items() if k != label} | {label: path}
        own = dict(list(own.items())[-OWN_COUNT:])
        said = f"{title} works: choose it under Fixed styles, in the list of styles."
        return None, visit._replace(own=own), html.escape(said)


def build(page):
    """The tab's components and events."""
    listed = gr.HTML(table(weights.installed()[0], Visit()), js_on_load=SCRIPT, label="Models", padding=False,
                     apply_default_css=False)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            gr.Markdown("#### From the Hub")
            off = gr.Markdown(OFF)
            with gr.Column(visible=False) as form:
                repo = gr.Dropdown([str(r) for r in hub.repositories()], value=None, allow_custom_value=True,
                                   label="Repository", info="owner/name on the Hugging Face Hub, of networks for this app")
                begin, stop = common.buttons("Fetch")
            pulled = gr.HTML(elem_classes="status", label="Status", padding=False)
        with gr.Column(min_width=280):
            gr.Markdown("#### Your own")
            upload = Weights(label=f"A fixed style that you trained: .safetensors, up to {OWN_BYTES / 1e6:.0f} MB", height=150)
            added = gr.HTML("It stays with you: for this visit, an hour at most, and seen by nobody else.",
                            elem_classes="status", label="Status", padding=False)

    gr.on(None, _listed, page.visit, listed, **common.QUIET)
    gr.on(None, _permitted, None, [form, off], **common.QUIET)
    job = begin.click(pull, [repo, page.visit], [pulled, page.visit, stop], show_progress="hidden", **ONE_AT_A_TIME,
                      **common.PRIVATE)
    job.failure(lambda: ("", gr.Button(interactive=False)), None, [pulled, stop], **common.QUIET)
    stop.click(lambda: ("Stopped: nothing was added", gr.Button(interactive=False)), None, [pulled, stop], cancels=[job],
               **common.QUIET)
    upload.upload(add, [upload, page.visit], [upload, page.visit, added], concurrency_id="own", concurrency_limit=1,
                  show_progress="minimal", **common.PRIVATE)
