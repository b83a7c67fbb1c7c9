"""Neural style transfer: Gatys's optimisation, nearest neighbours, AdaIN and WCT on one compact encoder."""

from . import arbitrary, fixed, gatys, neighbours
from .errors import CheckpointError, InputError, StyleTransferError
from .images import load, save

__all__ = ["CheckpointError", "InputError", "StyleTransferError", "arbitrary", "fixed", "gatys", "load", "neighbours", "save"]
