"""Style transfer by nearest neighbours: each place of the photograph takes on those of the styles' features most like its own.

Kolkin et al. 2022, "Neural Neighbor Style Transfer", by optimising the picture coarse to fine. Other than in the paper, layers
are brought to equal energy, since in the compact encoder relu1_1 would outweigh the others; neighbours are looked for in
principal components; to the cosine distance comes a little of the squared one, without which colours and contrast drift; and
fewer steps are taken, each longer.
"""

import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import backbones, color, guided, images, memory, objective, regions, strokes
from . import device as devices
from .errors import InputError, StyleTransferError
from .gatys import check_style_masks, pictures_of, style_at
from .images import fit, resize
from .options import Option, check

DEEPEST = "relu4_3"  # deeper layers take time and change nothing; the authors' code
GRID = 4  # pixels a side for each hypercolumn
SMALLEST = 16  # pixels of a side; relu4_3 needs two positions
COARSEST = 64  # pixels of the smallest size gone through
LARGEST = objective.WHOLE  # pixels of the largest one: what is beyond is enlarged
LEVELS = 8  # of the pyramid whose coefficients are moved
RATE, MOST_RATE = 0.6, 0.02  # of Adam, times the steps of a scale; it falls to nothing, against grain
COMPONENTS = 64  # directions of the styles' features, in which neighbours are looked for
CANDIDATES = 1 << 16  # features of the styles among which neighbours are looked for
SIMILARITIES = 1 << 24  # that are held at a time
ANCHOR = 0.1  # weight of the squared distance; more of it dulls, as features that do not fit together are averaged
SPLIT = 64  # places along the long side of each layer's map that the last pass looks at
AGAIN = 10  # steps of the last pass between two searches for neighbours
TURNS = 4  # in which the styles are looked at, 90 degrees apart
OPTIONS = {
    "alpha": Option(0.75, "How much the search for likeness goes by the photograph: less follows the strokes laid out so far.",
                    0.0, 1.0),
    "iterations": Option(160, "Steps of the optimisation, of all scales together.", 1, 100_000),
    "size": images.SIZE,
    "stroke": strokes.STROKE,
    "backbone": backbones.OPTION,
    **color.OPTIONS,
}
DEFAULTS = {name: option.default for name, option in OPTIONS.items()}


class Step(NamedTuple):
    """State after one iteration of `optimize`."""

    iteration: int  # from 1
    iterations: int  # of all scales together
    loss: float  # distance to the neighbours, before colours are kept
    image: torch.Tensor  # [1, 3, H, W] in [0, 1], on the CPU, at the size of the scale being worked on

    @property
    def done(self):
        return self.iteration == self.iterations


class _Work(NamedTuple):
    """A style's picture in one of its turns."""

    image: torch.Tensor  # [1, 3, H, W]
    mask: torch.Tensor | None  # [1, 1, H, W], what of it counts


