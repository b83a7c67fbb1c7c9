"""Weight files that describe themselves: safetensors with architecture, arguments and origin in the header.

A folder of them is laid out as a repository on the Hub: the files, README.md as model card, index.json made from the headers.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import stat
import threading
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .errors import CheckpointError
from .networks import ARCHITECTURES, of

FOLDER = Path(os.environ.get("STYLE_TRANSFER_CHECKPOINTS", Path(__file__).resolve().parent.parent / "checkpoints"))
CAMERA = "camera"  # folder in it of slim networks for browsers, as weights and as ONNX
FORMAT = "style-transfer-1"
INDEX = "index.json"
INDEX_BYTES = 1 << 20  # some thousand weights
NAME = re.compile(r"[^./\\\0-\x1f\x7f][^/\\\0-\x1f\x7f]{0,199}")  # what a weight may be called: the stem of a file
CHANNELS, COUNT = 1024, 64  # the highest number for a network's argument called width or widths, and for any other
KEPT = 32  # networks


class Entry(NamedTuple):
    """A weight file as index.json lists it."""

    name: str  # the file's stem, whatever its header or an index says
    title: str
    family: str  # encoder, wct, adain, johnson, multimodal, cyclegan
    file: str  # name in its folder or repository
    sha256: str  # empty where nobody has asked for it
    size: int  # bytes
    license: str = ""
    credit: str = ""  # of the style
    fingerprint: str = ""  # of an encoder
    encoder: str = ""  # fingerprint of the encoder that a decoder belongs to


def fingerprint(network):
    """16 hex digits over a network's parameters in half precision: names an encoder in its decoders' files."""
    return digest({name: tensor.detach().cpu().half() for name, tensor in network.state_dict().items()})[:16]


def digest(state):
    """SHA-256 in hex digits over tensors by name, {name: tensor on the CPU}."""
    found = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        found.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def save(path, network, dtype=torch.half, **metadata):
    """Write a network with its architecture and metadata (anything JSON can hold), in half precision, by rename."""
    architecture, _ = of(network)
    header = {"format": FORMAT, "architecture": architecture, "arguments": json.dumps(network.arguments)}
    if architecture == "vgg":
        header["fingerprint"] = fingerprint(network)
    header |= {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    state = {k: v.detach().cpu().to(dtype).contiguous() for k, v in network.state_dict().items()}
    with replacing(path) as part:
        save_file(state, part, header)


@contextlib.contextmanager
def replacing(path):
    """A file beside `path` to write to; it takes the place of `path` if all went well, and is gone if not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem[:100]}.{os.urandom(8).hex()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _opening(path):
    """What goes wrong with a file that is read, as CheckpointError; only regular files are opened, for a pipe would wait."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(f"The weight file {path} is a folder or a device: name a file.")
        yield
    except FileNotFoundError:
        raise CheckpointError(f"The weight file {path} is missing: fetch it again, or name another.") from None
    except (SafetensorError, OSError, TypeError, ValueError) as error:  # the last two: a path that is none
        raise CheckpointError(f"The weight file {path} is damaged, no safetensors file or may not be read ({error}): "
                              "fetch it again.") from None


def stamp(path):
    """What changes when a file does: size, time of modification, inode. Raises CheckpointError for what is no file."""
    with _opening(path):
        found = os.stat(path)
        return found.st_size, found.st_mtime_ns, found.st_ino


@functools.lru_cache(maxsize=256)
def _header(path, stamp):
    with _opening(path), safe_open(path, "pt") as file:
        return file.metadata() or {}


def describe(path):
    """The metadata in a file's header, {str: str}, read once. Raises CheckpointError for a file that is not one of ours."""
    header = _header(str(path), stamp(path))
    if header.get("format") != FORMAT:
        raise CheckpointError(f"The weight file {path} has the format {header.get('format', '')!r:.60}, not {FORMAT!r}: "
                              "it belongs to another program or another version of this one.")
    return dict(header)


def skeleton(architecture, arguments):
    """The network of an architecture without memory for its parameters. Raises ValueError, for any wrong arguments."""
    try:
        for key, value in arguments.items():
            numbers, limit = value if isinstance(value, (list, tuple)) else [value], CHANNELS if "width" in key else COUNT
            if len(numbers) > 8 or not all(isinstance(n, bool) or isinstance(n, int) and 0 < n <= limit for n in numbers):
                raise ValueError
        with torch.device("meta"):
            return ARCHITECTURES[architecture].network(**arguments)
    except Exception:  # any: the arguments come from a file
        raise ValueError(f"no {architecture} has the arguments {str(arguments):.100}") from None


def build(architecture, arguments, shapes):
    """The network of an architecture, once it is sure that its parameters have these shapes, {name: sequence}.

    A file may ask for any size, so they are compared before there is any memory. Raises ValueError, one line.
    """
    wanted = {name: list(tensor.shape) for name, tensor in skeleton(architecture, arguments).state_dict().items()}
    for name in sorted(wanted.keys() | shapes.keys()):
        found = list(shapes[name]) if name in shapes else None
        if found != wanted.get(name):
            raise ValueError(f"{name:.60} has the shape {found} instead of {wanted.get(name)}")
    return ARCHITECTURES[architecture].network(**arguments)


def load(path, device="cpu"):
    """Build the network that a file describes, frozen, in float32 and channels_last, ready to run.

    Raises CheckpointError, one sentence, for a file that is missing, damaged, of another program, or incomplete.
    """
    architecture, arguments = map(describe(path).get, ("architecture", "arguments"), ("", ""))
    if architecture not in ARCHITECTURES:
        raise CheckpointError(f"The weight file {path} needs the architecture {architecture!r:.60}, which this version does "
                              f"not have; it has {', '.join(ARCHITECTURES)}.")
    with _opening(path), safe_open(str(path), "pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}
        try:
            if not {s.get_dtype() for s in slices.values()} <= {"F16", "BF16", "F32", "F64"}:
                raise ValueError("its numbers are of another kind")
            network = build(architecture, json.loads(arguments[:4096]), {n: s.get_shape() for n, s in slices.items()})
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"The weight file {path} does not fit the network that it names ({error}): "
                                  "fetch it again.") from None
        state = {name: file.get_tensor(name).float() for name in slices}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"The weight file {path} holds values that are not finite ({name}): fetch it again.")
    network.load_state_dict(state)
    return network.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)


