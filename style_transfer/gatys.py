"""Style transfer by optimising the picture itself, coarse to fine (Gatys et al. 2016; Gatys et al. 2016b, section 5)."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from . import backbones, color, images, memory, regions, strokes
from . import device as devices
from .errors import InputError, StyleTransferError
from .images import fit, resize
from .losses import (
    content_loss,
    gaussian_loss,
    gaussian_target,
    gram_matrix,
    moments,
    normalized_content_loss,
    style_loss,
    total_variation,
)
from .networks.vgg import VGG19, layer_names
from .objective import Features, Objective, Sums, crop, guidance, is_large, map_size, pad, positions
from .options import Option, check
from .transforms import mean_and_deviation, normalize_weights

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
BETA = 30.0  # for an alpha of 1
SMALLEST = 32  # pixels; relu5_1 needs a few positions
EXPLODED = 20  # times the first loss: what is above is not taken for a step of the descent
RETRIES = 4
COARSEST = 128  # pixels of the smallest size gone through: relu5_1 sees all of it, and so a stroke of any width
FEWEST = 30  # steps at a size above WHOLE, where the coarse ones have done their work; Galerne et al. 2024, section 5
HISTORY, SHORT_HISTORY = 10, 4  # steps that L-BFGS remembers, each at the cost of two canvases; above WHOLE the latter
LARGEST_STYLE = 1 << 24  # pixels to which a style is enlarged
OPTIONS = {
    "alpha": Option(1.0, "Weight of the content.", 0.0),
    "beta": Option(BETA, "Weight of the style: only its ratio to the content's weight matters.", 0.0),
    "content_layer": Option("relu4_2", "Layer whose features keep the photograph's layout.",
                            choices={name: name for name in layer_names(VGG19["depths"])}),
    "style_layers": Option(STYLE_LAYERS, "Layers whose statistics are the style: shallow ones colour and grain, deep ones "
                                         "strokes and forms.", choices={name: name for name in layer_names(VGG19["depths"])}),
    "iterations": Option(260, "Steps of the optimisation, of all scales together.", 1, 100_000),
    "scales": Option(None, "Sizes gone through, coarse to fine; default: as many as size and strokes ask for.", 1, 8),
    "size": images.SIZE._replace(low=SMALLEST),
    "stroke": strokes.STROKE,
    "variation": Option(1.0, "Weight of the total variation, which smooths.", 0.0),
    "loss": Option("gaussian", "How features are compared: as Gaussian distributions, which keeps more of the photograph at as "
                               "much of the style, or by Gram matrices, as the paper does.",
                   choices={"gaussian": "Gaussian", "gram": "Gram"}),
    "init": Option("content", "What the optimisation starts from.", choices={n: n for n in ("content", "noise", "style")}),
    "optimizer": Option("lbfgs", "L-BFGS needs fewer steps, Adam less memory.", choices={"lbfgs": "L-BFGS", "adam": "Adam"}),
    "backbone": backbones.OPTION,
    **color.OPTIONS,
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

    features: Features  # of its pictures, {layer: [1, C, H, W]}, and their `mean`
    weight: float  # all styles' add up to 1; with masks, times the part of the picture that is the style's
    region: torch.Tensor | None = None  # [1, 1, H, W] in [0, 1], how much of it goes where; None: everywhere


class Term(NamedTuple):
    """A summand of what is minimised. To add one: its formula in losses.py, and a line in `standard_terms`.

    A function of the picture alone, without layers, works at any size. One of features works where the picture is taken as a
    whole (`objective.WHOLE`), and at any size when it is a function of sums over positions and prepared as `objective.Sums`.
    """

    name: str
    weight: float
    layers: tuple  # whose features it needs
    # (content's `Features`, [Target]), once a scale -> function of (picture, its features {layer: map}) -> loss, or `Sums`
    prepare: Callable


def content_term(layer):
    """`content_loss` over the target's energy 1/2 sum P^2, so that a weight means the same at any size, layer and network."""
    def prepare(content, styles):
        target = content[layer]
        scale = sum(content_loss(rows.float(), 0) for rows in target.split(64, 2)).clamp_min(1e-8)
        return Sums(lambda features, block: [content_loss(features[layer].float(), block.cut(layer, target).float()) / scale],
                    lambda sums: sums[0])
    return prepare


