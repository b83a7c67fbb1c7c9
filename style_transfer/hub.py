"""The Hugging Face Hub: weights listed, pulled and pushed, each file checked against the repository's index.json.

The client's own variables hold: HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, HF_HOME. STYLE_TRANSFER_REPO names repositories
whose weights are offered beside those of checkpoints/: "owner/name" or "owner/name@revision", with commas between.
"""

import contextlib
import os
import re
import shutil
import threading
import time
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx

from . import checkpoints
from .errors import CheckpointError, HubError, InputError

PATIENCE = 4.5  # seconds until a network that does not answer counts as dead
SUFFIXES = {".safetensors", ".md", ".json", ".jpg", ".png"}  # what a folder of weights consists of
COMMIT = re.compile(r"[0-9a-f]{40}")


class Repository(NamedTuple):
    """A model repository on the Hub, at a branch, tag or commit."""

    id: str
    revision: str = "main"

    def __str__(self):
        return self.id if self.revision == "main" else f"{self.id}@{self.revision}"


def parse(text):
    """"owner/name" or "owner/name@revision" as a Repository. Raises InputError for anything else."""
    name, _, revision = text.strip().partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or not re.fullmatch(r"[\w./-]*", revision) or ".." in revision:
        raise InputError(f"{text!r} names no repository: write owner/name or owner/name@revision.")
    return Repository(name, revision or "main")


def repositories():
    """The repositories that STYLE_TRANSFER_REPO names."""
    return [parse(part) for part in re.split(r"[,\s]+", os.environ.get("STYLE_TRANSFER_REPO", "")) if part]


