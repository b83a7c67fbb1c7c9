"""Where and in which precision the networks run: decided here and nowhere else."""

import copy
import os

import torch

from . import progress
from .errors import InputError, StyleTransferError

PRECISIONS = {"auto": "what the processor is made for", "float32": "the same picture on every machine",
              "bfloat16": "half the digits, faster where the processor has instructions for it"}
_chosen = None


def pick(device=None):
    """The device named, or the best there is: cuda, then mps, then cpu. Raises InputError for one that is not here."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device in (None, "auto"):
        return torch.device(next(kind for kind, here in present.items() if here))
    try:
        found = torch.device(device)
        here = present.get(found.type) and (found.type != "cuda" or (found.index or 0) < torch.cuda.device_count())
    except (RuntimeError, TypeError, ValueError):
        here = False
    if not here:
        names = ", ".join(kind for kind, here in present.items() if here)
        raise InputError(f"There is no device {str(device)!r} on this machine: choose among {names}, or none for the best.")
    return found


def use_precision(name):
    """Fix the precision of all networks in this process: "float32", "bfloat16", or "auto" for what is fastest here.

    The same seed gives the same picture only in the same precision. Without a call the environment variable
    STYLE_TRANSFER_PRECISION counts. Raises InputError for another name.
    """
    global _chosen
    if not isinstance(name, str) or name not in PRECISIONS:
        raise InputError(f"There is no precision {name!r}: choose among {', '.join(PRECISIONS)}.")
    _chosen = name


def precision(device):
    """torch.bfloat16 or torch.float32: what was chosen, else bfloat16 where the processor has matrix instructions for it.

    By capability and not by a stopwatch, so that a busy machine computes the same as an idle one. Processors without these
    instructions emulate bfloat16, many times slower.
    """
    name = _chosen or os.environ.get("STYLE_TRANSFER_PRECISION") or "auto"
    if name != "auto":
        use_precision(name)  # refuses a misspelt variable
        return getattr(torch, name)
    if torch.device(device).type == "cuda":
        capable = torch.cuda.is_bf16_supported(including_emulation=False)
    else:  # the names are PyTorch's own and not promised: without them, float32
        asked = (getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in ("avx512_bf16", "amx_tile"))
        capable = torch.device(device).type == "cpu" and any(ask() for ask in asked if ask)
    return torch.bfloat16 if capable else torch.float32


def run(network, inputs, *others, **options):
    """network(inputs, *others, **options), its convolutions in `precision`; inputs: a tensor, or a dictionary of tensors.

    Raises StyleTransferError where the memory is not enough.
    """
    progress.tick()
    kind = (inputs if torch.is_tensor(inputs) else next(iter(inputs.values()))).device.type
    try:
        with torch.autocast(kind, torch.bfloat16, enabled=precision(kind) == torch.bfloat16):
            return network(inputs, *others, **options)
    except RuntimeError as error:
        if "out of memory" in str(error) or "allocate memory" in str(error):
            raise StyleTransferError("There is not enough memory for pictures of this size: use a smaller size.") from error
        raise


def place(network, device):
    """The network on a device: itself where it lies there, else a copy. What others hold as well is never moved."""
    here, device = next(network.parameters()).device, torch.device(device)
    same = here.type == device.type and (here.index or 0) == (device.index or 0)
    return network if same else copy.deepcopy(network).to(device)
