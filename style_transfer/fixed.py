"""One network, one style: Johnson's networks, Multimodal Transfer, CycleGAN, and whatever else `networks` calls fixed."""

import copy

import torch
import torch.nn.functional as F

from . import canvas, checkpoints, color, images, memory, networks, progress, regions, strokes, tiles, transforms
from . import device as devices
from . import weights as weight_files
from .errors import CheckpointError, InputError
from .networks.blocks import reflection_pad, sequence
from .options import Option, check

MARGIN = 16  # pixels that are painted around the picture and cut off
RELATED = 0.5  # cosine between the kernels of two networks from which on one comes from the other, or both from a third
OPTIONS = {
    "strength": Option(1.0, "Strength of the style: 1 is the network's picture, 0 the photograph.", 0.0, 1.0),
    "stroke": strokes.STROKE,
    **color.OPTIONS,
    "size": images.SIZE,
}


def styles():
    """The styles in `checkpoints/`, by title: entries with .name, .title, .family, .credit, .file and more."""
    sources, _ = weight_files.installed(*networks.FIXED)  # one damaged file must not hide the others; who asks for it is told
    return sorted((source.entry for source in sources), key=lambda entry: entry.title)


def _paint(network, reductions, content, grain=1.0):
    """All pictures that a network makes of [1, 3, H, W]; the last has the content's size. grain: strength of the canvas.

    The content is reflected at its edges, and what is painted there cut off: what a network sees of its own padding
    would be a frame around the picture.
    """
    content = canvas.prime(content, network, grain)
    margin, side = MARGIN * reductions[0], network.multiple * reductions[0]
    height, width = content.shape[2:]
    padded = reflection_pad(content, margin)
    padded = F.pad(padded, (0, -padded.shape[3] % side, 0, -padded.shape[2] % side), mode="replicate")
    pictures = F.avg_pool2d(padded, reductions[0]) if reductions[0] > 1 else padded
    large, several, whole = height * width > tiles.TILE, len(reductions) > 1, padded.shape[3]

    def run(layers, x):
        share = (x.shape[3] / whole) ** 2  # each of Multimodal Transfer's subnets works on four times the pixels of the last
        with progress.part(share / 4 if several else 0, share):
            return tiles.sequence(layers, x) if large else sequence(progress.steps(layers), x)

    pictures = devices.run(network, pictures, run=run)
    pictures = [pictures] if torch.is_tensor(pictures) else pictures
    return [x[:, :, margin // k:margin // k - -height // k, margin // k:margin // k - -width // k]
            for x, k in zip(pictures, reductions)]


def _network(style, device):
    """(network, Architecture) of a fixed style. Raises InputError for weights of another kind."""
    path = weight_files.find(style)
    network = checkpoints.shared(path, device)
    _, architecture = networks.of(network)
    if not architecture.fixed:
        raise InputError(f"{path.stem} is no network of a fixed style: choose among {', '.join(s.name for s in styles())}.")
    return network, architecture


def _listed(style):
    """The styles of a list, or the one that is none."""
    return list(style) if isinstance(style, (list, tuple)) else [style]


def _check_related(several):
    """Raise InputError for networks that do not come from one another: what lies between them paints nothing."""
    def kernels(network):
        return torch.cat([p.flatten() for p in network.parameters() if p.ndim > 1])

    first, *others = several
    for other in others:
        same = type(other) is type(first) and other.arguments | {"canvas": 0} == first.arguments | {"canvas": 0}
        if not same or torch.cosine_similarity(kernels(other), kernels(first), dim=0) < RELATED:
            raise InputError("These styles cannot be blended, because their networks do not come from one another: choose "
                             "others, or give each a place of its own by masks.")


def blend(several, shares):
    """The network whose weights are sum_k s_k times those of several; Wang et al. 2019 (deep network interpolation), section 3.

    shares: numbers that add up to 1. Raises InputError for networks that do not come from one another.
    """
    _check_related(several)
    blended = copy.deepcopy(next((network for network in several if network.canvas), several[0]))
    states = [network.state_dict() for network in several]
    blended.load_state_dict({n: sum(share * state[n] for share, state in zip(shares, states)) for n in states[0]})
    return blended


def _painter(style, weights, device):
    """(network, Architecture, strength of its canvas) of a fixed style, or of several that are blended."""
    several = _listed(style)
    shares = transforms.normalize_weights(weights, len(several))
    several, shares = zip(*((name, share) for name, share in zip(several, shares) if share))
    found, architectures = zip(*(_network(name, device) for name in several))
    if len(found) == 1:
        return found[0], architectures[0], 1.0
    grain = sum(share for network, share in zip(found, shares) if network.canvas)
    return blend(found, shares), architectures[0], grain


@torch.no_grad()
def outputs(content, style, weights=None, *, size=None, device=None):
    """All pictures that a style's network makes: one of Johnson's, three of Multimodal Transfer.

    content: [1, 3, H, W], sRGB in [0, 1]; style: a name or a path, as `weights.find` takes it, or a list of them, which are
    blended (`blend`); weights: one number a style, None = equal parts;
    size: long side of the last in pixels, None = the content's.
    Returns a list of [1, 3, h, w] on the CPU, in [0, 1]; the sides of Multimodal Transfer's are a quarter, half and all of
    the content's. Raises InputError for wrong arguments, CheckpointError for missing or damaged weights.
    """
    check(OPTIONS, size=size)
    device = devices.pick(device)
    content = images.check(content, "content")
    if size is not None:
        content = images.resize(content, size)
    network, architecture, grain = _painter(style, weights, device)
    height, width = content.shape[2:]
    if min(height, width) < architecture.smallest:
        raise InputError(f"The content of {width} x {height} pixels is too small: both sides must have at least "
                         f"{architecture.smallest} pixels.")
    memory.check("fixed", height, width, device)
    pictures = [x.float().cpu() for x in _paint(network, architecture.reductions, content.to(device), grain)]
    if not all(image.sum().isfinite() for image in pictures):
        names = ", ".join(weight_files.find(name).stem for name in _listed(style))
        raise CheckpointError(f"The network of {names} gave values that are not numbers: fetch or train it again.")
    return [image.clamp_(0, 1).contiguous() for image in pictures]


def check_styles(style, weights=None, masks=None, device=None):
    """(styles, together or one to a mask, as lists; checked masks or None). Raises InputError for what does not fit."""
    several = _listed(style)
    if not several:
        raise InputError("At least one style is needed.")
    transforms.normalize_weights(weights, len(several))
    groups = [several] if masks is None or weights is not None else [[one] for one in several]
    for names in groups:
        _check_related([_network(name, devices.pick(device))[0] for name in names])
    return groups, regions.check(masks, len(groups))


@torch.no_grad()
def stylize(content, style, strength=1.0, preserve_color="off", masks=None, *, weights=None, stroke=1.0, color_strength=1.0,
            texture_strength=1.0, size=None, device=None):
    """Paint a picture of any size in the style that a network was trained for, or in several: blended, or each in a region.

    content: [1, 3, H, W], sRGB in [0, 1]; style: a name or a path, as `weights.find` takes it, or a list of them.
    strength: 0 (the content) to 1, a blend of input and output; weights: one number a style, None = equal parts, by which
    `blend` makes one network of them. masks: [1, 1, h, w] in [0, 1] for each style, where it goes, resized to the content, or
    with weights one mask for all; where they add up to less than 1, the photograph shows. stroke: size of the strokes, apart
    from the result's. preserve_color, color_strength, texture_strength: as `color.finish` takes them.
    size: long side of the result in pixels, None = the content's.
    Returns [1, 3, H, W] on the CPU. Raises InputError for wrong arguments, CheckpointError for missing or damaged weights.
    """
    device = devices.pick(device)
    check(OPTIONS, strength=strength, size=size, stroke=stroke, color_strength=color_strength,
          texture_strength=texture_strength)
    color.check_mode(preserve_color)
    groups, masks = check_styles(style, weights, masks, device)
    content = images.check(content, "content").cpu()
    if size is not None:
        content = images.resize(content, size)

    def paint(image):
        if masks is None:
            return outputs(image, groups[0], weights, device=device)[-1]
        shares = regions.of_content(masks, image.shape[2:])
        return regions.compose(shares, image, lambda k: outputs(image, groups[k], weights, device=device)[-1])

    smallest = max(_network(name, device)[1].smallest for names in groups for name in names)
    image = strokes.paint(content, stroke, paint, smallest)
    if masks is not None:
        image = regions.beside(content, image, masks)
    return mix(content, image, strength, preserve_color, color_strength, texture_strength)


def mix(content, image, strength=1.0, preserve_color="off", color_strength=1.0, texture_strength=1.0):
    """A network's picture with the content's colours and mixed with it, as `stylize` says; content is resized to it."""
    check(OPTIONS, strength=strength)
    image = images.check(image, "network's picture")
    content = images.resize(images.check(content, "content"), image.shape[2:]).cpu()
    image = color.finish(content, image, preserve_color, color_strength, texture_strength)
    return (image if strength == 1 else torch.lerp(content, image, float(strength))).contiguous()
