"""Style transfer by optimising the picture itself, coarse to fine (Gatys et al. 2016; Gatys et al. 2016b, section 5)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import backbones, color, images
from . import device as devices
from .errors import InputError, StyleTransferError
from .images import fit, resize
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .networks.vgg import VGG19, layer_names
from .options import Option, check
from .transforms import normalize_weights

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
BETA = 30.0  # for an alpha of 1
MARGIN = 16  # pixels of canvas beyond the picture: what convolutions do at an edge stays outside of it
SMALLEST = 32  # pixels; relu5_1 needs a few positions
EXPLODED = 20  # times the first loss: what is above is not taken for a step of the descent
RETRIES = 4
OPTIONS = {
    "alpha": Option(1.0, "Weight of the content.", 0.0),
    "beta": Option(BETA, "Weight of the style: only its ratio to the content's weight matters.", 0.0),
    "content_layer": Option("relu4_2", "Layer whose features keep the photograph's layout.",
                            choices={name: name for name in layer_names(VGG19["depths"])}),
    "style_layers": Option(STYLE_LAYERS, "Layers whose Gram matrices are the style: shallow ones colour and grain, deep ones "
                                         "strokes and forms.", choices={name: name for name in layer_names(VGG19["depths"])}),
    "iterations": Option(300, "Steps of the optimisation, of all scales together.", 1, 100_000),
    "scales": Option(3, "Sizes gone through, coarse to fine.", 1, 8),
    "size": images.SIZE._replace(low=SMALLEST),
    "style_scale": Option(1.0, "Long side of the styles over the result's: more gives larger strokes.", 0.1, 4.0),
    "variation": Option(1.0, "Weight of the total variation, which smooths.", 0.0),
    "init": Option("content", "What the optimisation starts from.", choices={n: n for n in ("content", "noise", "style")}),
    "optimizer": Option("lbfgs", "L-BFGS needs fewer steps, Adam less memory.", choices={"lbfgs": "L-BFGS", "adam": "Adam"}),
    "backbone": backbones.OPTION,
    "preserve_color": color.PRESERVE,
    "seed": Option(0, "The same seed gives the same picture.", 0, 2 ** 31 - 1),
}
DEFAULTS = {name: option.default for name, option in OPTIONS.items()}


class Step(NamedTuple):
    """State after one iteration of `optimize`."""

    iteration: int  # from 1
    iterations: int  # of all scales together
    total: float  # sum of the losses
    losses: dict  # {term: its loss times its weight} of the picture, before its colours are kept
    image: torch.Tensor  # [1, 3, H, W] in [0, 1], on the CPU, at the size of the scale being worked on
    message: str = ""  # what happened, when something did
    done: bool = False  # the last one, whether or not all iterations were needed


class Target(NamedTuple):
    """A style at one scale."""

    features: dict  # {layer: [1, C, H, W]}
    weight: float  # all styles' add up to 1


class Term(NamedTuple):
    """A summand of what is minimised. To add one: its formula in losses.py, and a line in `standard_terms`."""

    name: str
    weight: float
    layers: tuple  # whose features it needs
    prepare: Callable  # (content's features, [Target]), once a scale -> function of (picture, its features) -> loss


def content_term(layer):
    """`content_loss` over the target's energy 1/2 sum P^2, so that a weight means the same at any size, layer and network."""
    def prepare(content, styles):
        target = content[layer].float()
        energy = content_loss(target, 0).clamp_min(1e-8)
        return lambda picture, features: content_loss(features[layer].float(), target) / energy
    return prepare


def style_term(layers, statistic=gram_matrix, distance=style_loss):
    """Weighted mean over layers and styles of a distance between statistics, each over the style's energy.

    layers: {name: weight}. (Gatys et al. 2016, equation 5, for Gram matrices.)
    """
    def prepare(content, styles):
        parts = []
        for style in styles:
            for name, weight in layers.items():
                target = statistic(style.features[name])
                energy = distance(target, 0).clamp_min(1e-8)
                parts.append((style.weight * weight / sum(layers.values()) / energy, name, target))

        def loss(picture, features):
            own = {name: statistic(features[name]) for name in layers}
            return sum(weight * distance(own[name], target) for weight, name, target in parts)
        return loss
    return prepare


