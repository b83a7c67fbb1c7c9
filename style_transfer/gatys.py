"""Style transfer by optimising the picture itself, coarse to fine (Gatys et al. 2016; Gatys et al. 2016b, section 5)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import backbones
from . import device as devices
from .errors import InputError
from .images import fit, resize
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .transforms import normalize_weights

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
BETA = 30.0  # for an alpha of 1
VARIATION = 1.0
ITERATIONS = 300
SCALES = 3
MARGIN = 16  # pixels of canvas beyond the picture: what convolutions do at an edge stays outside of it
SMALLEST = 32  # pixels; relu5_1 needs a few positions


class Step(NamedTuple):
    """State after one iteration of `optimize`."""

    iteration: int  # from 1
    iterations: int  # of all scales together
    total: float  # alpha * content + beta * style + total variation, before this iteration's update
    losses: dict  # {"content": , "style": , "variation": }, weighted, adding up to total
    image: torch.Tensor  # [1, 3, H, W] in [0, 1], on the CPU, at the size of the scale being worked on
    message: str = ""  # what happened, when something did


class _Objective:
    """alpha L_content + beta L_style + variation of a canvas, each loss relative to its target's energy.

    So alpha and beta mean the same for every picture, size, layer and network.
    """

    def __init__(self, network, content, styles, style_weights, content_layer, style_layers, alpha, beta, variation):
        self.network, self.alpha, self.beta, self.variation = network, alpha, beta, variation
        self.content_layer, self.style_layers = content_layer, style_layers
        self.layers = {content_layer, *style_layers}
        with torch.no_grad():
            self.content = self._features(content, [content_layer])[content_layer].float()
            self.content_scale = content_loss(self.content, 0).clamp_min(1e-8)
            targets = [self._features(s, style_layers) for s in styles]
        self.grams, self.scales = [], []  # one dict a style
        for features in targets:
            grams = {n: gram_matrix(features[n]) for n in style_layers}
            self.grams.append(grams)
            self.scales.append({n: style_loss(g, 0).clamp_min(1e-8) for n, g in grams.items()})
        self.style_weights = style_weights

    def _features(self, image, layers):
        with devices.autocast(image.device):
            return self.network(image.contiguous(memory_format=torch.channels_last), layers)

    def __call__(self, canvas):
        features = self._features(canvas, self.layers)
        content = content_loss(features[self.content_layer].float(), self.content) / self.content_scale
        layers_total = sum(self.style_layers.values())
        style = 0.0
        for name, layer_weight in self.style_layers.items():
            gram = gram_matrix(features[name])
            for weight, grams, scales in zip(self.style_weights, self.grams, self.scales):
                style = style + weight * layer_weight / layers_total * style_loss(gram, grams[name]) / scales[name]
        return {"content": self.alpha * content, "style": self.beta * style,
                "variation": self.variation * total_variation(canvas)}


def _pad(image, margin=MARGIN):
    """Continue a picture beyond its edges by reflection, or by its border where it is smaller than the margin."""
    mode = "reflect" if min(image.shape[2:]) > margin else "replicate"
    return F.pad(image, (margin,) * 4, mode=mode)


def _check(network, content, styles, content_layer, style_layers, alpha, beta, iterations, size):
    for name in (content_layer, *style_layers):
        if name not in network.layers:
            raise InputError(f"There is no layer {name}: choose among {', '.join(network.layers)}.")
    if not style_layers or any(not 0 <= w < math.inf for w in style_layers.values()) or not any(style_layers.values()):
        raise InputError("At least one style layer with a weight above 0 is needed.")
    if not (0 <= alpha < math.inf and 0 <= beta < math.inf and alpha + beta > 0):
        raise InputError("alpha and beta must be 0 or more, and one of them above 0.")
    if iterations < 1:
        raise InputError("At least one iteration is needed.")
    for image in (content, *styles):
        if not torch.isfinite(image).all():
            raise InputError("The picture holds values that are not numbers: save it again as a PNG or JPEG.")
        if min(image.shape[2:]) < 2:
            raise InputError(f"A picture of {image.shape[3]} x {image.shape[2]} pixels is too small: "
                             f"use at least {SMALLEST} x {SMALLEST}.")
    if size < SMALLEST or min(fit(*content.shape[2:], size)) < 2:
        raise InputError(f"The picture would be too small at {size} pixels: its long side must be {SMALLEST} or more "
                         "and its short side must not vanish.")


def optimize(content, styles, *, style_weights=None, alpha=1.0, beta=BETA, content_layer=CONTENT_LAYER,
             style_layers=STYLE_LAYERS, variation=VARIATION, iterations=ITERATIONS, scales=SCALES, size=None, style_scale=1.0,
             init="content", optimizer="lbfgs", backbone="compact", network=None, seed=0, device=None):
    """Optimise a picture towards a content's layout and the styles' Gram matrices; yields a `Step` per iteration.

    content: [1, 3, H, W] in [0, 1]; styles: list of [1, 3, H', W']; style_weights: one number a style, None = equal.
    alpha, beta: weights of content and style; only their ratio and that to `variation` matter. Each loss is divided
    by its target's energy (content: 1/2 sum P^2; style: 1/(4 N^2) sum A^2 a layer, layers averaged), so that a ratio
    means the same at any size. style_layers: names, or {name: weight}.
    iterations: of all scales together; scales: number of sizes, each twice the one before, up to `size`, the long side
    of the result (None = the content's). style_scale: long side of the styles over the result's.
    init: "content", "noise" or "style". optimizer: "lbfgs" or "adam". backbone: "compact", "vgg19" or "vgg16";
    the full ones are fetched from the Hub when they are not here (`backbones.download` shows how far it is);
    network: a feature extractor that replaces it.
    When the loss stops being finite or explodes, the last good picture is taken up again with smaller steps, and the
    step's message says so. Raises InputError for wrong arguments, CheckpointError and HubError for weights
    that cannot be had.
    """
    where = devices.pick(device)
    style_layers = dict(style_layers) if isinstance(style_layers, dict) else dict.fromkeys(style_layers, 1.0)
    network = (network or backbones.load(backbone, {content_layer, *style_layers})).to(where)
    style_weights = normalize_weights(style_weights, len(styles))
    size = size or max(content.shape[2:])
    _check(network, content, styles, content_layer, style_layers, alpha, beta, iterations, size)
    if init not in ("content", "noise", "style") or optimizer not in ("lbfgs", "adam"):
        raise InputError('init is "content", "noise" or "style"; optimizer is "lbfgs" or "adam".')
    content, styles = content.to(where), [s.to(where) for s in styles]

    sizes = sorted({max(round(size / 2 ** k), min(size, SMALLEST)) for k in range(scales)})
    shares = [iterations // len(sizes) + (k < iterations % len(sizes)) for k in range(len(sizes))]
    image, iteration = None, 0
    for long_side, share in zip(sizes, shares):
        small = resize(content, fit(*content.shape[2:], long_side))
        targets = [_style_at(s, long_side * style_scale) for s in styles]
        objective = _Objective(network, _pad(small), targets, style_weights, content_layer, style_layers,
                               alpha, beta, variation)
        if image is None:
            image = _start(init, small, styles, seed)
        start = _pad(resize(image, small.shape[2:]))
        for canvas, losses, message in _descend(objective, start, share, optimizer):
            iteration += 1
            image = canvas[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
            yield Step(iteration, iterations, sum(losses.values()), losses, image.cpu(), message)


def _style_at(style, long_side):
    """A style at a long side, but with enough pixels on its short one for the deepest layer."""
    return resize(style, fit(*style.shape[2:], round(max(long_side, 16 * max(style.shape[2:]) / min(style.shape[2:])))))


def _start(init, content, styles, seed):
    if init == "content":
        return content
    if init == "style":
        return resize(styles[0], content.shape[2:])
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(content.shape, generator=generator).to(content.device)


def _descend(objective, canvas, iterations, kind):
    """Minimise an objective over a canvas within [0, 1]: yields (canvas, {loss: float}, message) per iteration."""
    rate = {"lbfgs": 1.0, "adam": 0.02}[kind]
    good, first, retries, message = canvas.clone(), None, 0, ""

    def fresh(start):
        x = start.clone(memory_format=torch.contiguous_format).requires_grad_(True)
        cls = torch.optim.LBFGS if kind == "lbfgs" else torch.optim.Adam
        return x, cls([x], lr=rate, **(dict(max_iter=1, history_size=10, tolerance_grad=0, tolerance_change=0)
                                       if kind == "lbfgs" else {}))

    x, optimizer = fresh(canvas)
    losses = {}

    def closure():
        optimizer.zero_grad()
        parts = objective(x)
        total = sum(parts.values())
        total.backward()
        losses.clear()
        losses.update({n: float(v.detach()) for n, v in parts.items()})
        return total

    done = 0
    while done < iterations:
        optimizer.step(closure)
        total = sum(losses.values())
        with torch.no_grad():
            x.clamp_(0, 1)
            sound = math.isfinite(total) and bool(torch.isfinite(x).all()) and (first is None or total < 20 * first + 1)
        if not sound:
            retries += 1
            if retries > 4:
                message = "The loss would not fall any further: this is the best picture so far."
                yield good, losses if math.isfinite(total) else dict.fromkeys(losses, 0.0), message
                return
            rate *= 0.3
            message = "The loss exploded: going on from the last good picture with smaller steps."
            x, optimizer = fresh(good)
            continue
        first = total if first is None else first
        good = x.detach().clone()
        done += 1
        yield good, dict(losses), message
        message = ""
