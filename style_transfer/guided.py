"""The guided filter: a picture as a local affine map of another one, found at a small size and used at any.

He, Sun and Tang 2013, "Guided Image Filtering", and He and Sun 2015, "Fast Guided Filter". Pictures are [1, 3, H, W] in [0, 1];
large ones are worked on in blocks of rows, so that nothing but the result needs their memory.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import progress

BLOCK = 1 << 18  # pixels that are worked on at a time
SMALL = 512  # pixels, the long side at which maps are looked for: over such windows they are smooth
# Of `enlarge`: the windows' half side over the long side, and the variance below which all is flat. Smaller ones take strokes
# that cross an edge by chance for ones that follow it, and the photograph's grain comes through as speckles.
RADIUS, EPSILON = 0.04, 1e-2


class Coefficients(NamedTuple):
    """The map q = A I + b at every position: a [1, 3, 3, h, w] (source channel by guide channel), b [1, 3, h, w]."""

    a: torch.Tensor
    b: torch.Tensor


def rows(height, width):
    """Slices of about BLOCK pixels each that together are all rows of a picture, one after another."""
    step = max(1, BLOCK // width)
    for top in range(0, height, step):
        progress.tick()
        yield slice(top, min(top + step, height))


def shrink(image, size):
    """[1, C, H, W] to a size (h, w) by a filter that does not overshoot."""
    return F.interpolate(image, size, mode="bilinear", antialias=True)


def thumbnail(image, long_side):
    """[1, C, H, W] with a long side of at most so many pixels."""
    scale = min(1.0, long_side / max(image.shape[2:]))
    return image if scale == 1 else shrink(image, [max(1, round(side * scale)) for side in image.shape[2:]])


def stretch(image, height, width, part, cubic=False):
    """The rows `part` (a slice) of [1, C, h, w] enlarged to height x width, as F.interpolate with antialiasing has them.

    (For an enlargement, that means Pillow's cubic, and nothing for the linear one.)
    """
    position = (torch.arange(part.start, part.stop) + 0.5) * (image.shape[2] / height) - 0.5
    before = position.floor()
    t = position - before
    if cubic:  # Keys 1981, equation 15, at the distances 1 + t, t, 1 - t and 2 - t
        near, far = (lambda d: (1.5 * d - 2.5) * d * d + 1), (lambda d: ((2.5 - 0.5 * d) * d - 4) * d + 2)
        taps = torch.stack([far(1 + t), near(t), near(1 - t), far(2 - t)])
    else:
        taps = torch.stack([1 - t, t])
    index = before.long() + torch.arange(len(taps))[:, None] - (len(taps) // 2 - 1)
    taps = taps * ((index >= 0) & (index < image.shape[2]))
    taps, index = taps / taps.sum(0), index.clamp(0, image.shape[2] - 1)
    lines = sum(tap[:, None] * image[:, :, row] for tap, row in zip(taps, index))
    return F.interpolate(lines, (len(t), width), mode="bicubic" if cubic else "bilinear", antialias=cubic)


def _mean(x, radius):
    """The mean over windows of 2 radius + 1 pixels a side, of those of them that lie inside the picture."""
    across, down = (torch.arange(side) for side in (x.shape[-1], x.shape[-2]))
    across, down = (((place[:, None] - place).abs() <= radius).float() for place in (across, down))
    return (down / down.sum(1, keepdim=True)) @ x @ (across / across.sum(0))


def _solve(covariance, right):
    """x for covariance x = right, for symmetric 3 x 3 matrices at every pixel: [3, 3, h, w] and [3, n, h, w] -> [3, n, h, w].

    Cramer's rule: a library's solver looks for pivots matrix by matrix, which takes a hundred times as long.
    """
    x, y, z = covariance
    adjugate = torch.stack([torch.linalg.cross(p, q, dim=0) for p, q in ((y, z), (z, x), (x, y))])
    right = right / (x * adjugate[0]).sum(0)
    return sum(column[:, None] * row for column, row in zip(adjugate, right))


@torch.no_grad()
def coefficients(guide, source, radius, epsilon):
    """The local affine maps of the guide that come nearest to the source: He, Sun and Tang 2013, equations 14, 15 and 16.

    guide, source: [1, 3, h, w], best at a small size; radius: half a window's side over the picture's long one; epsilon: what
    is added to the guide's variances, so that maps of flat windows tend to a constant. Returns `Coefficients`, averaged over
    the windows of each pixel.
    """
    h, w = guide.shape[2:]
    radius = max(1, round(radius * max(h, w)))
    mean_i, mean_p = _mean(guide, radius), _mean(source, radius)
    products = (guide[:, :, None] * torch.cat([guide, source], 1)[:, None]).reshape(1, 18, h, w)
    means = (mean_i[:, :, None] * torch.cat([mean_i, mean_p], 1)[:, None]).reshape(1, 18, h, w)
    covariance, cross = (_mean(products, radius) - means).view(3, 6, h, w).split(3, 1)
    a = _solve(covariance + epsilon * torch.eye(3)[..., None, None], cross).transpose(0, 1)[None]
    b = mean_p - (a * mean_i[:, None]).sum(2)
    return Coefficients(_mean(a, radius), _mean(b, radius))


def _product(a, guide, height, part):
    """A I for the rows `part`, of `height`, of a guide: [1, 3, rows, W]."""
    full = stretch(a.flatten(1, 2), height, guide.shape[3], part).unflatten(1, (3, 3))
    return (full * guide[:, None]).sum(2)


def apply(maps, guide, part):
    """The rows `part` (a slice) of q = A I + b for a guide [1, 3, H, W] of any size; He and Sun 2015, algorithm 2."""
    height, width = guide.shape[2:]
    return _product(maps.a, guide[:, :, part], height, part) + stretch(maps.b, height, width, part)


@torch.no_grad()
def enlarge(painting, content):
    """A painting of a small photograph brought to the size of the large one: large strokes, crisp edges.

    painting: [1, 3, h, w] in [0, 1], made of the content at that size; content: [1, 3, H, W], at least as large. To the
    enlarged painting comes what the small photograph lacks of the large one, in the local affine proportion in which the
    painting follows the photograph: q = up(p) + A_up (C - up(C_low)). Returns [1, 3, H, W] in [0, 1]; besides it, this takes
    little memory.
    """
    height, width = content.shape[2:]
    if painting.shape[2:] == content.shape[2:]:
        return painting
    small = shrink(content, painting.shape[2:])
    a = coefficients(thumbnail(small, SMALL), thumbnail(painting, SMALL), RADIUS, EPSILON).a
    out = torch.empty_like(content, memory_format=torch.contiguous_format)
    for part in progress.steps(rows(height, width)):
        detail = content[:, :, part] - stretch(small, height, width, part, cubic=True)
        image = stretch(painting, height, width, part, cubic=True)
        out[:, :, part] = image.add_(_product(a, detail, height, part)).clamp_(0, 1)
    return out
