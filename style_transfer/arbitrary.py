"""Any style without training for it: AdaIN (Huang and Belongie 2017) and WCT (Li et al. 2017), several styles blended."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import color, images, transforms
from . import device as devices
from . import weights as weight_files
from .errors import InputError
from .options import Option, check

LEVELS = (5, 4, 3, 2, 1)
WCT_LEVELS = (4, 3, 2, 1)  # the default: from relu5_1, a sixteenth of the size, too little of the photograph comes back
MULTIPLE = 16  # four poolings: sides are continued to a multiple of it and cut back
PICTURE = "picture"  # stands for the pixels where others are layers
SMALLEST = 16  # pixels; below, relu5_1 has no feature left to speak of


class Method(NamedTuple):
    """A way of arbitrary transfer."""

    title: str
    transforms: dict  # {layer, or PICTURE: what makes an affine map of the statistics of content and style}
    decoders: Callable  # levels -> names of the decoders, in the order of their use
    paint: Callable  # (image, encoder, decoders, transfer) -> image


class EncodedStyle(NamedTuple):
    """What a method needs to know of a style picture, computed once by `encode` and used for many contents."""

    method: str
    statistics: dict  # {layer: its `transforms.Statistics`}
    decoder: str = ""  # that of `encode`


def _decode_once(image, encoder, decoders, transfer):
    """All layers are transformed, and one decoder paints them; Huang and Belongie 2017, section 5.

    Deviation: what AdaIN leaves of the photograph's hues, because it moves each channel by itself, is taken from the picture.
    """
    features = devices.run(encoder, image, decoders[0].layers)
    image = devices.run(decoders[0], {layer: transfer(layer, f) for layer, f in features.items()}).float()
    return transfer(PICTURE, image)


def _coarse_to_fine(image, encoder, decoders, transfer):
    """From the deepest layer to the shallowest, each on the picture that the one before made; Li et al. 2017, section 3.3."""
    for decoder in decoders:
        layer, = decoder.layers
        features = devices.run(encoder, image, [layer])[layer]
        image = devices.run(decoder, {layer: transfer(layer, features)}).float().clamp(0, 1)
    return image


_LAYERS = [f"relu{level}_1" for level in LEVELS]
METHODS = {
    "adain": Method("AdaIN", {**dict.fromkeys(_LAYERS[1:], transforms.adain), PICTURE: transforms.palette},
                    lambda levels: ["adain-decoder"], _decode_once),
    "wct": Method("WCT", dict.fromkeys(_LAYERS, transforms.wct),
                  lambda levels: [f"wct-decoder-{level}" for level in levels], _coarse_to_fine),
}
OPTIONS = {
    "method": Option("adain", "AdaIN is the fastest, WCT gives stronger textures.",
                     choices={name: method.title for name, method in METHODS.items()}),
    "alpha": Option(1.0, "Strength of the style: 1 takes it on in full, 0 only rebuilds the photograph.", 0.0, 1.0),
    "preserve_color": color.PRESERVE,
    "size": images.SIZE,
    "levels": Option(WCT_LEVELS, "WCT's levels: deep ones carry composition, shallow ones colour and grain.",
                     choices={level: f"relu{level}_1" for level in LEVELS}),
}


def _networks(method, levels, decoder, device):
    """The encoder and the decoders that a method needs."""
    if decoder and method != "adain":
        raise InputError("Only AdaIN takes a decoder of your choice.")
    encoder, decoders = weight_files.decoders([decoder] if decoder else METHODS[method].decoders(levels), device)
    if decoder and getattr(decoders[0], "level", None) != 4:
        raise InputError(f"{decoder} is no AdaIN decoder: name one that `weights list` gives.")
    return encoder, decoders


@torch.no_grad()
def encode(style, method="adain", device=None, decoder=None):
    """The statistics of a style picture [1, 3, H, W], for `stylize` with many contents and the same decoder."""
    device = devices.pick(device)
    check(OPTIONS, method=method)
    style = images.check(style, "style", SMALLEST).to(device, memory_format=torch.channels_last)
    encoder, _ = _networks(method, WCT_LEVELS, decoder, device)
    features = devices.run(encoder, style, [n for n in METHODS[method].transforms if n in encoder.layers])
    if PICTURE in METHODS[method].transforms:
        features[PICTURE] = style
    return EncodedStyle(method, {n: transforms.statistics(f) for n, f in features.items()}, str(decoder or ""))


@torch.no_grad()
def stylize(content, styles, weights=None, method="adain", alpha=1.0, preserve_color="off", masks=None, *,
            size=None, levels=WCT_LEVELS, decoder=None, smooth=None, device=None):
    """Give a content picture the statistics of one or several styles.

    content: [1, 3, H, W], sRGB in [0, 1]; styles: pictures [1, 3, H', W'] or what `encode` made of them for the same
    method; weights: one number a style, None = equal parts; alpha: 0 (the content, reconstructed) to 1.
    preserve_color: a mode of `color.preserve`. masks: [1, 1, h, w] in [0, 1] for each style, how much of it goes where,
    instead of weights; resized to the content. size: long side of the result in pixels, None = the content's. levels: those
    of WCT, 5 the deepest. decoder: another AdaIN decoder than the shipped one, a path or a name, as `weights.find` takes it.
    smooth: smooth(layer, `transforms.Statistics` of the content) -> those to use instead, of the frame of a film.
    Returns [1, 3, H, W] on the CPU. Raises InputError for wrong arguments, CheckpointError for missing weights.
    """
    device = devices.pick(device)
    check(OPTIONS, method=method, alpha=alpha, size=size)
    color.check_mode(preserve_color)
    if not all(isinstance(several, (list, tuple)) and several for several in (styles, levels)):
        raise InputError("At least one style and one of the levels are needed, each in a list.")
    levels = sorted({OPTIONS["levels"].check("level", level) for level in levels}, reverse=True)
    content = images.check(content, "content", 1 if size else SMALLEST)
    if size is not None:
        content = images.check(images.resize(content, size), "content", SMALLEST)
    encoded = []
    for style in styles:
        if not isinstance(style, EncodedStyle):
            style = encode(style, method, device, decoder)
        elif (style.method, style.decoder) != (method, str(decoder or "")):
            raise InputError("This style was encoded for another method or decoder: pass the picture itself.")
        encoded.append(style)
    weights = transforms.normalize_weights(weights, len(styles))
    regions = _regions(masks, content, len(styles), device)

    def transfer(layer, features):
        """alpha sum_k w_k T_k(f) + (1 - alpha) f, with a map of weights for each style where there are masks."""
        statistics = transforms.statistics(features)
        statistics = smooth(layer, statistics) if smooth else statistics
        maps = [METHODS[method].transforms[layer](statistics, style.statistics[layer]) for style in encoded]
        if regions is None:
            return transforms.apply(transforms.blend(maps, weights, alpha), features)
        parts = F.interpolate(regions, features.shape[2:], mode="area").unsqueeze(1)
        return sum(part * transforms.apply(transforms.blend([m], [1.0], alpha), features)
                   for part, m in zip(parts, maps)).to(features.dtype)

    encoder, decoders = _networks(method, levels, decoder, device)
    image = METHODS[method].paint(_pad(content).to(device, memory_format=torch.channels_last), encoder, decoders, transfer)
    image = image[:, :, :content.shape[2], :content.shape[3]].clamp(0, 1).cpu()
    return color.preserve(content.cpu(), image, preserve_color).contiguous()


def _pad(image):
    """Continue a picture to sides that are multiples of MULTIPLE, by its last row and column."""
    height, width = image.shape[2:]
    return F.pad(image, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")


def _regions(masks, content, count, device):
    """Masks as weights [K, 1, H, W] that add up to 1 at every pixel of the padded content; where all are 0, equal parts."""
    if masks is None:
        return None
    if not isinstance(masks, (list, tuple)) or len(masks) != count:
        raise InputError(f"Each style needs one mask: a list of {count}.")
    for mask in masks:
        if not torch.is_tensor(mask) or mask.ndim != 4 or mask.shape[:2] != (1, 1) or not mask.numel():
            found = list(mask.shape) if torch.is_tensor(mask) else type(mask).__name__
            raise InputError(f"A mask must be a tensor [1, 1, H, W] in [0, 1], not {found}.")
        if not mask.float().isfinite().all():
            raise InputError("A mask holds values that are not numbers: make it anew, from 0 (outside) to 1 (inside).")
    stack = torch.cat([F.interpolate(m.detach().float().cpu(), content.shape[2:], mode="bilinear", antialias=True)
                       for m in masks]).clamp(0, 1)
    stack = torch.where(stack.sum(0) > 0, stack, 1.0)
    return _pad(stack / stack.sum(0)).to(device)