_kept, _lock = {}, threading.RLock()  # {(path, device): (stamp, network)}, the longest unused first


def keep(path, device, make):
    """make(), kept for a path and a device until the file changes. Nobody may move or change what is given out."""
    key, version = (os.path.abspath(path), str(device)), stamp(path)
    with _lock:
        known, network = _kept.pop(key, (None, None))
        if known != version:
            with torch.inference_mode(False):  # of whoever asks first: the next one may want gradients
                network = make()
        while len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = version, network
    return network


def shared(path, device="cpu"):
    """The network of a file as `load` builds it, loaded once, kept, and neither moved nor changed by anybody."""
    return keep(path, device, lambda: load(path, device))


def encoder_of(path, device="cpu"):
    """The encoder that a decoder's file belongs to, from the same folder or from `checkpoints/`. Raises CheckpointError."""
    wanted = describe(path).get("encoder")
    for candidate in (*sorted(Path(path).parent.glob("*.safetensors")), *sorted(FOLDER.glob("*.safetensors"))):
        with contextlib.suppress(CheckpointError):  # of a file that has nothing to do with it
            if wanted and describe(candidate).get("fingerprint") == wanted:
                return shared(candidate, device)
    why = f"was trained on the encoder {wanted}, which is neither beside it nor in {FOLDER}" if wanted else "is no decoder"
    raise CheckpointError(f"The weight file {Path(path).name} {why}: take encoder and decoder from the same release.")


def sha256(path):
    """The file's SHA-256 in hex digits. Raises CheckpointError for what cannot be read."""
    digest = hashlib.sha256()
    with _opening(path), open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def entry(path):
    """What index.json says of a file but for its SHA-256, read from its header. Raises CheckpointError as `describe` does."""
    path, header = Path(path), describe(path)
    family = header.get("family") or getattr(ARCHITECTURES.get(header.get("architecture")), "family", "other")
    return Entry(path.stem, header.get("title", path.stem), family, path.name, "", path.stat().st_size,
                 **{k: header.get(k, "") for k in Entry._fields[6:]})


def _folder(folder):
    folder = Path(folder or FOLDER)
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder {folder}: name one that has weight files in it.")
    return folder, sorted(folder.glob("*.safetensors"))


def write_index(folder=None):
    """Make a folder's index.json from its files, and return its entries."""
    folder, files = _folder(folder)
    entries = [entry(path)._replace(sha256=sha256(path)) for path in files]
    with replacing(folder / INDEX) as part:
        part.write_text(json.dumps({"format": FORMAT, "weights": [e._asdict() for e in entries]}, indent=1) + "\n")
    return entries


def _entry(item):
    """One entry of an index. Raises AttributeError, KeyError, TypeError or ValueError for anything else."""
    found = Entry(**{k: v for k, v in item.items() if k in Entry._fields} | {"name": str(item["file"])[:-len(".safetensors")]})
    if not all(type(v) is (int if k == "size" else str) for k, v in found._asdict().items()) or not NAME.fullmatch(found.name) \
            or found.file != f"{found.name}.safetensors":
        raise ValueError
    return found


def read_index(path):
    """The entries of an index.json. Raises CheckpointError when it is missing or no index."""
    if not Path(path).exists():
        raise CheckpointError(f"There is no {path}: `python -m style_transfer weights index` makes it.")
    with _opening(path), open(path, "rb") as file:
        text = file.read(INDEX_BYTES + 1)
    try:
        return [_entry(item) for item in json.loads(text if len(text) <= INDEX_BYTES else "")["weights"][:]]  # a list
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise CheckpointError(f"{path} is no index of weights: fetch or make it again.") from None


def verify(folder=None):
    """Compare a folder with its index.json: a list of (file name, what is wrong with it or None)."""
    folder, files = _folder(folder)
    entries, found = read_index(folder / INDEX), []
    for item in entries:
        path, problem = folder / item.file, None
        try:
            if sha256(path) != item.sha256:
                problem = "is not the file that the index names: its SHA-256 differs"
            elif (network := load(path)) and item.fingerprint and fingerprint(network) != item.fingerprint:
                problem = "is not the encoder that it says it is: its fingerprint differs"
        except CheckpointError as error:
            problem = str(error)
        found.append((item.file, problem))
    listed = {item.file for item in entries}
    return found + [(path.name, "is not in the index") for path in files if path.name not in listed]
