"""A loss of a picture's features and its gradient, at once or, where the picture is large, block by block.

Galerne et al. 2024, "Scaling Painting Style Transfer", section 4: a loss of sums over all positions needs those sums alone,
which blocks give one after the other; its derivatives with respect to the sums then tell every block its part of the gradient.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import device as devices
from .errors import InputError

MARGIN = 16  # pixels of canvas beyond the picture: what convolutions do at an edge stays outside of it
STRIDE = 16  # pixels a position of relu5_1: blocks begin at multiples of it, so that pooling falls as in the whole picture
BLOCK = 768  # pixels a side, to which what the features depend on is added: 96 on each side for relu5_1
WHOLE = 3 << 19  # pixels; larger pictures are taken block by block


class Sums(NamedTuple):
    """What a term's `prepare` gives for a loss of sums over positions: such terms work at any size."""

    statistic: Callable  # (features {layer: [1, C, h, w]} of a block, its `Block`) -> list of tensors
    loss: Callable  # list of these tensors, each added up over all blocks -> loss


class Block(NamedTuple):
    """A rectangle of a picture, and how much of the canvas the network has to see for it; pixels (start, stop)."""

    rows: tuple  # of the picture
    columns: tuple
    seen_rows: tuple  # of the canvas, which is the picture with its margin
    seen_columns: tuple

    def cut(self, layer, whole):
        """Of a map [..., H', W'] of a layer, the positions that are the block's own; None of None."""
        return None if whole is None else whole[..., _positions(self.rows, layer), _positions(self.columns, layer)]

    def see(self, canvas):
        """Of a canvas [..., H, W], what the network has to see."""
        return canvas[..., slice(*self.seen_rows), slice(*self.seen_columns)]

    def own(self, features, margin):
        """Of the features {layer: map} of what it sees, those of its own pixels."""
        return {layer: f[:, :, _positions(self.rows, layer, self.seen_rows[0] - margin),
                         _positions(self.columns, layer, self.seen_columns[0] - margin)] for layer, f in features.items()}


def _stride(layer):
    return 2 ** (int(layer[4]) - 1)


