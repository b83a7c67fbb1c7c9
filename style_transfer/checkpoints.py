"""Weight files that describe themselves: safetensors with architecture, arguments and origin in the header.

A folder of them is laid out as a repository on the Hub: the files, README.md as model card, index.json made from the headers.
"""

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .errors import CheckpointError
from .networks import ARCHITECTURES, of

FOLDER = Path(os.environ.get("STYLE_TRANSFER_CHECKPOINTS", Path(__file__).resolve().parent.parent / "checkpoints"))
FORMAT = "style-transfer-1"
INDEX = "index.json"


class Entry(NamedTuple):
    """A weight file as index.json lists it."""

    name: str
    title: str
    family: str  # encoder, wct, adain, johnson, multimodal, cyclegan
    file: str  # name in its folder or repository
    sha256: str
    size: int  # bytes
    license: str = ""
    credit: str = ""  # of the style
    fingerprint: str = ""  # of an encoder
    encoder: str = ""  # fingerprint of the encoder that a decoder belongs to


def fingerprint(network):
    """16 hex digits over a network's parameters in half precision: names an encoder in its decoders' files."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


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
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as part:
        pass
    try:
        yield Path(part.name)
        os.chmod(part.name, 0o644)
        os.replace(part.name, path)
    finally:
        Path(part.name).unlink(missing_ok=True)


def describe(path):
    """The metadata in a file's header, {str: str}. Raises CheckpointError for a file that is not one of ours."""
    try:
        with safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"The weight file {path} is missing: fetch it again, or name another.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The weight file {path} is damaged or no safetensors file ({error}): "
                              "fetch it again.") from None
    if header.get("format") != FORMAT:
        raise CheckpointError(f"The weight file {path} has the format {header.get('format')!r}, not {FORMAT!r}: "
                              "it belongs to another program or another version of this one.")
    return header


def load(path, device="cpu"):
    """Build the network that a file describes, frozen, in float32 and channels_last, ready to run.

    Raises CheckpointError, one sentence, for a file that is missing, damaged, of another program, or incomplete.
    """
    header = describe(path)
    if header.get("architecture") not in ARCHITECTURES:
        raise CheckpointError(f"The weight file {path} needs the architecture {header.get('architecture')!r}, which "
                              f"this version does not have; it has {', '.join(ARCHITECTURES)}.")
    try:
        network = ARCHITECTURES[header["architecture"]].network(**json.loads(header["arguments"]))
        with safe_open(str(path), "pt") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}
        network.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"The weight file {path} does not fit the network that it names: "
                              f"{str(error).splitlines()[-1].strip()}") from None
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise CheckpointError(f"The weight file {path} holds values that are not finite ({broken[0]}): fetch it again.")
    return network.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)


@functools.lru_cache(maxsize=32)
def _shared(path, modified, device):
    return load(path, device)


def shared(path, device="cpu"):
    """The network of a file as `load` builds it, loaded once and kept."""
    path = Path(path)
    return _shared(str(path), path.stat().st_mtime_ns if path.exists() else None, str(device))


def shipped(name, device="cpu"):
    """A network of `checkpoints/` by file name without suffix, loaded once and kept."""
    return shared(FOLDER / f"{name}.safetensors", device)


def encoder_of(path, device="cpu"):
    """The encoder that a decoder's file belongs to, from the same folder or from `checkpoints/`. Raises CheckpointError."""
    wanted = describe(path).get("encoder")
    for candidate in (*sorted(Path(path).parent.glob("*.safetensors")), *sorted(FOLDER.glob("*.safetensors"))):
        if wanted and describe(candidate).get("fingerprint") == wanted:
            return shared(candidate, device)
    raise CheckpointError(f"The decoder {Path(path).name} was trained on the encoder {wanted}, which is neither beside it "
                          f"nor in {FOLDER}: take both from the same release.")


def decoder(name, encoder, device="cpu"):
    """A shipped decoder, refused if it was trained on another encoder than the one given."""
    network = shipped(name, device)
    wanted = describe(FOLDER / f"{name}.safetensors").get("encoder")
    if wanted != fingerprint(encoder):
        raise CheckpointError(f"The decoder {name} was trained on the encoder {wanted}, not on {fingerprint(encoder)}: "
                              "take the encoder and the decoder from the same release.")
    return network


def sha256(path):
    """The file's SHA-256 in hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def entry(path):
    """What index.json says of a file, read from its header. Raises CheckpointError as `describe` does."""
    path, header = Path(path), describe(path)
    name, architecture = header.get("name", path.stem), ARCHITECTURES.get(header.get("architecture"))
    return Entry(name, header.get("title", name), header.get("family") or (architecture.family if architecture else "other"),
                 path.name, sha256(path), path.stat().st_size,
                 **{k: header.get(k, "") for k in ("license", "credit", "fingerprint", "encoder")})


def installed():
    """What lies in `checkpoints/`: (entries, sentences about files that cannot be read)."""
    entries, problems = [], []
    for path in sorted(FOLDER.glob("*.safetensors")):
        try:
            entries.append(entry(path))
        except CheckpointError as error:
            problems.append(str(error))
    return entries, problems


def write_index(folder=None):
    """Make a folder's index.json from its files, and return its entries."""
    folder = Path(folder or FOLDER)
    entries = [entry(p) for p in sorted(folder.glob("*.safetensors"))]
    with replacing(folder / INDEX) as part:
        part.write_text(json.dumps({"format": FORMAT, "weights": [e._asdict() for e in entries]}, indent=1) + "\n")
    return entries


def read_index(path):
    """The entries of an index.json. Raises CheckpointError when it is missing or no index."""
    try:
        weights = json.loads(Path(path).read_text())["weights"]
        entries = [Entry(**{k: v for k, v in item.items() if k in Entry._fields}) for item in weights]
    except FileNotFoundError:
        raise CheckpointError(f"There is no {path}: `python -m style_transfer weights index` makes it.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{path} is no index of weights: fetch or make it again.") from None
    for item in entries:
        if Path(item.file).name != item.file or not item.file.endswith(".safetensors"):
            raise CheckpointError(f"{path} names the file {item.file!r}, which is no weight file of its folder.")
    return entries


def verify(folder=None):
    """Compare a folder with its index.json: a list of (file name, what is wrong with it or None)."""
    folder = Path(folder or FOLDER)
    entries, found = read_index(folder / INDEX), []
    for item in entries:
        path, problem = folder / item.file, None
        if not path.exists():
            problem = "is missing"
        elif sha256(path) != item.sha256:
            problem = "is not the file that the index names: its SHA-256 differs"
        else:
            try:
                load(path)
            except CheckpointError as error:
                problem = str(error)
        found.append((item.file, problem))
    listed = {item.file for item in entries}
    return found + [(p.name, "is not in the index") for p in sorted(folder.glob("*.safetensors")) if p.name not in listed]
