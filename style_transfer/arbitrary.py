"""Any style without training for it: AdaIN (Huang and Belongie 2017) and WCT (Li et al. 2017), several styles blended."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import checkpoints
from . import device as devices
from .color import keep_content_colors, match_color
from .errors import InputError
from .images import fit, resize
from .transforms import affine, blend, coloring, normalize_weights, transfer, whitening
from .weights import decoders as decoders_and_encoder

METHODS = ("adain", "wct")
LEVELS = (5, 4, 3, 2, 1)
WCT_LEVELS = (4, 3, 2, 1)  # the default: from relu5_1, a sixteenth of the size, too little of the photograph comes back
MULTIPLE = 16  # four poolings: sides are continued to a multiple of it and cut back
SMALLEST = 16  # pixels; below, relu5_1 has no feature left to speak of


class Style(NamedTuple):
    """What a method needs to know of a style picture, computed once by `encode` and used for many contents."""

    method: str
    statistics: dict  # {layer: its `coloring`}
    decoder: str = ""  # that of `encode`


def _check(image, what):
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise InputError(f"The {what} must be one picture [1, 3, H, W], not {list(image.shape)}.")
    if min(image.shape[2:]) < SMALLEST:
        raise InputError(f"The {what} of {image.shape[3]} x {image.shape[2]} pixels is too small: "
                         f"both sides must have at least {SMALLEST} pixels.")
    if not torch.isfinite(image.sum()):  # the sum is not finite when one value is not, and is had in a tenth of the time
        raise InputError(f"The {what} holds values that are not numbers: save it again as a PNG or JPEG.")


def _run(network, inputs, *layers):
    """A network's answer, computed in the precision that is fastest on the device."""
    first = inputs if torch.is_tensor(inputs) else next(iter(inputs.values()))
    with devices.autocast(first.device):
        return network(inputs, *layers)