def _positions(span, layer, origin=0):
    """Positions of a layer for the pixels start to stop, at least one, counted from the pixel `origin`."""
    stride = _stride(layer)
    start = (span[0] - origin) // stride
    return slice(start, start + max(1, span[1] // stride - span[0] // stride))


def map_size(layer, height, width):
    """Height and width of a layer's map of a picture."""
    return max(1, height // _stride(layer)), max(1, width // _stride(layer))


def reach(layers, deepest):
    """Pixels that the features of the layers up to the deepest of some depend on, to each side, as a multiple of STRIDE."""
    pixels, block = 0, 1
    for layer in layers[:1 + max(layers.index(name) for name in deepest)]:
        if int(layer[4]) > block:  # a pooling of two
            pixels, block = pixels + _stride(f"relu{block}"), int(layer[4])
        pixels += _stride(layer)
    return math.ceil(pixels / STRIDE) * STRIDE


def is_large(height, width):
    """Whether a picture is taken block by block."""
    return height * width > WHOLE


def blocks(height, width, halo, margin=MARGIN):
    """The `Block`s of a picture; a single one where it is not large."""
    side = BLOCK if is_large(height, width) else math.inf
    return [Block(rows, columns, seen_rows, seen_columns) for rows, seen_rows in _spans(height, side, halo, margin)
            for columns, seen_columns in _spans(width, side, halo, margin)]


def _spans(length, side, halo, margin):
    """Pairs of (start, stop) along one axis: own pixels of the picture, seen ones of the canvas."""
    count = math.ceil(length / side) if length > side else 1
    step = length // count // STRIDE * STRIDE  # what is left over is the last one's
    starts = [k * step for k in range(count)]
    for start, stop in zip(starts, [*starts[1:], length]):
        yield (start, stop), (max(0, margin + start - halo) if start else 0,
                              min(length + 2 * margin, margin + stop + halo) if stop < length else length + 2 * margin)


def features(network, image, layers):
    """{layer: map} of a picture."""
    return devices.run(network, image.contiguous(memory_format=torch.channels_last), layers)


def positions(size, guide):
    """How many positions a map of size (..., H', W') has; with a guide [1, 1, H', W'], which weighs by its square, sum g^2."""
    return size[-2] * size[-1] if guide is None else guide.pow(2).sum()


class Features(Mapping):
    """Feature maps {layer: [1, C, H', W']} of a picture, computed when they are asked for; nothing is kept.

    Several pictures count as one: their maps' positions follow each other, [1, C, 1, M].
    canvases: pictures [1, 3, H, W] with a margin around them; guides: for each picture how much its positions count,
    [1, 1, h, w] in [0, 1], or None. On the CPU until they are needed.
    """

    def __init__(self, network, canvases, margin=0, guides=None, device="cpu"):
        self.network, self.canvases, self.margin, self.device = network, canvases, margin, device
        self.guides = guides or [None] * len(canvases)

    def __iter__(self):
        return iter(self.network.layers)

    def __len__(self):
        return len(self.network.layers)

    def size(self, number=0):
        """Height and width of one of the pictures, without its margin."""
        return tuple(side - 2 * self.margin for side in self.canvases[number].shape[2:])

    @torch.no_grad()
    def _blocks(self, number, layers):
        for block in blocks(*self.size(number), reach(self.network.layers, layers), self.margin):
            seen = block.see(self.canvases[number]).to(self.device)
            yield block, block.own(features(self.network, seen, layers), self.margin)

    @torch.no_grad()
    def __getitem__(self, layer):
        maps = []
        for number in range(len(self.canvases)):
            whole = None
            for block, own in self._blocks(number, [layer]):
                if whole is None:
                    whole = own[layer].new_empty(*own[layer].shape[:2], *map_size(layer, *self.size(number)))
                block.cut(layer, whole).copy_(own[layer])
            maps.append(whole)
        return maps[0] if len(maps) == 1 else torch.cat([f.flatten(2) for f in maps], 2).unsqueeze(2)

    @torch.no_grad()
    def mean(self, layers, statistic):
        """{layer: a statistic's mean over the positions of all pictures}, each weighed by its guide's square.

        statistic: (features [1, C, h, w], guide [1, 1, h, w] or None) -> such a mean over the positions it is given.
        """
        totals, weights = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0.0)
        for number, guide in enumerate(self.guides):
            guides = guidance(guide, layers, *self.size(number), self.device)
            for block, own in self._blocks(number, layers):
                for layer, f in own.items():
                    part = block.cut(layer, guides[layer])
                    weight = positions(f.shape, part)
                    totals[layer] = totals[layer] + weight * statistic(f, part)
                    weights[layer] += weight
        return {layer: totals[layer] / weights[layer] for layer in layers}


def guidance(mask, layers, height, width, device):
    """{layer: a mask [1, 1, h, w] averaged to the size of its map}, None for all where there is no mask."""
    if mask is None:
        return dict.fromkeys(layers)
    return {layer: F.interpolate(mask, map_size(layer, height, width), mode="area").to(device) for layer in layers}


def pad(image):
    """A canvas: a picture continued beyond its edges by reflection, or by its border where it is smaller than the margin."""
    return F.pad(image, (MARGIN,) * 4, mode="reflect" if min(image.shape[2:]) > MARGIN else "replicate")


def crop(canvas):
    """The picture of a canvas, without its margin."""
    return canvas[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]


class Objective:
    """What is minimised: a function of a canvas [1, 3, H, W] that gives {term: loss times weight} and leaves the gradient.

    content: [1, 3, H, W] at this scale, without margin; styles: what the terms' `prepare` takes. Raises InputError for a
    term of features that is no `Sums` where the picture is so large that it is taken block by block.
    """

    def __init__(self, network, content, styles, terms, device="cpu"):
        self.network = network
        self.layers = {layer for term in terms for layer in term.layers}
        self.blocks = blocks(*content.shape[2:], reach(network.layers, self.layers)) if self.layers else [None]
        target = Features(network, [pad(content)], MARGIN, device=device)
        self.losses = [(term.name, term.weight, bool(term.layers), term.prepare(target, styles)) for term in terms]
        for name, _, local, loss in self.losses:
            if local and not isinstance(loss, Sums) and len(self.blocks) > 1:
                raise InputError(f"The term {name!r} needs the features of the whole picture, and {content.shape[3]} x "
                                 f"{content.shape[2]} pixels are taken block by block: choose a size of at most "
                                 f"{WHOLE / 1e6:.1f} million pixels, or make its loss one of sums over positions (gatys.Sums).")

    def __call__(self, canvas):
        """{term: loss times weight}, numbers; adds the gradient of their sum to canvas.grad, where the canvas asks for one."""
        values = (self._whole if len(self.blocks) == 1 else self._by_blocks)(canvas)
        return {name: float(value.detach()) for name, value in values.items()}

    def _own(self, canvas, block):
        return block.own(features(self.network, canvas, self.layers), MARGIN) if self.layers else {}

    def _whole(self, canvas):
        block, = self.blocks
        own, picture = self._own(canvas, block), crop(canvas)
        values = {name: weight * (loss.loss(loss.statistic(own, block)) if isinstance(loss, Sums) else loss(picture, own))
                  for name, weight, _, loss in self.losses}
        if canvas.requires_grad:
            sum(values.values()).backward()
        return values

    def _by_blocks(self, canvas):
        """Blocks twice: for the sums, and for their part of the gradient. Terms of the picture alone see all of it."""
        summed = [(name, weight, loss) for name, weight, local, loss in self.losses if isinstance(loss, Sums)]
        with torch.no_grad():
            parts = (self._statistics(block.see(canvas), block, summed) for block in self.blocks)
            sums = [[sum(same) for same in zip(*groups)] for groups in zip(*parts)]
        for total in (total for group in sums for total in group):
            total.requires_grad_(canvas.requires_grad)
        values = {name: weight * loss.loss(group) for (name, weight, loss), group in zip(summed, sums)}
        for name, weight, _, loss in self.losses:
            if not isinstance(loss, Sums):
                values[name] = weight * loss(crop(canvas), {})
        if canvas.requires_grad:
            sum(values.values()).backward()
            slopes = [total.grad if total.grad is not None else torch.zeros_like(total) for group in sums for total in group]
            if canvas.grad is None:
                canvas.grad = torch.zeros_like(canvas)
            for block in self.blocks:
                seen = block.see(canvas.detach()).clone().requires_grad_(True)
                parts = [part for group in self._statistics(seen, block, summed) for part in group]
                torch.autograd.backward(parts, slopes)
                block.see(canvas.grad).add_(seen.grad)
        return {name: values[name] for name, *_ in self.losses}

    def _statistics(self, seen, block, summed):
        own = self._own(seen, block)
        return [loss.statistic(own, block) for _, _, loss in summed]