def normalized_content_term(layer):
    """`normalized_content_loss` as a function of sums over positions."""
    def prepare(content, styles):
        raw = content[layer]
        mean, deviation = mean_and_deviation(raw)
        target = ((raw - mean) / deviation).to(raw.dtype)
        count, energy = target.shape[2] * target.shape[3], target.float().pow(2).mean((2, 3))

        def own(features, block):
            f = features[layer].float() - mean  # near 0, so that no digits are lost to it
            return [part.sum((2, 3)) for part in (f, f.pow(2), f * block.cut(layer, target))]
        return Sums(own, lambda sums: normalized_content_loss(*(part / count for part in sums), energy))
    return prepare


class Loss(NamedTuple):
    """How features are compared with the photograph's and with a style's. To add one: a line in LOSSES."""

    content: Callable  # layer -> a term's `prepare`
    statistic: Callable  # of a style: a mean over positions, as `objective.Features.mean` takes it
    distance: Callable  # (statistic, target) -> squared distance
    target: Callable  # a style's statistic -> what `distance` takes of it
    energy: Callable  # a style's statistic -> what the distance is divided by, so that beta means the same for all
    deeper: float = 1.0  # weight of relu2_1 as a part of relu1_1's, and so on from block to block


LOSSES = {
    "gaussian": Loss(normalized_content_term, moments, gaussian_loss, gaussian_target,
                     lambda second: 2 * (second[0].trace() - second[0, -1, -1]), 0.7),
    "gram": Loss(content_term, gram_matrix, style_loss, lambda gram: gram, lambda gram: style_loss(gram, 0)),
}


def style_term(layers, loss=LOSSES["gram"]):
    """Weighted mean over layers and styles of a `Loss`'s distance between statistics, each over the style's energy.

    layers: {name: weight}, times the `Loss`'s for their depth. (Gatys et al. 2016, equation 5, for Gram matrices; with regions
    Gatys et al. 2017, equation 6.)
    """
    layers = {name: weight * loss.deeper ** int(name[4]) for name, weight in layers.items()}

    def prepare(content, styles):
        size, places = content.size(), [None] if styles[0].region is None else [style.region for style in styles]
        guides = [guidance(place, layers, *size, content.device) for place in places]
        wholes = [{name: positions(map_size(name, *size), guide[name]) for name in layers} for guide in guides]
        parts = []  # (weight, place among the sums, target)
        for k, style in enumerate(styles):
            for n, (name, target) in enumerate(style.features.mean(layers, loss.statistic).items()):
                weight = style.weight * layers[name] / sum(layers.values()) / loss.energy(target).clamp_min(1e-8)
                parts.append((weight, k % len(places) * len(layers) + n, loss.target(target)))

        def own(features, block):
            """Each region's statistics of a block times the part of the region that it is: they add up to the picture's."""
            sums = []
            for guide, whole in zip(guides, wholes):
                for name in layers:
                    part = block.cut(name, guide[name])
                    share = positions(features[name].shape, part) / max(whole[name], 1e-12)  # an empty region has none
                    sums.append(share * loss.statistic(features[name], part))
            return sums
        return Sums(own, lambda sums: sum(weight * loss.distance(sums[place], target) for weight, place, target in parts))
    return prepare