def _pad(image):
    """Continue a picture to sides that are multiples of MULTIPLE, by its last row and column."""
    height, width = image.shape[2:]
    return F.pad(image, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")


def _networks(method, levels, decoder, where):
    """The encoder and the decoders that a method needs."""
    if decoder:
        if method != "adain":
            raise InputError("Only AdaIN takes a decoder of your choice.")
        network = checkpoints.shared(decoder, where)
        if getattr(network, "level", None) != 4:
            raise InputError(f"{decoder} is no AdaIN decoder.")
        return checkpoints.encoder_of(decoder, where), [network]
    names = ["adain-decoder"] if method == "adain" else [f"wct-decoder-{level}" for level in levels or LEVELS]
    return decoders_and_encoder(names, where)


def _levels(method, levels):
    if method not in METHODS:
        raise InputError(f"There is no method {method!r}: choose among {', '.join(METHODS)}.")
    levels = sorted(set(levels), reverse=True)
    if not levels or not set(levels) <= set(LEVELS):
        raise InputError("WCT's levels are 1 to 5, at least one of them.")
    return levels


@torch.no_grad()
def encode(style, method="adain", device=None, decoder=None):
    """The statistics of a style picture [1, 3, H, W], for `stylize` with many contents and the same decoder."""
    where = devices.pick(device)
    _levels(method, LEVELS)
    _check(style, "style")
    layers = [f"relu{level}_1" for level in (LEVELS if method == "wct" else LEVELS[1:])]
    encoder, _ = _networks(method, (), decoder, where)
    features = _run(encoder, style.to(where, memory_format=torch.channels_last), layers)
    return Style(method, {n: coloring(f, diagonal=method == "adain") for n, f in features.items()}, str(decoder or ""))


@torch.no_grad()
def stylize(content, styles, weights=None, method="adain", alpha=1.0, preserve_color=False, masks=None, *,
            size=None, levels=WCT_LEVELS, decoder=None, device=None):
    """Give a content picture the statistics of one or several styles.

    content: [1, 3, H, W], sRGB in [0, 1]; styles: pictures [1, 3, H', W'] or what `encode` made of them for the same
    method; weights: one number a style, None = equal parts; alpha: 0 (the content, reconstructed) to 1.
    preserve_color: False, "luminance" (True; the content's colours under the result's luminance) or "match" (the
    styles' colours are first matched to the content's; needs pictures, not encoded styles).
    masks: [1, 1, H, W] in [0, 1] for each style, how much of it goes where, instead of weights.
    size: long side of the result in pixels, None = the content's. levels: those of WCT, 5 the deepest.
    decoder: path of another AdaIN decoder than the shipped one; its encoder lies in the same folder or in checkpoints/.
    Returns [1, 3, H, W] on the CPU. Raises InputError for wrong arguments, CheckpointError for missing weights.
    """
    where = devices.pick(device)
    levels = _levels(method, levels)
    if not styles:
        raise InputError("At least one style is needed.")
    if not 0 <= alpha <= 1:
        raise InputError("alpha must lie between 0 and 1.")
    if preserve_color not in (False, True, "luminance", "match"):
        raise InputError('preserve_color is False, "luminance" or "match".')
    if size is not None:
        content = resize(content, fit(*content.shape[2:], size))
    _check(content, "content")
    weights = normalize_weights(weights, len(styles))
    if masks is not None:
        weights = _mask_weights(masks, len(styles))
    encoded = []
    for style in styles:
        if isinstance(style, Style):
            if (style.method, style.decoder) != (method, str(decoder or "")) or preserve_color == "match":
                raise InputError("This style was encoded for another method or decoder, or without colour matching: "
                                 "pass the picture itself.")
            encoded.append(style)
        else:
            _check(style, "style")
            encoded.append(encode(match_color(style, content) if preserve_color == "match" else style, method, where, decoder))

    encoder, decoders = _networks(method, levels, decoder, where)
    image = _pad(content).to(where, memory_format=torch.channels_last)
    transfer = _adain if method == "adain" else _wct
    image = transfer(image, encoded, weights, alpha, encoder, decoders, levels)
    image = image[:, :, :content.shape[2], :content.shape[3]].clamp(0, 1).cpu()
    if preserve_color in (True, "luminance"):
        image = keep_content_colors(content, image)
    return image.contiguous()


def _adain(image, styles, weights, alpha, encoder, decoders, levels):
    """Decode alpha sum_k w_k AdaIN(f(c), f(s_k)) + (1 - alpha) f(c); Huang and Belongie 2017, equations 8, 14 and 15."""
    features = _run(encoder, image, decoders[0].layers)
    for name, f in features.items():
        white = whitening(f, diagonal=True)
        features[name] = _mix(f, [transfer(white, style.statistics[name]) for style in styles], weights, alpha)
    return _run(decoders[0], features).float()


def _wct(image, styles, weights, alpha, encoder, decoders, levels):
    """Whitening and colouring from the deepest level to the shallowest; Li et al. 2017, section 3.3."""
    for level, decoder in zip(levels, decoders):
        name = f"relu{level}_1"
        f = _run(encoder, image, [name])[name]
        white = whitening(f)
        f = _mix(f, [transfer(white, style.statistics[name]) for style in styles], weights, alpha)
        image = _run(decoder, {name: f}).float().clamp(0, 1)
    return image


def _mix(f, maps, weights, alpha):
    """alpha sum_k w_k (M_k f + b_k) + (1 - alpha) f; one map in all, unless the weights differ from place to place."""
    if any(torch.is_tensor(w) for w in weights):
        return (alpha * blend([affine(f, *m) for m in maps], _at_size(weights, f)) + (1 - alpha) * f).to(f.dtype)
    matrices, offsets = zip(*maps)
    matrix = alpha * blend(matrices, weights) + (1 - alpha) * torch.eye(f.shape[1], device=f.device)
    return affine(f, matrix, alpha * blend(offsets, weights))


def _mask_weights(masks, count):
    """Masks as weights that add up to 1 at every pixel; where all are 0, equal parts."""
    if len(masks) != count:
        raise InputError(f"{count} styles need {count} masks, not {len(masks)}.")
    if any(m.shape != masks[0].shape or m.ndim != 4 for m in masks):
        raise InputError("Masks must be [1, 1, H, W] and of one size.")
    stack = torch.stack([m.float().clamp(0, 1) for m in masks])
    stack = torch.where(stack.sum(0) > 0, stack, 1.0)
    return list(stack / stack.sum(0))


def _at_size(weights, features):
    """Numbers as they are, maps brought to the size of a feature map."""
    return [w if not torch.is_tensor(w) else
            F.interpolate(w.to(features.device), features.shape[2:], mode="area") for w in weights]