@torch.no_grad()
def nearest(features, candidates):
    """For each feature the number of the candidate nearest to it in centred cosine distance: [N, C], [M, C] -> [N].

    1 - cos(f - mean f, c - mean c), section 3.1, in the COMPONENTS directions in which the candidates vary the most.
    """
    x, y = features.float() - features.float().mean(0), candidates.float() - candidates.float().mean(0)
    if y.shape[1] > COMPONENTS:
        directions = torch.linalg.eigh((y.T @ y).cpu().double())[1][:, -COMPONENTS:].to(y)  # ascending
        x, y = x @ directions, y @ directions
    kind = devices.precision(y.device)
    x, y = (F.normalize(rows, dim=1).to(kind) for rows in (x, y))
    parts = x.split(max(1, SIMILARITIES // len(y)))
    return torch.cat([(part @ y.T).max(1).indices for part in parts])  # of bfloat16, argmax takes four times as long


def _rows(features):
    """[1, C, H, W] as [H W, C]."""
    return features[0].flatten(1).T


def _thinned(candidates, most):
    """At most so many candidates [M, C], evenly taken from all."""
    return candidates[::math.ceil(len(candidates) / most)]


def _replaced(features, labels, pools):
    """Features [N, C], each replaced by its nearest neighbour in the pool [M, C] that its label [N] says."""
    out = torch.empty_like(features)
    for k, pool in enumerate(pools):
        if (own := labels == k).any():
            out[own] = pool[nearest(features[own], pool)]
    return out


def _turned(image):
    return [torch.rot90(image, k, (2, 3)).contiguous() for k in range(TURNS)]


def _half(image):
    return F.interpolate(image, [side // 2 for side in image.shape[2:]], mode="bilinear", antialias=True)


def _enlarged(image, size):
    return image if image.shape[2:] == size else F.interpolate(image, size, mode="bilinear")


def pyramid(image):
    """The Laplacian pyramid of a picture, fine to coarse: differences to the next level enlarged, and the last level."""
    levels = []
    while len(levels) < LEVELS and min(image.shape[2:]) > 1:
        small = _half(image)
        levels.append(image - _enlarged(small, image.shape[2:]))
        image = small
    return [*levels, image]


def collapse(levels):
    """The picture of a `pyramid`."""
    return functools.reduce(lambda image, level: _enlarged(image, level.shape[2:]) + level, reversed(levels))


class _Columns:
    """The loss of one scale: the distance of hypercolumns to their neighbours; section 3.2.

    groups: lists of `_Work` that choose among each other's features; labels: function of (h, w) -> [h w], which group each
    place of a picture belongs to.
    """

    def __init__(self, network, layers, groups, labels, search):
        self.network, self.layers = network, layers
        energies = torch.stack([self._energies(work.image) for group in groups for work in group[::TURNS]]).mean(0)
        self.gains = energies.clamp_min(1e-12).rsqrt().tolist()
        with torch.no_grad():
            pools = [torch.cat([_counted(self._columns(image), mask) for image, mask in group]) for group in groups]
            pools = [_thinned(pool, CANDIDATES) for pool in pools]
            wanted = self._columns(search)
            found = _replaced(_rows(wanted), labels(wanted.shape[2:]), pools)
            self.target = found.T.contiguous().T  # in memory as the columns lie, which takes a quarter from a step

    @torch.no_grad()
    def _energies(self, image):
        features = objective.features(self.network, image, self.layers)
        return torch.stack([features[name].float().square().sum(1).mean() for name in self.layers])

    def _columns(self, image):
        """Features of all layers, one after the other, at the places of a grid: [1, C, h, w]."""
        features, size = objective.features(self.network, image, self.layers), [side // GRID for side in image.shape[2:]]
        return torch.cat([gain * (_enlarged(f, size) if f.shape[2] < size[0] else F.adaptive_avg_pool2d(f, size))
                          for gain, f in ((gain, features[name].float()) for gain, name in zip(self.gains, self.layers))], 1)

    def __call__(self, image):
        return _distance(_rows(self._columns(image)), self.target, 0)


def _distance(features, target, centre):
    """Of features [N, C] from their neighbours: the mean of 1 - cos(f - centre, t - centre), and ANCHOR times their squared
    distance over the neighbours' variance."""
    f, t = features - centre, target - centre
    ff, ft, tt = (f * f).sum(1), (f * t).sum(1), (t * t).sum(1)
    cosine = ft / (ff * tt).clamp_min(1e-12).sqrt()
    return 1 - cosine.mean() + ANCHOR * (ff - 2 * ft + tt).sum() / (len(t) * target.var(0, False).sum()).clamp_min(1e-6)


def _counted(features, mask):
    """The features [1, C, h, w] of a style that count, as [M, C]: where its mask is above a half, else where it is the most."""
    rows = _rows(features)
    if mask is None:
        return rows
    weights = F.adaptive_avg_pool2d(mask, features.shape[2:]).flatten()
    return rows[weights >= min(0.5, float(weights.max()))]


class _Split:
    """The loss of the last pass: the mean of the layers' distances, each to its own neighbours; section 3.3.

    At places that change from one search to the next, as many along the long side as `SPLIT`.
    """

    def __init__(self, network, layers, groups, labels):
        self.network, self.layers, self.labels = network, layers, labels
        self.random, self.steps, self.found = torch.Generator().manual_seed(0), 0, {}
        self.pools = [self._pools(group) for group in groups]

    @torch.no_grad()
    def _pools(self, group):
        """{layer: candidates [M, C]} of a group, thinned."""
        parts = {name: [] for name in self.layers}
        for work in group:
            for name, f in objective.features(self.network, work.image, self.layers).items():
                parts[name].append(_thinned(_counted(f, work.mask), max(1, 2 * SPLIT ** 2 // len(group))))
        return {name: torch.cat(rows).float() for name, rows in parts.items()}

    def _search(self, name, features):
        """Where a layer's features are looked at next, and their neighbours there."""
        step = max(1, max(features.shape[2:]) // SPLIT)
        top, left = (int(torch.randint(min(step, side), (), generator=self.random)) for side in features.shape[2:])
        place = (..., slice(top, None, step), slice(left, None, step))
        labels = self.labels(features.shape[2:]).view(features.shape[2:])[place].flatten()
        return place, _replaced(_rows(features[place]).float(), labels, [pool[name] for pool in self.pools])

    def __call__(self, image):
        features, distances = objective.features(self.network, image, self.layers), []
        for name, f in features.items():
            if self.steps % AGAIN == 0:
                with torch.no_grad():
                    self.found[name] = self._search(name, f)
            place, target = self.found[name]
            distances.append(_distance(_rows(f[place]).float(), target, target.mean(0)))
        self.steps += 1
        return sum(distances) / len(distances)


def _descend(image, loss, steps):
    """Minimise a loss from a picture on, over the coefficients of its pyramid: yields (picture, loss) per step."""
    levels = [level.detach().clone().requires_grad_(True) for level in pyramid(image)]
    optimizer = torch.optim.Adam(levels, lr=min(RATE / steps, MOST_RATE))
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1 / steps, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(collapse(levels))
        if not value.isfinite():
            raise StyleTransferError("The distances are no finite numbers: use --precision float32, or another backbone.")
        value.backward()
        optimizer.step()
        falling.step()
        with torch.no_grad():
            yield collapse(levels), float(value)


def _sides(size):
    """Long sides gone through, coarse to fine."""
    count = max(1, 1 + round(math.log2(size / COARSEST)))
    return [round(size / 2 ** k) for k in reversed(range(count))]


def optimize(content, styles, *, masks=None, style_masks=None, alpha=DEFAULTS["alpha"], iterations=DEFAULTS["iterations"],
             size=None, stroke=DEFAULTS["stroke"], backbone=DEFAULTS["backbone"], network=None, preserve_color="off",
             color_strength=1.0, texture_strength=1.0, device=None):
    """Optimise a picture until its features are the styles' nearest to the content's; yields a `Step` per iteration.

    content: [1, 3, H, W] in [0, 1]; styles: list of [1, 3, H', W'], or of lists of such pictures, an oeuvre: each place chooses
    among the features of all of them, in four turns.
    masks: for each style a [1, 1, h, w] in [0, 1], where it goes, of any size: a place chooses among the features of that style
    which has the most of it, and where they add up to less than 1 the photograph shows through. style_masks: for each style the
    same over its own picture, what of it counts, or None; for an oeuvre a list of such, or None.
    alpha: what neighbours are looked for is a blend of the content (1) and the picture so far (0).
    iterations: of all scales together, shared out evenly among sizes from about 64 pixels to `size`, each twice the one before,
    and a last pass in which each layer has its own neighbours; the first are left out where there are fewer iterations.
    size: long side of the result (None = the content's); stroke: size of the strokes, apart from it: how much larger than the
    picture the styles are. What is larger than LARGEST pixels is painted at that size, and the last picture is brought to its
    own along the photograph's edges.
    backbone: "compact", "vgg19" or "vgg16"; the full ones are fetched from the Hub when they are not here; network: a feature
    extractor that replaces it. preserve_color, color_strength, texture_strength: as `color.finish` takes them.
    Raises InputError for wrong arguments, CheckpointError and HubError for weights that cannot be had, StyleTransferError
    where the distances are no finite numbers.
    """
    device = devices.pick(device)
    check(OPTIONS, alpha=alpha, iterations=iterations, stroke=stroke, backbone=backbone, color_strength=color_strength,
          texture_strength=texture_strength)
    finish = functools.partial(color.finish, preserve_color=color.check_mode(preserve_color), color_strength=color_strength,
                               texture_strength=texture_strength)
    content = images.check(content, "content").cpu()
    if not isinstance(styles, (list, tuple)) or not styles:
        raise InputError("The styles must be a list of at least one picture.")
    styles = [pictures_of(style) for style in styles]
    masks, style_masks = regions.check(masks, len(styles)), check_style_masks(style_masks, styles)
    backbones.check(network)
    full = fit(*content.shape[2:], max(content.shape[2:]) if size is None else OPTIONS["size"].check("size", size))
    largest = fit(*full, round(max(full) * min(1.0, math.sqrt(LARGEST / (full[0] * full[1])))))
    if min(largest) < SMALLEST:
        raise InputError(f"The picture would be painted at {largest[1]} x {largest[0]} pixels, which is too small: both sides "
                         f"must have at least {SMALLEST}.")
    memory.check("neighbours", *full, device)
    network = devices.place(network or backbones.load(backbone, {DEEPEST}, device), device)
    layers = [name for name in network.layers if name <= DEEPEST]
    sizes = [shape for side in _sides(max(largest)) if min(shape := fit(*full, side)) >= SMALLEST]
    passes = [*sizes, None][-iterations:]  # None: the last pass, at the size of the one before
    image, iteration = None, 0
    for number, shape in enumerate(passes):
        steps = iterations * (number + 1) // len(passes) - iterations * number // len(passes)
        small = resize(content, shape or largest)
        shares = None if masks is None else regions.of_content(masks, small.shape[2:])
        groups = _groups(styles, style_masks, masks is not None, max(small.shape[2:]), stroke, device)
        labels = _labels(shares, device)
        photo = objective.pad(small).to(device)
        start = photo if image is None else objective.pad(_enlarged(objective.crop(image), small.shape[2:]))
        if shape is None:
            loss = _Split(network, layers, groups, labels)
        else:  # in what is looked for, the picture so far has the photograph's details
            detailed = start if image is None else start + pyramid(photo)[0]
            loss = _Columns(network, layers, groups, labels, torch.lerp(detailed, photo, alpha))
        for image, distance in _descend(start, loss, steps):
            iteration += 1
            seen, result = small, objective.crop(image).clamp(0, 1).cpu()
            if iteration == iterations and full != largest:
                seen = resize(content, full)
                result = guided.enlarge(result, seen)
            result = finish(seen, result)
            yield Step(iteration, iterations, distance, result if masks is None else regions.beside(seen, result, masks))


def _groups(styles, masks, apart, long_side, stroke, device):
    """The styles' pictures for a picture of a long side, in all turns: a list of `_Work` a style, or a single one of all."""
    groups = []
    for pictures, guides in zip(styles, masks):
        works = []
        for picture, guide in zip(pictures, guides):
            picture = style_at(picture, long_side, stroke)
            guide = [None] * TURNS if guide is None else _turned(regions.of_style(guide, picture.shape[2:]).to(device))
            works += map(_Work, _turned(picture.to(device)), guide)
        groups.append(works)
    return groups if apart else [sum(groups, [])]


def _labels(shares, device):
    """Function of (h, w) -> [h w], the group of each place of a map: 0, or the one with most of shares [K, 1, H, W]."""
    if shares is None:
        return lambda size: torch.zeros(size[0] * size[1], dtype=torch.long, device=device)
    shares = objective.pad(shares)
    return lambda size: F.interpolate(shares, tuple(size), mode="area").argmax(0).flatten().to(device)