def standard_terms(alpha=DEFAULTS["alpha"], beta=DEFAULTS["beta"], variation=DEFAULTS["variation"],
                   content_layer=DEFAULTS["content_layer"], style_layers=STYLE_LAYERS, loss=DEFAULTS["loss"]):
    """alpha L_content + beta L_style (Gatys et al. 2016, equation 7) + total variation, as a list of `Term`.

    style_layers: names, or {name: weight}; loss: one of LOSSES. Raises InputError for weights and layers that cannot be.
    """
    check(OPTIONS, alpha=alpha, beta=beta, variation=variation, content_layer=content_layer, loss=loss)
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
        Term("content", alpha, (content_layer,), LOSSES[loss].content(content_layer)),
        Term("style", beta, tuple(layers), style_term(layers, LOSSES[loss])),
        Term("variation", variation, (), lambda content, styles: lambda picture, features: total_variation(picture)),
    ]


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


def optimize(content, styles, *, style_weights=None, masks=None, style_masks=None, alpha=DEFAULTS["alpha"],
             beta=DEFAULTS["beta"], content_layer=DEFAULTS["content_layer"], style_layers=STYLE_LAYERS,
             variation=DEFAULTS["variation"], loss=DEFAULTS["loss"], terms=None, iterations=DEFAULTS["iterations"],
             scales=DEFAULTS["scales"], size=None, stroke=DEFAULTS["stroke"], init=DEFAULTS["init"],
             optimizer=DEFAULTS["optimizer"], backbone=DEFAULTS["backbone"], network=None, preserve_color="off",
             color_strength=1.0, texture_strength=1.0, seed=DEFAULTS["seed"], device=None):
    """Optimise a picture towards a content's layout and the styles' statistics of features; yields a `Step` per iteration.

    content: [1, 3, H, W] in [0, 1]; styles: list of [1, 3, H', W'], or of lists of such pictures, an oeuvre, whose statistics
    are pooled; style_weights: one number a style, None = equal.
    masks: for each style a [1, 1, h, w] in [0, 1], how much of it goes where, of any size; where they add up to less than 1
    the photograph shows through, where to more they are divided by their sum. style_masks: for each style the same over its own
    picture, what of it counts, or None; for an oeuvre a list of such, or None.
    alpha, beta: weights of content and style; only their ratio and that to `variation` matter. Each loss is divided
    by its target's energy (of "gram", content: 1/2 sum P^2; style: 1/(4 N^2) sum A^2 a layer, layers averaged), so that a
    ratio means the same at any size, and in a region of any size. style_layers: names, or {name: weight}.
    loss: "gaussian" compares the content's normalised features, and the styles' means and covariances by the distance of
    the Gaussians that have them; "gram" is the paper's. terms: a list of `Term` in place of all these.
    size: long side of the result (None = the content's); stroke: size of the strokes, apart from it: how much larger than the
    picture the styles are at each scale, though a larger result alone does not enlarge them beyond their own size.
    scales: number of sizes, each twice the one before, up to `size`, of which the finest are kept where there are fewer
    iterations; None: from about 128 pixels over the stroke on. iterations: of all scales together, shared out evenly, but
    fewer above `objective.WHOLE` pixels, where they go block by block and L-BFGS remembers less.
    init: "content", "noise" or "style". optimizer: "lbfgs" or "adam".
    backbone: "compact", "vgg19" or "vgg16"; the full ones are fetched from the Hub when they are not here
    (`backbones.download` shows how far it is); network: a feature extractor that replaces it.
    preserve_color, color_strength, texture_strength: as `color.finish` takes them, for the pictures that are yielded.
    When the loss stops being finite or explodes, the last good picture is taken up again with smaller steps, and the
    step's message says so. Raises InputError for wrong arguments, CheckpointError and HubError for weights
    that cannot be had, StyleTransferError where even the first picture has no finite loss.
    """
    device = devices.pick(device)
    check(OPTIONS, iterations=iterations, scales=scales, stroke=stroke, init=init, optimizer=optimizer, backbone=backbone,
          seed=seed, color_strength=color_strength, texture_strength=texture_strength)
    finish = functools.partial(color.finish, preserve_color=color.check_mode(preserve_color), color_strength=color_strength,
                               texture_strength=texture_strength)
    content = images.check(content, "content").cpu()  # pictures are resized here: not every device can do that
    if not isinstance(styles, (list, tuple)) or not styles:
        raise InputError("The styles must be a list of at least one picture.")
    backbones.check(network)
    styles = [pictures_of(style) for style in styles]
    style_weights = normalize_weights(style_weights, len(styles))
    masks, style_masks = regions.check(masks, len(styles)), check_style_masks(style_masks, styles)
    if terms is None:
        terms = standard_terms(alpha, beta, variation, content_layer, style_layers, loss)
    if not isinstance(terms, (list, tuple)) or not terms or not all(isinstance(term, Term) for term in terms):
        raise InputError("The terms must be a list of at least one gatys.Term.")
    layers = {layer for term in terms for layer in term.layers}
    network = devices.place(network or backbones.load(backbone, layers, device), device)
    size = max(content.shape[2:]) if size is None else OPTIONS["size"].check("size", size)
    _check(network, content, sum(styles, []), layers, size)

    sizes = [fit(*content.shape[2:], side) for side in _sides(size, scales, stroke)[-iterations:]]
    memory.check("gatys", *sizes[-1], device)
    image, iteration = None, 0
    for shape, share in zip(sizes, _shares(iterations, sizes)):
        small = resize(content, shape)
        parts = None if masks is None else regions.of_content(masks, shape)
        targets = []
        for k, style in enumerate(styles):
            features = _style_features(network, style, style_masks[k], max(shape), stroke, device)
            weight, region = style_weights[k], None if parts is None else parts[k:k + 1]
            if region is not None:  # as strong at each of its pixels as it would be in the whole picture
                weight = weight * len(styles) * float(region.mean())
            targets.append(Target(features, weight, region))
        goal = Objective(network, small, targets, terms, device)
        del targets, features  # large pictures
        rest = None if parts is None else 1 - parts.sum(0, keepdim=True)  # where the photograph shows through
        start = _start(init, small, styles[0][0], seed) if image is None else resize(image, shape)
        for canvas, losses, message, last in _descend(goal, pad(start).to(device), share, optimizer):
            start, image = None, crop(canvas).cpu()
            result = finish(small, image)
            result = result if rest is None else torch.lerp(result, small, rest)
            iteration += 1
            yield Step(iteration, iterations, sum(losses.values()), losses, result, message, last and shape == sizes[-1])


