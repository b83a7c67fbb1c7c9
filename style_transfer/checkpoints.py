"""Weight files that describe themselves: safetensors with architecture, arguments and origin in the header."""

import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .errors import CheckpointError
from .networks.decoder import Decoder
from .networks.vgg import VGG, VGG16, VGG19

FOLDER = Path(os.environ.get("STYLE_TRANSFER_CHECKPOINTS", Path(__file__).resolve().parent.parent / "checkpoints"))
FORMAT = "style-transfer-1"
ARCHITECTURES = {"vgg": VGG, "decoder": Decoder}


def fingerprint(network):
    """16 hex digits over a network's parameters in half precision: names an encoder in its decoders' files."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def save(path, network, **metadata):
    """Write a network with its architecture and metadata (anything JSON can hold), in half precision, by rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    architecture = next(name for name, cls in ARCHITECTURES.items() if type(network) is cls)
    header = {"format": FORMAT, "architecture": architecture, "arguments": json.dumps(network.arguments)}
    header |= {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    state = {k: v.detach().cpu().half().contiguous() for k, v in network.state_dict().items()}
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        pass
    try:
        save_file(state, part.name, header)
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
        network = ARCHITECTURES[header["architecture"]](**json.loads(header["arguments"]))
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
def _shipped(path, modified, device):
    return load(path, device)


def shipped(name, device="cpu"):
    """A network of `checkpoints/` by file name without suffix, loaded once and kept."""
    path = FOLDER / f"{name}.safetensors"
    if not path.exists():
        raise CheckpointError(f"The weight file {path} is missing: it comes with the project, fetch it again.")
    return _shipped(str(path), path.stat().st_mtime_ns, str(device))


def decoder(name, encoder, device="cpu"):
    """A shipped decoder, refused if it was trained on another encoder than the one given."""
    network = shipped(name, device)
    wanted = describe(FOLDER / f"{name}.safetensors").get("encoder")
    if wanted != fingerprint(encoder):
        raise CheckpointError(f"The decoder {name} was trained on the encoder {wanted}, not on {fingerprint(encoder)}: "
                              "take the encoder and the decoder from the same release.")
    return network


BACKBONES = {"compact": None, "vgg19": "vgg19-dcbb9e9d.pth", "vgg16": "vgg16-397923af.pth"}


def backbone(name):
    """A frozen feature extractor: "compact" (shipped), "vgg19" or "vgg16" (torchvision's, from torch's cache)."""
    if name not in BACKBONES:
        raise CheckpointError(f"There is no backbone {name!r}: choose among {', '.join(BACKBONES)}.")
    if name == "compact":
        return shipped("encoder")
    path = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONES[name]
    if not path.exists():
        raise CheckpointError(f"The weights of {name} are not on this machine: put torchvision's {path.name} into "
                              f"{path.parent}, or use the compact backbone, which ships with the project.")
    return _torchvision(str(path), name)


@functools.lru_cache(maxsize=2)
def _torchvision(path, name):
    network = VGG(**(VGG19 if name == "vgg19" else VGG16))
    state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict({k: v for k, v in state.items() if k.startswith("features.")})
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last)
