"""Pictures of any size, a tile at a time: statistics are summed over all tiles first, and pixels are painted in a second pass.

A tile is seen with as much of its surroundings as the network sees, so that nothing depends on where its edges are.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import device as devices
from . import progress
from .networks.blocks import Conv, InstanceNorm, ResidualBlock, Up

GRID = 16  # pixels: every tile begins on a multiple of it, so that four poolings fall on the same pixels as in the whole
TILE = 1 << 20  # pixels up to which a picture is one tile; larger tiles cost more time a pixel, not less
VALUES = 24 << 18  # numbers in a feature map of the boxes that a network is run on, layer by layer
WIDEST = 2048  # columns of them: whole rows lie together in memory, but narrower boxes have less around them
ADVANCE = 0.7  # of the time of `sequence`, what comes before the last convolution at full size
KEPT = 1e9  # bytes of features that are kept from the first pass for the second; more are computed again


class Box(NamedTuple):
    """A rectangle of pixels, from (top, left) to before (bottom, right)."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, by, height, width, grid=GRID):
        """The box with so many pixels more around it, on the grid, within a picture of height x width."""
        by = by + -by % grid
        return Box(max(self.top - by, 0), max(self.left - by, 0), min(self.bottom + by, height),
                   min(self.right + by, width))

    def cut(self, x, origin=(0, 0), stride=1):
        """The box's part of x [N, C, H, W], a view; origin: where x begins, stride: pixels of the picture in one of x."""
        top, left, bottom, right = self
        return x[:, :, (top - origin[0]) // stride:(bottom - origin[0]) // stride,
                 (left - origin[1]) // stride:(right - origin[1]) // stride]


def sides(image):
    """Height and width of [N, C, H, W], continued to multiples of GRID."""
    return tuple(side + -side % GRID for side in image.shape[2:])


def boxes(height, width):
    """Boxes that cover a picture whose sides are multiples of GRID, row by row: one, or some of about equal size."""
    side = max(math.isqrt(TILE), GRID) if height * width > TILE else max(height, width)
    return _grid(*(_cuts(length, side, GRID) for length in (height, width)))


def _grid(rows, columns):
    """The boxes between edges, row by row."""
    return [Box(top, left, bottom, right) for top, bottom in zip(rows, rows[1:]) for left, right in zip(columns, columns[1:])]


def _cuts(length, side, grid):
    count = -(-length // side)
    return [*(round(k * length / count / grid) * grid for k in range(count)), length]


def window(image, box):
    """A box of a picture [N, C, H, W], beyond whose right and lower edge the last column and row are repeated."""
    part = box.cut(image)
    return F.pad(part, (0, box.right - box.left - part.shape[3], 0, box.bottom - box.top - part.shape[2]), mode="replicate")


class Features:
    """An encoder's features of a picture, box by box: [1, 3, H, W] on any device.

    What the first pass computes is kept for the second, where it is not too much. Layers before the first pooling are as large
    as the picture and quickly computed: they are kept of a picture that is one box only.
    """

    def __init__(self, encoder, image, layers, device):
        self.encoder, self.image, self.layers, self.device = encoder, image, list(layers), device
        self.size, self.kept = sides(image), {}
        self.boxes = boxes(*self.size)

    def _run(self, box, layers):
        """{layer: features} of a box, computed on it and what the encoder sees around it."""
        outer = box.grown(self.encoder.radius(layers), *self.size)
        image = window(self.image, outer).to(self.device, memory_format=torch.channels_last)
        found = devices.run(self.encoder, image, layers)
        return {layer: box.cut(f, outer[:2], self.encoder.stride(layer)) for layer, f in found.items()}

    def first(self):
        """(box, {layer: features}) of every box, which together are the picture."""
        for box in progress.steps(self.boxes):
            found = self._run(box, self.layers)
            if len(self.boxes) == 1:
                self.kept = found
            else:
                self._keep(box, found)
            yield box, found

    def _keep(self, box, found):
        deep = {layer: f for layer, f in found.items() if self.encoder.stride(layer) > 1}
        height, width = self.size
        if not self.kept:
            sizes = {n: (1, f.shape[1], height // (s := self.encoder.stride(n)), width // s) for n, f in deep.items()}
            if sum(math.prod(size) * deep[n].element_size() for n, size in sizes.items()) > KEPT:
                return
            self.kept = {n: torch.empty(size, dtype=deep[n].dtype, device=deep[n].device, memory_format=torch.channels_last)
                         for n, size in sizes.items()}
        for layer, f in deep.items():
            box.cut(self.kept[layer], stride=self.encoder.stride(layer)).copy_(f)

    def second(self, box):
        """{layer: features} of a box, as the first pass saw them."""
        missing = [layer for layer in self.layers if layer not in self.kept]
        found = self._run(box, missing) if missing else {}
        return found | {n: box.cut(f, stride=self.encoder.stride(n)) for n, f in self.kept.items()}


def sequence(layers, x):
    """`networks.blocks.sequence` for pictures of any size: one layer after another, the same up to rounding.

    x: [1, C, H, W], sides multiples of 4. Instance normalisation needs the statistics of the whole map before anything after it
    can be computed. So the map in front of it is computed box by box and kept, with its statistics; one as large as x is not
    kept but computed again, which is cheaper than it is large: in Johnson's network those after the first and the last but one
    convolution.
    """
    with progress.part(0, ADVANCE):
        x, waiting = _advance(layers, x, x.shape[2])
    with progress.part(ADVANCE, 1):
        return _map(waiting, x) if waiting else x


def _advance(layers, x, height):
    """(map, what has still to be done to it) after some layers; maps of this height or more are not kept."""
    given, waiting = x, []
    for layer in progress.steps(layers):
        if isinstance(layer, ResidualBlock):
            x, waiting = _map(waiting, x) if waiting else x.clone() if x is given else x, []
            y, rest = _advance(layer.inner, x, math.inf)
            for box, part in _run(rest, y):
                box.cut(x).add_(part)
        elif isinstance(layer, InstanceNorm):
            keep = _scale(waiting) * x.shape[2] < height
            y, known = _normalise(layer, waiting, x, keep)
            x, waiting = (y, [known]) if keep else (x, [*waiting, known])
        else:
            waiting = [*waiting, layer]
    return x, waiting


def _normalise(norm, layers, x, keep):
    """layers(x), where it is to be kept, and a normalisation that knows its statistics (Chan et al. 1983, equation 2.1)."""
    y, count, mean, square = None, 0, 0.0, 0.0
    for box, part in _run(layers, x):
        part = part.contiguous(memory_format=torch.channels_last)  # else the statistics take three times as long
        if keep:
            y = _write(part, box, y, layers, x)
        own, variance = torch.zeros_like(norm.weight), torch.ones_like(norm.weight)
        F.batch_norm(part, own, variance, None, None, True, 1.0)  # a tenth of the time of torch.var_mean
        more = part.shape[2] * part.shape[3]
        delta, count = own.double() - mean, count + more
        mean = mean + delta * more / count
        square = square + variance.double() * (more - 1) + delta.square() * more * (count - more) / count
    mean, variance = (value.to(norm.weight.dtype) for value in (mean, square / count))
    return y, lambda z: F.batch_norm(z, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)


def _scale(layers):
    """Sides of what layers give over the sides of what they take."""
    return math.prod(2 if isinstance(layer, Up) else 1 / layer.stride[0] if isinstance(layer, Conv) else 1 for layer in layers)


def _run(layers, x):
    """(part of x as a box, box of the result, the result there) for boxes that together are the whole of layers(x)."""
    radius, scale, channels = 0.0, 1.0, x.shape[1]
    widest = channels
    for layer in layers:
        if isinstance(layer, Conv):
            radius, scale, channels = radius + (layer.kernel_size[0] // 2) / scale, scale / layer.stride[0], layer.out_channels
        elif isinstance(layer, Up):
            radius, scale = radius + layer.radius / scale, scale * 2
        widest = max(widest, channels * scale ** 2)
    height, width = x.shape[2:]
    columns = _cuts(width, WIDEST, 4)
    rows = _cuts(height, max(int(VALUES / widest / (width / (len(columns) - 1))), 16), 4)
    for box in progress.steps(_grid(rows, columns)):
        outer = box.grown(math.ceil(radius), height, width, 4)
        part = outer.cut(x)
        for layer in layers:
            part = layer(part)
        target = Box(*(int(edge * scale) for edge in box))
        yield target, target.cut(part, (int(outer[0] * scale), int(outer[1] * scale)))


def _map(layers, x):
    """layers(x), box by box."""
    y = None
    for box, part in _run(layers, x):
        y = _write(part, box, y, layers, x)
    return y


def _write(part, box, y, layers, x):
    """A box of layers(x) into y, which is made for the first."""
    if y is None:
        size = (1, part.shape[1], *(int(side * _scale(layers)) for side in x.shape[2:]))
        y = torch.empty(size, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)
    box.cut(y).copy_(part)
    return y