@contextlib.contextmanager
def _sentences(repo, file=""):
    """The client's errors as HubError, each a sentence."""
    what = f"{file} of {repo}" if file else f"the repository {repo}"
    try:
        yield
    except GatedRepoError:
        raise HubError(f"{repo} is gated: accept its conditions at {constants.ENDPOINT}/{repo}, then log in with "
                       "`hf auth login` or set HF_TOKEN.") from None
    except RepositoryNotFoundError:
        raise HubError(f"{constants.ENDPOINT} has no repository {repo} that you may read: check the name, and for a private "
                       "one log in with `hf auth login` or set HF_TOKEN.") from None
    except RevisionNotFoundError:
        raise HubError(f"{repo} does not have this revision: check the branch, tag or commit after the @.") from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError):
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
        raise HubError(f"Cannot reach {what}: {why}, and the cache does not have it; check the network, or go on with the "
                       "weights that are here.") from None
    except EntryNotFoundError:
        raise HubError(f"{repo} has no file {file}: it is no repository of this program, or the file was removed.") from None
    except HFValidationError:
        raise InputError(f"{repo!r} names no repository: write owner/name or owner/name@revision.") from None
    except HfHubHTTPError as error:
        code = getattr(error.response, "status_code", None)
        if code in (401, 403):
            raise HubError(f"{constants.ENDPOINT} refuses access to {what}: log in with `hf auth login`, or set an HF_TOKEN "
                           "that may do this.") from None
        raise HubError(f"{constants.ENDPOINT} failed on {what} (HTTP {code}): try again later.") from None
    except (httpx.HTTPError, ConnectionError, TimeoutError):
        raise HubError(f"The connection to {constants.ENDPOINT} broke over {what}: check the network and try again; what "
                       "has arrived is kept.") from None
    except OSError as error:
        raise HubError(f"{error.filename or 'A file of the cache'} could not be written: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError):
        raise HubError(f"What answered at {constants.ENDPOINT} for {what} is not the Hub, perhaps a proxy or a login page: "
                       "check the network and HF_ENDPOINT.") from None


def _within(seconds, work):
    """work() in a thread of its own; TimeoutError when it takes longer, whatever it hangs in (a name server, say)."""
    outcome = {}

    def run():
        try:
            outcome["value"] = work()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _info(repo, revision="main"):
    """The Hub's description of a repository; a server that fails is asked again as long as PATIENCE lasts."""
    def ask():
        for pause in (0.3, 0.6, 1.2, None):
            try:
                return huggingface_hub.HfApi().model_info(repo, revision=revision, timeout=PATIENCE)
            except HfHubHTTPError as error:
                if pause is None or getattr(error.response, "status_code", 0) < 500:
                    raise
            time.sleep(pause)

    if constants.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
    return _within(PATIENCE, ask)


def _answers():
    """Whether the Hub answers at all, for the client would ask it for 23 seconds. Raises LocalEntryNotFoundError."""
    try:
        _within(PATIENCE, lambda: get_session().get(f"{constants.ENDPOINT}/api/models", params={"limit": 1}, timeout=PATIENCE))
    except (httpx.TransportError, OSError):
        raise LocalEntryNotFoundError("no answer") from None


def commit(repo, revision="main"):
    """The commit that a branch or tag stands for. Raises HubError within 5 seconds when the Hub does not answer.

    A commit is returned as it is, without a request; so is, when the Hub cannot be reached, a name that the cache knows.
    """
    if COMMIT.fullmatch(revision):
        return revision
    cached = Path(constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}", "refs", revision)
    with _sentences(repo):
        try:
            sha = _info(repo, revision).sha
        except HfHubHTTPError:  # an answer, though not the wanted one
            raise
        except (httpx.TransportError, OSError):
            if not cached.is_file():
                raise LocalEntryNotFoundError("no answer") from None
            return cached.read_text().strip()
        if not COMMIT.fullmatch(sha or ""):
            raise ValueError("no commit")
        return sha


def _file(repo, name, sha):
    """A file of a commit from the cache, or from the Hub into the cache."""
    with _sentences(repo, name):
        try:
            return Path(huggingface_hub.hf_hub_download(repo, name, revision=sha, local_files_only=True))
        except LocalEntryNotFoundError:
            if not constants.HF_HUB_OFFLINE:
                _answers()
            return Path(huggingface_hub.hf_hub_download(repo, name, revision=sha, etag_timeout=PATIENCE))


def _remember(repo, revision, sha):
    """Note in the cache which commit a branch or tag stood for, as the client does when it is given the name."""
    if not COMMIT.fullmatch(revision):
        ref = Path(constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}", "refs", revision)
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(sha)


def index(repo):
    """(commit, entries) of a Repository. A commit whose index is in the cache costs no request."""
    sha = commit(*repo)
    path = _file(repo.id, checkpoints.INDEX, sha)
    _remember(*repo, sha)
    try:
        return sha, checkpoints.read_index(path)
    except CheckpointError:
        _forget(path)
        raise HubError(f"The {checkpoints.INDEX} of {repo} cannot be read: its owner should push it again, or a proxy has "
                       "answered in the Hub's place.") from None


def _forget(path):
    """Remove a file from the cache, so that the next call fetches it anew."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def fetch(repo, sha, item):
    """The path of a weight file in the cache, downloaded if need be, its SHA-256 checked. Raises HubError."""
    path = _file(repo.id, item.file, sha)
    if checkpoints.sha256(path) != item.sha256:
        _forget(path)
        raise HubError(f"{item.file} of {repo} is not the file that its index names (SHA-256 differs) and was thrown away: "
                       "try again, and if that does not help, tell its owner.")
    return path


class Source(NamedTuple):
    """A weight file that can be used: in checkpoints/, or in a repository of STYLE_TRANSFER_REPO."""

    entry: checkpoints.Entry
    repository: Repository | None = None
    commit: str = ""

    @property
    def label(self):
        """Its name, with the repository that it comes from."""
        return f"{self.repository.id}/{self.entry.name}" if self.repository else self.entry.name

    def path(self):
        """Where the file lies, once it is there. Raises HubError."""
        if self.repository is None:
            return checkpoints.FOLDER / self.entry.file
        if self.entry.encoder:  # a decoder is nothing without its own encoder
            for item in index(self.repository._replace(revision=self.commit))[1]:
                if item.fingerprint == self.entry.encoder:
                    fetch(self.repository, self.commit, item)
        return fetch(self.repository, self.commit, self.entry)

    def tile(self):
        """A small picture of the style, NAME.jpg beside the weights; None where there is none."""
        name = f"{Path(self.entry.file).stem}.jpg"
        if self.repository is None:
            path = checkpoints.FOLDER / name
            return path if path.exists() else None
        try:
            return _file(self.repository.id, name, self.commit)
        except HubError:
            return None


def installed():
    """What lies in checkpoints/: (sources, sentences about files that cannot be read)."""
    entries, problems = checkpoints.installed()
    return [Source(item) for item in entries], problems


def catalog(family=None):
    """All weight files to be had: (sources, sentences about files and repositories that cannot be read)."""
    sources, problems = installed()
    for repo in repositories():
        try:
            sha, entries = index(repo)
            sources += [Source(item, repo, sha) for item in entries]
        except HubError as error:
            problems.append(str(error))
    return [s for s in sources if family in (None, s.entry.family)], problems


def find(label):
    """The source with a label as `catalog` gives them; only the repository that it names is asked.

    Raises InputError when there is none, HubError when its repository cannot be read.
    """
    for source in installed()[0]:
        if source.label == label:
            return source
    for repo in repositories():
        if label.startswith(f"{repo.id}/"):
            sha, entries = index(repo)
            for item in entries:
                if label == f"{repo.id}/{item.name}":
                    return Source(item, repo, sha)
    raise InputError(f"There are no weights by the name of {label}: `python -m style_transfer weights list` shows all.")


def pull(repo, names=(), folder=None, force=False):
    """Copy a repository into a folder: all of it, or the named weights. Yields the name of each file that is in place.

    Raises HubError, and InputError when a name is unknown or another file would be overwritten (unless `force`).
    Nothing is put in place before everything has arrived and been checked.
    """
    folder = Path(folder or checkpoints.FOLDER)
    sha, entries = index(repo)
    unknown = set(names) - {item.name for item in entries}
    if unknown:
        raise InputError(f"{repo} has no {', '.join(sorted(unknown))}: it has {', '.join(item.name for item in entries)}.")
    chosen = [item for item in entries if not names or item.name in names]
    encoders = {item.encoder for item in chosen} - {""}  # a decoder is nothing without its own
    chosen += [item for item in entries if item.fingerprint in encoders and item not in chosen]
    arrived = {item.file: fetch(repo, sha, item) for item in chosen}
    if names:
        tiles = {s.tile() for s in (Source(item, repo, sha) for item in chosen)} - {None}
        arrived |= {path.name: path for path in tiles}
    else:
        with _sentences(repo.id):
            files = {file.rfilename for file in _info(repo.id, sha).siblings or []}
        others = [f for f in sorted(files) if "/" not in f and Path(f).suffix in SUFFIXES - {".safetensors"}]
        arrived |= {name: _file(repo.id, name, sha) for name in others}
    different = [name for name, path in arrived.items() if (folder / name).exists()
                 and checkpoints.sha256(folder / name) != checkpoints.sha256(path)]
    if different and not force:
        raise InputError(f"{folder} has other files by the name of {', '.join(different)}: pull into another folder "
                         "(--folder), or overwrite them (--force).")
    for name, path in arrived.items():
        with checkpoints.replacing(folder / name) as part:
            shutil.copyfile(path, part)
        yield name
    if names:
        checkpoints.write_index(folder)


def push(repo, folder=None, private=False):
    """Upload a folder of weights with its index and model card to a repository, made if need be. Returns its address.

    Raises CheckpointError for a weight file that cannot be loaded, InputError for a folder without any, HubError.
    """
    folder = Path(folder or checkpoints.FOLDER)
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"There is no weight file (*.safetensors) in {folder}.")
    entries = checkpoints.write_index(folder)
    for item in entries:
        checkpoints.load(folder / item.file)
    if not (folder / "README.md").exists():
        (folder / "README.md").write_text(model_card(repo.id, entries))
    api = huggingface_hub.HfApi()
    with _sentences(repo.id):
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        _answers()
        api.create_repo(repo.id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo.id, folder_path=folder, allow_patterns=[f"*{s}" for s in SUFFIXES],
                          delete_patterns="*.safetensors", revision=repo.revision, commit_message="Weights for style transfer")
    return f"{constants.ENDPOINT}/{repo.id}"


def model_card(name, entries):
    """A README.md for a repository of weights: front matter, the list of what is in it, how to use it."""
    rows = "\n".join(f"| {e.title} | {e.family} | `{e.file}` | {e.size / 1e6:.1f} MB | {e.credit or ''} |" for e in entries)
    licenses = {e.license for e in entries if e.license}
    license = licenses.pop() if len(licenses) == 1 else "other"
    return f"""---
license: {license}
library_name: pytorch
pipeline_tag: image-to-image
tags:
  - style-transfer
---

# {name.split("/")[-1]}

| what | family | file | size | style |
|---|---|---|---|---|
{rows}

`python -m style_transfer weights pull {name}` copies them into `checkpoints/`; `STYLE_TRANSFER_REPO={name}` offers them in
the app. `index.json` is made from the files' headers.
"""


def _open_range(repo, file, sha, start, end):
    headers = build_hf_headers() | {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
    return get_session().stream("GET", huggingface_hub.hf_hub_url(repo, file, revision=sha), headers=headers, timeout=10)


def stream_range(repo, file, sha, start, end, block):
    """The bytes [start, end) of a file in a repository, in blocks. Raises HubError when they do not all come."""
    with _sentences(repo, file):
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        with _open_range(repo, file, sha, start, end) as response:
            hf_raise_for_status(response)
            if response.status_code != 206:
                raise ValueError("the whole file instead of a part")
            left = end - start
            for data in response.iter_bytes(block):
                if len(data) > left:
                    raise ValueError("more than was asked for")
                left -= len(data)
                yield data
            if left:
                raise ConnectionError("less than was asked for")


def read_range(repo, file, sha, start, end):
    """The bytes [start, end) of a file in a repository. Raises HubError."""
    return b"".join(stream_range(repo, file, sha, start, end, 1 << 16))


