"""One network, one style, one pass: Johnson's networks and Multimodal Transfer."""

import torch
import torch.nn.functional as F

from . import checkpoints, weights
from . import device as devices
from .color import keep_content_colors, match_color
from .errors import CheckpointError, InputError
from .images import fit, resize
from .networks import FIXED, of
from .networks.blocks import reflection_pad

MARGIN = 16  # pixels that are painted around the picture and cut off
SMALLEST = 16  # pixels
LARGEST = 4096  # pixels, for a network that sees the whole picture at once


def styles():
    """The styles in `checkpoints/`, by title: entries with .name, .title, .family, .credit, .file and more."""
    sources, _ = weights.installed(*FIXED)  # one damaged file must not hide the others; whoever asks for it is told
    return sorted((source.entry for source in sources), key=lambda item: item.title)


def _paint(network, content, reductions=(1,)):
    """All pictures that a network makes of [1, 3, H, W]; the last has the content's size.

    The content is reflected at its edges, and what is painted there cut off: what a network sees of its own padding
    would be a frame around the picture.
    """
    several = len(reductions) > 1  # the first subnet of several sees a quarter of the content
    margin = MARGIN * reductions[0]
    height, width = content.shape[2:]
    padded = reflection_pad(content, margin)
    side = network.multiple * reductions[0]
    padded = F.pad(padded, (0, -padded.shape[3] % side, 0, -padded.shape[2] % side), mode="replicate")
    pictures = network(F.avg_pool2d(padded, 4)) if several else [network(padded)]
    return [x[:, :, margin // k:margin // k - -height // k, margin // k:margin // k - -width // k]
            for x, k in zip(pictures, reductions)]


@torch.no_grad()
def outputs(content, style, *, size=None, device=None):
    """All pictures that a style's network makes: one of Johnson's, three of Multimodal Transfer.

    content: [1, 3, H, W], sRGB in [0, 1]; style: a name that `styles` gives, or a path to a weight file;
    size: long side of the last in pixels, None = the content's.
    Returns a list of [1, 3, h, w] on the CPU, in [0, 1]; the sides of Multimodal Transfer's are a quarter, half and all of
    the content's. Raises InputError for wrong arguments, CheckpointError for missing or damaged weights.
    """
    if content.ndim != 4 or content.shape[:2] != (1, 3):
        raise InputError(f"The content must be one picture [1, 3, H, W], not {list(content.shape)}.")
    if not torch.isfinite(content).all():
        raise InputError("The content holds values that are not numbers: save it again as a PNG or JPEG.")
    if size is not None:
        content = resize(content, fit(*content.shape[2:], size))
    height, width = content.shape[2:]
    if min(height, width) < SMALLEST or max(height, width) > LARGEST:
        raise InputError(f"The content of {width} x {height} pixels does not fit: sides of {SMALLEST} to {LARGEST} pixels do.")
    where = devices.pick(device)
    network = checkpoints.shared(weights.find(style, *FIXED), where)
    _, architecture = of(network)
    if not architecture.fixed:
        raise InputError(f"{style} is no network of a fixed style.")
    with devices.autocast(where):
        pictures = [image.float().cpu() for image in _paint(network, content.to(where), architecture.reductions)]
    if not all(torch.isfinite(image).all() for image in pictures):
        raise CheckpointError(f"The network of {style} gave values that are not numbers: fetch or train it again.")
    return [image.clamp(0, 1).contiguous() for image in pictures]


def stylize(content, style, strength=1.0, preserve_color=False, *, size=None, device=None):
    """Paint a picture in the style that a network was trained for.

    content: [1, 3, H, W], sRGB in [0, 1]; style: a name that `styles` gives, or a path to a weight file.
    strength: 0 (the content) to 1, a blend of input and output; preserve_color: False, "luminance" (True; the content's
    colours under the result's luminance) or "match" (the result's colours matched to the content's).
    size: long side of the result in pixels, None = the content's.
    Returns [1, 3, H, W] on the CPU. Raises InputError for wrong arguments, CheckpointError for missing or damaged weights.
    """
    return blend(content, outputs(content, style, size=size, device=device)[-1], strength, preserve_color)


def blend(content, image, strength=1.0, preserve_color=False):
    """A network's picture with the content's colours and mixed with it, as `stylize` says; content is resized to it."""
    if not 0 <= strength <= 1:
        raise InputError("The strength must lie between 0 and 1.")
    if preserve_color not in (False, True, "luminance", "match"):
        raise InputError('preserve_color is False, "luminance" or "match".')
    content = resize(content, image.shape[2:])
    if preserve_color == "match":
        image = match_color(image, content)
    elif preserve_color:
        image = keep_content_colors(content, image)
    return (strength * image + (1 - strength) * content).contiguous()
