"""The Hugging Face Hub: weights listed, pulled and pushed, each file checked against the repository's index.json.

The client's own variables hold: HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, HF_HOME. STYLE_TRANSFER_REPO names repositories
whose weights are offered beside those of checkpoints/: "owner/name" or "owner/name@revision", with commas between.
"""

import concurrent.futures
import contextlib
import functools
import itertools
import os
import re
import shutil
import threading
import time
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from huggingface_hub import constants, errors
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx

from . import checkpoints
from .errors import CheckpointError, HubError, InputError

PATIENCE = 4.5  # seconds until a network that does not answer counts as dead
SUFFIXES = {".safetensors", ".md", ".json", ".jpg", ".png"}  # what a folder of weights consists of
COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)
REVISION = re.compile(r"\w[\w.-]*(/[\w.-]+)*", re.ASCII)  # as the cache has files by these names, none begins with a slash
REFUSED = "log in with `hf auth login`, or set an HF_TOKEN that may do this"
SENTENCES = (  # for the client's errors, the first that fits
    (errors.GatedRepoError, "{repo} is gated: accept its conditions at {hub}/{repo}, then " + REFUSED + "."),
    (errors.RepositoryNotFoundError, "{hub} has no repository {repo} that you may read: check the name, and for a private one "
     + REFUSED + "."),
    (errors.RevisionNotFoundError, "{repo} does not have this revision: check the branch, tag or commit after the @."),
    ((errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError), "Cannot reach {what}: {why}, and the cache does not have "
     "it; check the network, or go on with the weights that are here."),
    (errors.EntryNotFoundError, "{repo} has no file {file}: it is no repository of this program, or the file was removed."),
    (errors.HfHubHTTPError, "{hub} failed on {what} (HTTP {code}): {advice}."),
    ((httpx.HTTPError, ConnectionError, TimeoutError), "The connection to {hub} broke over {what}: check the network and try "
     "again; what has arrived is kept."),
    (OSError, "A file of the cache could not be written: {error}."),
    ((ValueError, KeyError, TypeError), "What answered at {hub} for {what} is not the Hub, perhaps a proxy or a login page: "
     "check the network and HF_ENDPOINT."))


class Repository(NamedTuple):
    """A model repository on the Hub, at a branch, tag or commit."""

    id: str
    revision: str = "main"

    def __str__(self):
        return self.id if self.revision == "main" else f"{self.id}@{self.revision}"


def parse(text):
    """"owner/name" or "owner/name@revision" as a Repository. Raises InputError for anything else."""
    name, _, revision = str(text).strip().partition("@")
    if not REPOSITORY.fullmatch(name) or revision and not REVISION.fullmatch(revision) or ".." in revision:
        raise InputError(f"{text!r} names no repository: write owner/name or owner/name@revision.")
    return Repository(name, revision or "main")


def repositories():
    """The repositories that STYLE_TRANSFER_REPO names."""
    return [parse(part) for part in re.split(r"[,\s]+", os.environ.get("STYLE_TRANSFER_REPO", "")) if part]


@contextlib.contextmanager
def _sentences(repo, file=""):
    """The client's errors as HubError, each a sentence."""
    try:
        yield
    except errors.HFValidationError:
        raise InputError(f"{repo!r} names no repository: write owner/name or owner/name@revision.") from None
    except Exception as error:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
        for kinds, sentence in SENTENCES:
            if isinstance(error, kinds):
                code = getattr(getattr(error, "response", None), "status_code", None)
                raise HubError(sentence.format(hub=constants.ENDPOINT, repo=repo, file=file, why=why, code=code, error=error,
                                               what=f"{file} of {repo}" if file else f"the repository {repo}",
                                               advice=REFUSED if code in (401, 403) else "try again later")) from None
        raise


def _ask(work):
    """work() in a thread of its own. Raises LocalEntryNotFoundError when no answer comes in time, whatever it hangs in."""
    _online()
    future = concurrent.futures.Future()

    def run():
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(PATIENCE)
    except errors.HfHubHTTPError:  # an answer, though not the wanted one
        raise
    except (httpx.TransportError, concurrent.futures.TimeoutError, OSError):
        raise errors.LocalEntryNotFoundError("no answer") from None


