"""Neural style transfer: Gatys's optimisation, nearest neighbours, AdaIN and WCT on one compact encoder."""

import os

# Before PyTorch is loaded: its threads wait for each other awake for microseconds, not milliseconds. Alone that costs nothing;
# beside other processes on the same cores, pictures are ready four times sooner.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from . import arbitrary, fixed, gatys, neighbours
from .errors import CheckpointError, InputError, StyleTransferError
from .images import load, save

__all__ = ["CheckpointError", "InputError", "StyleTransferError", "arbitrary", "fixed", "gatys", "load", "neighbours", "save"]