def _sides(size, scales, stroke):
    """Long sides gone through, coarse to fine; larger strokes are laid out at smaller sizes."""
    if scales is None:
        scales = max(3, 1 + round(math.log2(size / COARSEST))) + round(math.log2(stroke))
    return sorted({max(round(size / 2 ** k), min(size, SMALLEST)) for k in range(min(max(scales, 1), OPTIONS["scales"].high))})


def _shares(iterations, sizes):
    """Iterations for each of the sizes (H, W), coarse to fine: equal parts, but above WHOLE a third from each to the next."""
    even = iterations // len(sizes)
    large = sum(is_large(*shape) for shape in sizes[1:])
    fine = [min(even, max(even // 3 ** k, FEWEST)) for k in range(1, large + 1)]
    count, rest = len(sizes) - large, iterations - sum(fine)
    return [rest // count + (k < rest % count) for k in range(count)] + fine


def pictures_of(style):
    """The pictures of a style: one, or those of an oeuvre."""
    pictures = style if isinstance(style, (list, tuple)) else [style]
    if not pictures:
        raise InputError("A style is an empty list: put at least one picture into it.")
    return [images.check(picture, "style").cpu() for picture in pictures]


def check_style_masks(masks, styles):
    """For each style a list with a mask, or None, for each of its pictures."""
    if masks is None:
        masks = [None] * len(styles)
    if not isinstance(masks, (list, tuple)) or len(masks) != len(styles):
        raise InputError(f"Each style needs one style mask, or None: a list of {len(styles)}.")
    checked = []
    for mask, style in zip(masks, styles):
        several = mask if isinstance(mask, (list, tuple)) else [mask] * (len(style) if mask is None else 1)
        if len(several) != len(style):
            raise InputError(f"A style of {len(style)} pictures needs a list of as many style masks, or None.")
        checked.append(regions.check(several, len(several), "style mask", True))
        if not any(one is None or one.any() for one in checked[-1]):
            raise InputError("A style mask is empty: mark the part of the style's picture that counts.")
    return checked


def _style_features(network, pictures, masks, long_side, stroke, device):
    pictures = [style_at(picture, long_side, stroke) for picture in pictures]
    guides = [mask if mask is None else regions.of_content([mask], picture.shape[2:])
              for mask, picture in zip(masks, pictures)]
    return Features(network, pictures, guides=guides, device=device)


def style_at(style, long_side, stroke=1.0):
    """A style for a picture of a long side: `stroke` times as large.

    Not beyond its own size times a stroke above 1, since an enlarged style makes a blurred picture, and the coarse sizes have
    laid the strokes out; with enough pixels on its short side for the deepest layer, and no more than LARGEST_STYLE.
    """
    height, width = style.shape[2:]
    own, strip = max(height, width), max(height, width) / min(height, width)
    side = max(min(long_side * stroke, own * max(stroke, 1)), 16 * strip)
    return resize(style, fit(height, width, round(min(side, math.sqrt(LARGEST_STYLE * strip)))))


def _start(init, content, style, seed):
    if init == "content":
        return content
    if init == "style":
        return resize(style, content.shape[2:])
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(content.shape, generator=generator)


def _optimizer(canvas, kind, factor):
    """A fresh variable at a canvas and the optimiser that moves it, its rate times a factor."""
    x = canvas.clone(memory_format=torch.contiguous_format).requires_grad_(True)
    if kind == "adam":
        return x, torch.optim.Adam([x], lr=0.02 * factor)
    history = SHORT_HISTORY if is_large(*x.shape[2:]) else HISTORY
    return x, torch.optim.LBFGS([x], lr=factor, max_iter=1, history_size=history, tolerance_grad=0, tolerance_change=0)


def _descend(objective, good, iterations, kind):
    """Minimise an objective within [0, 1] from a canvas on: yields (canvas, its {loss: float}, message, last) per iteration.

    L-BFGS without a line search rises now and then before it falls again, so what is handed on at the end is the best canvas.
    """
    def evaluate(x):
        """The losses at x; their gradient stays in x.grad."""
        x.grad = None
        return objective(x)

    def sound(losses):
        return math.isfinite(total := sum(losses.values())) and total < limit

    x, optimizer = _optimizer(good, kind, 1.0)
    losses, limit = evaluate(x), math.inf
    if not sound(losses):
        raise StyleTransferError("The losses of the first picture are no finite numbers: use smaller weights, other layers or "
                                 "--precision float32, or fetch the backbone again.")
    limit, retries, done, message = EXPLODED * sum(losses.values()) + 1, 0, 0, ""
    best = good, losses
    while done < iterations:
        optimizer.step(lambda: sum(losses.values()))  # noqa: B023  moves x by the gradient of `evaluate`
        with torch.no_grad():
            x.clamp_(0, 1)
        tried = evaluate(x)
        if sound(tried) and x.isfinite().all():
            good, losses, done = x.detach().clone(), tried, done + 1
            if sum(losses.values()) < sum(best[1].values()):
                best = good, losses
            last = done == iterations
            yield *(best if last else (good, losses)), message, last
            message = ""
            continue
        retries += 1
        if retries > RETRIES:
            yield *best, "The loss would not fall any further: this is the best picture so far.", True
            return
        message = "The loss exploded: going on from the last good picture with smaller steps."
        x, optimizer = _optimizer(good, kind, 0.3 ** retries)
        evaluate(x)