def _online():
    if constants.HF_HUB_OFFLINE:
        raise errors.OfflineModeIsEnabled("HF_HUB_OFFLINE is set")


def _answers():
    """Ask the Hub whether it answers at all, for the client would ask it for 23 seconds."""
    _ask(lambda: get_session().get(f"{constants.ENDPOINT}/api/models", params={"limit": 1}, timeout=PATIENCE))


def _info(repo, revision="main"):
    """The Hub's description of a repository; a server that fails is asked again as long as PATIENCE lasts."""
    for pause in (0.3, 0.6, 1.2, None):
        try:
            return huggingface_hub.HfApi().model_info(repo, revision=revision, timeout=PATIENCE)
        except errors.HfHubHTTPError as error:
            if pause is None or getattr(error.response, "status_code", 0) < 500:
                raise
        time.sleep(pause)


def _ref(repo, revision):
    """Where the cache notes which commit a branch or tag stood for."""
    return Path(constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}", "refs", revision)


def commit(repo, revision="main"):
    """The commit that a branch or tag stands for. Raises HubError within 5 seconds when the Hub does not answer.

    A commit is returned as it is, without a request; so is, when the Hub cannot be reached, a name that the cache knows.
    """
    if COMMIT.fullmatch(revision):
        return revision
    with _sentences(repo):
        try:
            sha = _ask(lambda: _info(repo, revision)).sha
        except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
            if not _ref(repo, revision).is_file():
                raise
            return _ref(repo, revision).read_text().strip()
        if not COMMIT.fullmatch(sha or ""):
            raise ValueError("no commit")
        return sha


def _file(repo, name, sha):
    """A file of a commit from the cache, or from the Hub into the cache."""
    with _sentences(repo, name):
        try:
            return Path(huggingface_hub.hf_hub_download(repo, name, revision=sha, local_files_only=True))
        except errors.LocalEntryNotFoundError:
            _answers()
            return Path(huggingface_hub.hf_hub_download(repo, name, revision=sha, etag_timeout=PATIENCE))


def index(repo):
    """(commit, entries) of a Repository. A commit whose index is in the cache costs no request."""
    sha = commit(*repo)
    path = _file(repo.id, checkpoints.INDEX, sha)
    if not COMMIT.fullmatch(repo.revision):
        _ref(*repo).parent.mkdir(parents=True, exist_ok=True)
        _ref(*repo).write_text(sha)
    try:
        return sha, checkpoints.read_index(path)
    except CheckpointError:
        _forget(path)
        raise HubError(f"The {checkpoints.INDEX} of {repo} cannot be read: its owner should push it again, or a proxy has "
                       "answered in the Hub's place.") from None


def files(repo, sha, limit):
    """{name: bytes} of the files in a commit's uppermost folder, as the Hub says. Raises HubError; InputError for too many."""
    with _sentences(repo):
        found = _ask(lambda: list(itertools.islice(huggingface_hub.HfApi().list_repo_tree(repo, revision=sha), limit + 1)))
    if len(found) > limit:
        raise InputError(f"{repo} has more than {limit} files: it is no repository of weights for this program.")
    return {item.path: item.size for item in found if hasattr(item, "size")}