def standard_terms(alpha=DEFAULTS["alpha"], beta=DEFAULTS["beta"], variation=DEFAULTS["variation"],
                   content_layer=DEFAULTS["content_layer"], style_layers=STYLE_LAYERS):
    """alpha L_content + beta L_style (Gatys et al. 2016, equation 7) + total variation, as a list of `Term`.

    style_layers: names, or {name: weight}. Raises InputError for weights and layers that cannot be.
    """
    check(OPTIONS, alpha=alpha, beta=beta, variation=variation, content_layer=content_layer)
    if alpha + beta <= 0:
        raise InputError("One of alpha and beta must be above 0.")
    if not isinstance(style_layers, (dict, list, tuple)):
        raise InputError("The style layers must be a list of names, or {name: weight}.")
    layers = style_layers if isinstance(style_layers, dict) else dict.fromkeys(map(str, style_layers), 1.0)
    layers = {OPTIONS["style_layers"].check("style layer", n): OPTIONS["beta"].check(f"The weight of {n}", w)
              for n, w in layers.items()}
    if not any(layers.values()):
        raise InputError("At least one style layer with a weight above 0 is needed.")
    return [
        Term("content", alpha, (content_layer,), content_term(content_layer)),
        Term("style", beta, tuple(layers), style_term(layers)),
        Term("variation", variation, (), lambda content, styles: lambda picture, features: total_variation(picture)),
    ]


def _features(network, image, layers):
    return devices.run(network, image.contiguous(memory_format=torch.channels_last), layers)


def _interior(features, height, width):
    """Features {layer: map} of a padded canvas without what lies beyond the picture of height x width."""
    inside = {}
    for name, f in features.items():
        stride = 2 ** (int(name[4]) - 1)
        top, rows, columns = MARGIN // stride, max(1, height // stride), max(1, width // stride)
        inside[name] = f[:, :, top:top + rows, top:top + columns]
    return inside


