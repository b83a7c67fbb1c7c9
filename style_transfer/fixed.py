"""One network, one style, one pass: Johnson's networks, Multimodal Transfer, and whatever `networks` calls fixed."""

import torch
import torch.nn.functional as F

from . import checkpoints, color, images, networks, weights
from . import device as devices
from .errors import CheckpointError, InputError
from .networks.blocks import reflection_pad
from .options import Option, check

MARGIN = 16  # pixels that are painted around the picture and cut off
LARGEST = 4096  # pixels, for a network that sees the whole picture at once
OPTIONS = {
    "strength": Option(1.0, "Strength of the style: 1 is the network's picture, 0 the photograph.", 0.0, 1.0),
    "preserve_color": color.PRESERVE,
    "size": images.SIZE,
}


def styles():
    """The styles in `checkpoints/`, by title: entries with .name, .title, .family, .credit, .file and more."""
    sources, _ = weights.installed(*networks.FIXED)  # one damaged file must not hide the others; who asks for it is told
    return sorted((source.entry for source in sources), key=lambda entry: entry.title)


def _paint(network, reductions, content):
    """All pictures that a network makes of [1, 3, H, W]; the last has the content's size.

    The content is reflected at its edges, and what is painted there cut off: what a network sees of its own padding
    would be a frame around the picture.
    """
    margin, side = MARGIN * reductions[0], network.multiple * reductions[0]
    height, width = content.shape[2:]
    padded = reflection_pad(content, margin)
    padded = F.pad(padded, (0, -padded.shape[3] % side, 0, -padded.shape[2] % side), mode="replicate")
    pictures = devices.run(network, F.avg_pool2d(padded, reductions[0]) if reductions[0] > 1 else padded)
    pictures = [pictures] if torch.is_tensor(pictures) else pictures
    return [x[:, :, margin // k:margin // k - -height // k, margin // k:margin // k - -width // k]
            for x, k in zip(pictures, reductions)]


@torch.no_grad()
def outputs(content, style, *, size=None, device=None):
    """All pictures that a style's network makes: one of Johnson's, three of Multimodal Transfer.

    content: [1, 3, H, W], sRGB in [0, 1]; style: a name or a path, as `weights.find` takes it;
    size: long side of the last in pixels, None = the content's.
    Returns a list of [1, 3, h, w] on the CPU, in [0, 1]; the sides of Multimodal Transfer's are a quarter, half and all of
    the content's. Raises InputError for wrong arguments, CheckpointError for missing or damaged weights.
    """
    check(OPTIONS, size=size)
    device = devices.pick(device)
    content = images.check(content, "content")
    if size is not None:
        content = images.resize(content, size)
    path = weights.find(style)
    network = checkpoints.shared(path, device)
    _, architecture = networks.of(network)
    if not architecture.fixed:
        raise InputError(f"{path.stem} is no network of a fixed style: choose among {', '.join(s.name for s in styles())}.")
    height, width = content.shape[2:]
    if min(height, width) < architecture.smallest or max(height, width) > LARGEST:
        raise InputError(f"The content of {width} x {height} pixels does not fit: sides of {architecture.smallest} to "
                         f"{LARGEST} pixels do.")
    pictures = [image.float().cpu() for image in _paint(network, architecture.reductions, content.to(device))]
    if not all(image.isfinite().all() for image in pictures):
        raise CheckpointError(f"The network of {path.stem} gave values that are not numbers: fetch or train it again.")
    return [image.clamp(0, 1).contiguous() for image in pictures]


def stylize(content, style, strength=1.0, preserve_color="off", *, size=None, device=None):
    """Paint a picture in the style that a network was trained for.

    content: [1, 3, H, W], sRGB in [0, 1]; style: a name or a path, as `weights.find` takes it.
    strength: 0 (the content) to 1, a blend of input and output; preserve_color: a mode of `color.preserve`.
    size: long side of the result in pixels, None = the content's.
    Returns [1, 3, H, W] on the CPU. Raises InputError for wrong arguments, CheckpointError for missing or damaged weights.
    """
    check(OPTIONS, strength=strength)
    color.check_mode(preserve_color)
    return mix(content, outputs(content, style, size=size, device=device)[-1], strength, preserve_color)


def mix(content, image, strength=1.0, preserve_color="off"):
    """A network's picture with the content's colours and mixed with it, as `stylize` says; content is resized to it."""
    check(OPTIONS, strength=strength)
    image = images.check(image, "network's picture")
    content = images.resize(images.check(content, "content"), image.shape[2:]).cpu()
    return torch.lerp(content, color.preserve(content, image, preserve_color), float(strength)).contiguous()