def _forget(path):
    """Remove a file from the cache, so that the next call fetches it anew."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


@functools.lru_cache(maxsize=256)
def _sha256(path, stamp):  # of a file of the cache: once, and not at every click
    return checkpoints.sha256(path)


def fetch(repo, sha, item):
    """The path of a weight file in the cache, downloaded if need be, its SHA-256 checked. Raises HubError."""
    path = _file(repo.id, item.file, sha)
    if _sha256(path, checkpoints.stamp(path)) != item.sha256:
        _forget(path)
        raise HubError(f"{item.file} of {repo} is not the file that its index names (SHA-256 differs) and was thrown away: "
                       "try again, and if that does not help, tell its owner.")
    return path


def tile(repo, sha, item):
    """The small picture of a style, NAME.jpg beside its weights, from the cache or the Hub. None where there is none."""
    with contextlib.suppress(HubError):
        return _file(repo.id, f"{item.name}.jpg", sha)


def pull(repo, names=(), folder=None, force=False):
    """Copy a repository into a folder: all of it, or the named weights. Yields the name of each file that is in place.

    Raises HubError, and InputError when a name is unknown or another file would be overwritten (unless `force`).
    Nothing is put in place before everything has arrived and been checked.
    """
    folder = Path(folder or checkpoints.FOLDER)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder to pull into.")
    sha, entries = index(repo)
    unknown = set(names) - {item.name for item in entries}
    if unknown:
        raise InputError(f"{repo} has no {', '.join(sorted(unknown))}: it has {', '.join(item.name for item in entries)}.")
    chosen = [item for item in entries if not names or item.name in names]
    encoders = {item.encoder for item in chosen} - {""}  # a decoder is nothing without its own
    chosen += [item for item in entries if item.fingerprint in encoders and item not in chosen]
    arrived = {item.file: fetch(repo, sha, item) for item in chosen}
    if names:
        arrived |= {path.name: path for path in {tile(repo, sha, item) for item in chosen} - {None}}
    else:
        with _sentences(repo.id):
            files = sorted(file.rfilename for file in _ask(lambda: _info(repo.id, sha)).siblings or [])
        arrived |= {f: _file(repo.id, f, sha) for f in files if "/" not in f and Path(f).suffix in SUFFIXES - {".safetensors"}}
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
        raise InputError(f"There is no weight file (*.safetensors) in {folder}: name a folder of weights.")
    entries = checkpoints.write_index(folder)
    for item in entries:
        checkpoints.load(folder / item.file)
    if not (folder / "README.md").exists():
        (folder / "README.md").write_text(model_card(repo.id, entries))
    api = huggingface_hub.HfApi()
    with _sentences(repo.id):
        _answers()
        api.create_repo(repo.id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo.id, folder_path=folder, allow_patterns=[f"*{s}" for s in SUFFIXES],
                          delete_patterns="*.safetensors", revision=repo.revision, commit_message="Weights for style transfer")
    return f"{constants.ENDPOINT}/{repo.id}"


def model_card(name, entries):
    """A README.md for a repository of weights: front matter, the list of what is in it, how to use it."""
    rows = "\n".join(f"| {e.title} | {e.family} | `{e.file}` | {e.size / 1e6:.1f} MB | {e.credit or ''} |" for e in entries)
    licenses = [*{e.license for e in entries if e.license}, "other"]
    return f"""---
license: {licenses[0] if len(licenses) == 2 else "other"}
library_name: pytorch
pipeline_tag: image-to-image
tags: [style-transfer]
---

# {name.split("/")[-1]}

| what | family | file | size | style |
|---|---|---|---|---|
{rows}

`python -m style_transfer weights pull {name}` copies them into `checkpoints/`; `STYLE_TRANSFER_REPO={name}` offers them in
the app. `index.json` is made from the files' headers.
"""


def stream_range(repo, file, sha, start, end, block):
    """The bytes [start, end) of a file in a repository, in blocks. Raises HubError when they do not all come."""
    headers = build_hf_headers() | {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
    with _sentences(repo, file):
        _online()
        with get_session().stream("GET", huggingface_hub.hf_hub_url(repo, file, revision=sha), headers=headers,
                                  timeout=10) as response:
            hf_raise_for_status(response)
            if response.status_code != 206:
                raise ValueError("the whole file instead of a part")
            left = end - start
            for data in response.iter_bytes(block):
                left -= len(data)
                if left < 0:
                    raise ValueError("more than was asked for")
                yield data
            if left:
                raise ConnectionError("less than was asked for")


def read_range(repo, file, sha, start, end):
    """The bytes [start, end) of a file in a repository. Raises HubError."""
    return b"".join(stream_range(repo, file, sha, start, end, 1 << 16))
