"""Where training pictures lie: folders, archives (nothing is unpacked), and datasets on the Hub or in a folder (streamed)."""

import io
import math
import os
import re
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from style_transfer.errors import HubError, InputError

HELP = "folders, .zip or .tar archives, datasets on the Hub (owner/name)"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
LARGEST = 256_000_000  # bytes of one file in an archive; more than a picture of 64 megapixels has
STREAMED = 2e9  # bytes that a dataset may take where no number of pictures is named: the same on all machines
PATIENCE = 10  # seconds until a network that does not answer counts as dead
DATASET = re.compile(r"(?P<name>.+?)(@(?P<revision>[\w./-]+))?(:(?P<split>[\w.]+))?(\[:(?P<count>\d+)\])?")
OWNED = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+)(/(?P<subset>[\w.-]+))?")


class File(NamedTuple):
    """A picture's file: its path, which in an archive or a dataset is only a name; what `read` returns, Pillow opens."""

    path: Path
    read: Callable


class Source(NamedTuple):
    """The files of a source. once: they come one after the other and only once; limit: bytes of pictures to take then."""

    files: Iterable[File]
    once: bool = False
    limit: float = math.inf


def find(source):
    """The Source that a path or name stands for; a path that exists is one, whatever else may have its name.

    Names of datasets: owner/name on the Hub, or a folder of Parquet files, then as needed /subset (of the Hub's), @revision,
    :split and [:N] for the first N rows. Raises InputError for what is none of this, HubError where the Hub cannot be asked.
    """
    path = Path(source)
    if path.is_dir():
        files = [File(p, p.__fspath__) for p in path.rglob("*") if _picture(p.name)]
        return Source(files) if files or not any(path.rglob("*.parquet")) else _dataset(path, str(path))
    if path.is_file():
        return _archive(path)
    parts = DATASET.fullmatch(str(source)).groupdict()
    name = parts.pop("name")
    if Path(name).is_dir():
        return _dataset(source, name, **parts)
    if owned := OWNED.fullmatch(name):
        parts["revision"] = _commit(source, owned["id"], parts["revision"])
        return _dataset(source, owned["id"], owned["subset"], **parts)
    raise InputError(f"There is no {source}: name a folder, a .zip or .tar archive, or a dataset on the Hub (owner/name).")


def _picture(name):
    """Whether a file may be one, by its name; ._NAME is what macOS keeps beside a file."""
    return name.lower().endswith(SUFFIXES) and not os.path.basename(name).startswith("._")


def _archive(path):
    try:
        if tarfile.is_tarfile(path):
            return _tar(path)
        if zipfile.is_zipfile(path):
            return _zip(path)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None
    raise InputError(f"{path} is no folder and no .zip or .tar archive: name one of these.")


def _damaged(path, error):
    return InputError(f"The archive {path} is damaged or incomplete ({error}): get it again.")


def _zip(path):
    archive, lock = zipfile.ZipFile(path), threading.Lock()

    def read(member):
        with lock:  # its count of open members is not safe in threads
            return io.BytesIO(archive.read(member))
    return Source([File(Path(f"{path}/{m.filename}"), partial(read, m)) for m in archive.infolist()
                   if _picture(m.filename) and not m.is_dir() and m.file_size <= LARGEST])


def _tar(path):
    """Of an archive that is compressed as a whole, only the beginning can be read without reading what lies before."""
    def wanted(member):
        return member.isreg() and _picture(member.name) and member.size <= LARGEST

    def read(offset, size):
        with open(path, "rb") as file:
            file.seek(offset)
            return io.BytesIO(file.read(size))

    def stream():
        try:
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    if wanted(member):
                        data = archive.extractfile(member).read()
                        yield File(Path(f"{path}/{member.name}"), partial(io.BytesIO, data))
                    archive.members.clear()  # else it keeps a list
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise _damaged(path, error) from None
    try:
        archive = tarfile.open(path, "r:")
    except tarfile.ReadError:
        return Source(stream(), once=True)
    with archive:
        return Source([File(Path(f"{path}/{m.name}"), partial(read, m.offset_data, m.size)) for m in archive if wanted(m)])


def _commit(source, name, revision):
    """The commit of a dataset on the Hub, asked for here because `datasets` takes half a minute to give up."""
    try:
        return HfApi().dataset_info(name, revision=revision, timeout=PATIENCE).sha
    except (HfHubHTTPError, httpx.TransportError, OSError, ValueError) as error:
        if getattr(getattr(error, "response", None), "status_code", 500) < 500:
            raise InputError(f"There is no {source} here, and no such dataset at {constants.ENDPOINT} that you may read: check "
                             "the name, and for a private one log in with `hf auth login`.") from None
        raise HubError(f"There is no {source} here, and {constants.ENDPOINT}, where a dataset may have that name, cannot be "
                       f"asked ({next(iter(str(error).splitlines()), 'no answer')}): check the path, or the network.") from None


@contextmanager
def _sentences(source):
    """The errors of `datasets`, of the formats that it reads and of the network as one sentence."""
    try:
        yield
    except (httpx.TransportError, ConnectionError, TimeoutError) as error:
        raise HubError(f"The connection broke over the dataset {source} ({error}): check the network, try again.") from None
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise InputError(f"The dataset {source} cannot be read; a subset is named as in owner/name/subset. {error}") from None


def _dataset(source, name, subset=None, revision=None, split=None, count=None):
    try:
        import datasets
    except ImportError:
        raise InputError(f"To read {source}, install the library that reads datasets: pip install datasets") from None
    with _sentences(source):
        splits = datasets.load_dataset(name, subset, revision=revision, streaming=True)
    if split is None:
        split = "train" if "train" in splits else next(iter(splits)) if len(splits) == 1 else None
    if split not in splits:
        raise InputError(f"Which part of {source}? It has {', '.join(splits)}: name one as in {name}:{next(iter(splits))}.")
    pictures = splits[split]
    column = next((c for c, kind in (pictures.features or {}).items() if isinstance(kind, datasets.Image)), None)
    if column is None:
        raise InputError(f"The dataset {source} has no column of pictures ({', '.join(pictures.features or ['text only'])}): "
                         "name another.")
    pictures = pictures.decode(False).select_columns(column)

    def read(picture):
        if picture["bytes"] is not None:
            return io.BytesIO(picture["bytes"])
        import fsspec  # which datasets brings
        with _sentences(source), fsspec.open(picture["path"], "rb") as file:
            return io.BytesIO(file.read())

    def stream():
        with _sentences(source):
            for number, row in enumerate(pictures.take(int(count)) if count else pictures):
                if row[column]:  # a cell may be empty
                    yield File(Path(f"{name}/{number}"), partial(read, row[column]))
    return Source(stream(), once=True, limit=math.inf if count else STREAMED)
