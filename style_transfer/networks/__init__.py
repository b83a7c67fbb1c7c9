"""The networks as torch.nn.Modules, and the table of what there is: no files, no downloads, no devices."""

from typing import NamedTuple

from torch import nn

from .cyclegan import Generator
from .decoder import Decoder
from .johnson import Johnson
from .multimodal import Multimodal
from .vgg import VGG


class Architecture(NamedTuple):
    """What the rest of the house knows of a kind of network."""

    network: type[nn.Module]  # keeps what it was built with in .arguments
    family: str  # of a weight file whose header names none
    fixed: bool = False  # whether it paints one style, from a picture to one or several pictures
    reductions: tuple[int, ...] = (1,)  # of its outputs' sides against the picture's, in the order of the outputs
    smallest: int = 16  # pixels a side of the picture must have


ARCHITECTURES = {
    "vgg": Architecture(VGG, "encoder"),
    "decoder": Architecture(Decoder, "decoder"),
    "johnson": Architecture(Johnson, "johnson", fixed=True),
    "multimodal": Architecture(Multimodal, "multimodal", fixed=True, reductions=(4, 2, 1)),
    "cyclegan": Architecture(Generator, "cyclegan", fixed=True),
}
FIXED = tuple(a.family for a in ARCHITECTURES.values() if a.fixed)  # families of fixed styles


def of(network):
    """(key, Architecture) of a network by its type. Raises TypeError for what is no network of the table."""
    for key, architecture in ARCHITECTURES.items():
        if type(network) is architecture.network:
            return key, architecture
    raise TypeError(f"{type(network).__name__} is none of {', '.join(ARCHITECTURES)}.")