def _objective(network, content, styles, terms):
    """The function canvas -> {term: loss times weight}; content: the picture at this scale, styles: [Target]."""
    height, width = content.shape[2:]
    layers = {layer for term in terms for layer in term.layers}
    with torch.no_grad():
        target = _interior(_features(network, _pad(content), layers), height, width)
        losses = [term.prepare(target, styles) for term in terms]

    def objective(canvas):
        features = _interior(_features(network, canvas, layers), height, width)
        picture = canvas[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return {term.name: term.weight * loss(picture, features) for term, loss in zip(terms, losses)}
    return objective


def _pad(image):
    """Continue a picture beyond its edges by reflection, or by its border where it is smaller than the margin."""
    return F.pad(image, (MARGIN,) * 4, mode="reflect" if min(image.shape[2:]) > MARGIN else "replicate")


def _check(network, content, styles, layers, size):
    if unknown := layers - set(network.layers):
        raise InputError(f"This network has no layer {', '.join(sorted(unknown))}: choose among {', '.join(network.layers)}.")
    for image in (content, *styles):
        if min(image.shape[2:]) < 2:
            raise InputError(f"A picture of {image.shape[3]} x {image.shape[2]} pixels is too small: "
                             f"use at least {SMALLEST} x {SMALLEST}.")
    if size < SMALLEST or min(fit(*content.shape[2:], size)) < 2:
        raise InputError(f"The picture would be too small at {size} pixels: its long side must be {SMALLEST} or more "
                         "and its short side must not vanish.")


def optimize(content, styles, *, style_weights=None, alpha=DEFAULTS["alpha"], beta=DEFAULTS["beta"],
             content_layer=DEFAULTS["content_layer"], style_layers=STYLE_LAYERS, variation=DEFAULTS["variation"], terms=None,
             iterations=DEFAULTS["iterations"], scales=DEFAULTS["scales"], size=None, style_scale=DEFAULTS["style_scale"],
             init=DEFAULTS["init"], optimizer=DEFAULTS["optimizer"], backbone=DEFAULTS["backbone"], network=None,
             preserve_color="off", seed=DEFAULTS["seed"], device=None):
    """Optimise a picture towards a content's layout and the styles' Gram matrices; yields a `Step` per iteration.

    content: [1, 3, H, W] in [0, 1]; styles: list of [1, 3, H', W']; style_weights: one number a style, None = equal.
    alpha, beta: weights of content and style; only their ratio and that to `variation` matter. Each loss is divided
    by its target's energy (content: 1/2 sum P^2; style: 1/(4 N^2) sum A^2 a layer, layers averaged), so that a ratio
    means the same at any size. style_layers: names, or {name: weight}. terms: a list of `Term` in place of all these.
    iterations: of all scales together; scales: number of sizes, each twice the one before, up to `size`, the long side
    of the result (None = the content's), of which the finest are kept where there are fewer iterations. style_scale: long
    side of the styles over the result's. init: "content", "noise" or "style". optimizer: "lbfgs" or "adam".
    backbone: "compact", "vgg19" or "vgg16"; the full ones are fetched from the Hub when they are not here
    (`backbones.download` shows how far it is); network: a feature extractor that replaces it.
    preserve_color: a mode of `color.preserve`, for the pictures that are yielded.
    When the loss stops being finite or explodes, the last good picture is taken up again with smaller steps, and the
    step's message says so. Raises InputError for wrong arguments, CheckpointError and HubError for weights
    that cannot be had, StyleTransferError where even the first picture has no finite loss.
    """
    device = devices.pick(device)
    check(OPTIONS, iterations=iterations, scales=scales, style_scale=style_scale, init=init, optimizer=optimizer,
          backbone=backbone, seed=seed)
    color.check_mode(preserve_color)
    content = images.check(content, "content").cpu()  # pictures are resized here: not every device can do that
    if not isinstance(styles, (list, tuple)) or not styles:
        raise InputError("The styles must be a list of at least one picture.")
    if network is not None and not hasattr(network, "layers"):
        raise InputError("The network must be a feature extractor, such as backbones.load gives.")
    styles = [images.check(style, "style").cpu() for style in styles]
    style_weights = normalize_weights(style_weights, len(styles))
    if terms is None:
        terms = standard_terms(alpha, beta, variation, content_layer, style_layers)
    if not isinstance(terms, (list, tuple)) or not terms or not all(isinstance(term, Term) for term in terms):
        raise InputError("The terms must be a list of at least one gatys.Term.")
    layers = {layer for term in terms for layer in term.layers}
    network = devices.place(network or backbones.load(backbone, layers, device), device)
    size = max(content.shape[2:]) if size is None else OPTIONS["size"].check("size", size)
    _check(network, content, styles, layers, size)

    sizes = sorted({max(round(size / 2 ** k), min(size, SMALLEST)) for k in range(scales)})[-iterations:]
    shares = [iterations // len(sizes) + (k < iterations % len(sizes)) for k in range(len(sizes))]
    image, iteration = None, 0
    for long_side, share in zip(sizes, shares):
        small = resize(content, fit(*content.shape[2:], long_side))
        with torch.no_grad():
            targets = [Target(_features(network, _style_at(style, long_side * style_scale).to(device), layers), weight)
                       for style, weight in zip(styles, style_weights)]
        objective = _objective(network, small.to(device), targets, terms)
        del targets  # of large pictures, larger than all else
        start = _start(init, small, styles, seed) if image is None else resize(image, small.shape[2:])
        for canvas, losses, message, last in _descend(objective, _pad(start).to(device), share, optimizer):
            iteration += 1
            image = canvas[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN].cpu()
            yield Step(iteration, iterations, sum(losses.values()), losses, color.preserve(small, image, preserve_color),
                       message, last and long_side == sizes[-1])


def _style_at(style, long_side):
    """A style at a long side, but with enough pixels on its short one for the deepest layer."""
    return resize(style, fit(*style.shape[2:], round(max(long_side, 16 * max(style.shape[2:]) / min(style.shape[2:])))))


def _start(init, content, styles, seed):
    if init == "content":
        return content
    if init == "style":
        return resize(styles[0], content.shape[2:])
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(content.shape, generator=generator)


def _optimizer(canvas, kind, factor):
    """A fresh variable at a canvas and the optimiser that moves it, its rate times a factor."""
    x = canvas.clone(memory_format=torch.contiguous_format).requires_grad_(True)
    if kind == "adam":
        return x, torch.optim.Adam([x], lr=0.02 * factor)
    return x, torch.optim.LBFGS([x], lr=factor, max_iter=1, history_size=10, tolerance_grad=0, tolerance_change=0)


def _descend(objective, canvas, iterations, kind):
    """Minimise an objective over a canvas within [0, 1]: yields (canvas, its {loss: float}, message, last) per iteration."""
    def evaluate(x):
        """The losses at x; their gradient stays in x.grad."""
        x.grad = None
        losses = objective(x)
        sum(losses.values()).backward()
        return {name: float(value.detach()) for name, value in losses.items()}

    def sound(losses):
        return math.isfinite(total := sum(losses.values())) and total < limit

    x, optimizer = _optimizer(canvas, kind, 1.0)
    losses, limit = evaluate(x), math.inf
    if not sound(losses):
        raise StyleTransferError("The losses of the first picture are no finite numbers: use smaller weights, other layers or "
                                 "--precision float32, or fetch the backbone again.")
    good, limit, retries, done, message = canvas, EXPLODED * sum(losses.values()) + 1, 0, 0, ""
    while done < iterations:
        optimizer.step(lambda: sum(losses.values()))  # noqa: B023  moves x by the gradient of `evaluate`
        with torch.no_grad():
            x.clamp_(0, 1)
        tried = evaluate(x)
        if sound(tried) and x.isfinite().all():
            good, losses, done = x.detach().clone(), tried, done + 1
            yield good, dict(losses), message, done == iterations
            message = ""
            continue
        retries += 1
        if retries > RETRIES:
            yield good, dict(losses), "The loss would not fall any further: this is the best picture so far.", True
            return
        message = "The loss exploded: going on from the last good picture with smaller steps."
        x, optimizer = _optimizer(good, kind, 0.3 ** retries)
        evaluate(x)
