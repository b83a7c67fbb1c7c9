"""Statistics of feature maps carried from a style to a content: AdaIN, whitening and colouring, blending.

Both transforms are affine maps of a feature at its position, made of the statistics of content and style; so several styles
and a strength are one map as well, and what is computed per position is one matrix product.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch

from .errors import InputError

BLOCK = 1 << 15  # positions that are worked on at a time, so that their float32 copies stay in the processor's cache
EPSILON = 1e-5  # added to variances, as in Huang and Belongie's code
LACKING = 0.5  # of a picture's deviation in a colour direction: a style that has less of it lacks that colour
RELATIVE_EPSILON = 1e-5  # of the largest variance: directions below it carry rounding errors only
FAINT = 1e-4  # of the largest in `transport`, where content's and style's variances are multiplied


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean [N, C] and (biased) covariance [N, C, C] over the positions of N feature maps; on the CPU in double precision.

    (Eigenvalues need the digits, and MPS has no float64.)  What follows from them is computed once.
    """

    mean: torch.Tensor
    covariance: torch.Tensor

    @functools.cached_property
    def deviation(self):
        """Standard deviation of each channel [N, C]: sqrt(variance + eps), Huang and Belongie 2017, equation 6."""
        return (self.covariance.diagonal(dim1=1, dim2=2).clamp_min(0) + EPSILON).sqrt()

    @functools.cached_property
    def root(self):
        """E D^(1/2) E^T, which gives white features this covariance; Li et al. 2017, equation 3."""
        return self.power(0.5)

    @functools.cached_property
    def inverse_root(self):
        """E D^(-1/2) E^T, which whitens; Li et al. 2017, equation 2."""
        return self.power(-0.5)

    def power(self, exponent, least=RELATIVE_EPSILON):
        """The covariance to a power. Directions without variance map to zero: flat colours give zeros, never infinities."""
        covariance = torch.nan_to_num(self.covariance)
        values, vectors = torch.linalg.eigh((covariance + covariance.mT) / 2)
        kept = values > (least * values[:, -1:]).clamp_min(1e-10)
        powers = torch.where(kept, values.clamp_min(1e-12) ** exponent, 0.0)
        return (vectors * powers[:, None]) @ vectors.mT


class Affine(NamedTuple):
    """f -> matrix f + offset at every position; [N, C, C] and [N, C]."""

    matrix: torch.Tensor
    offset: torch.Tensor


def _positions(features):
    """[N, C, H, W] as [N, H W, C]; a view of channels_last memory."""
    return features.permute(0, 2, 3, 1).reshape(len(features), -1, features.shape[1])


class Sums:
    """What `Statistics` are made of, summed over feature maps that come one after another: tiles, or the works of a painter.

    Summed in float32 in blocks, and the blocks in double precision.
    """

    def __init__(self):
        self.origin, self.count, self.total, self.products = None, 0.0, 0.0, 0.0

    def add(self, features, weights=None):
        """Features [N, C, H, W]; weights: [1, 1, H, W] or None for 1 everywhere, how much each position counts."""
        x = _positions(features)
        if self.origin is None:  # near the mean, so that no digits are lost to it
            self.origin = x[:, :BLOCK].float().mean(1, keepdim=True)
        shares = [None] * -(-x.shape[1] // BLOCK) if weights is None else weights.float().reshape(-1, 1).split(BLOCK)
        for block, share in zip(x.split(BLOCK, 1), shares):
            centred = block.float() - self.origin
            weighted = centred if share is None else centred * share
            self.count += block.shape[1] if share is None else float(share.sum(dtype=torch.double))
            self.total = self.total + weighted.sum(1).cpu().double()
            self.products = self.products + (weighted.mT @ centred).cpu().double()

    def statistics(self):
        """The `Statistics` of all that was added."""
        shift = self.total / self.count
        return Statistics(self.origin[:, 0].cpu().double() + shift,
                          self.products / self.count - shift[:, :, None] * shift[:, None])


@torch.no_grad()
def statistics(features):
    """The `Statistics` of feature maps [N, C, H, W]."""
    sums = Sums()
    sums.add(features)
    return sums.statistics()


def adain(content, style):
    """Adaptive instance normalisation sigma(y) (x - mu(x)) / sigma(x) + mu(y) as an `Affine` map of x.

    content, style: `Statistics`, those of style also of one map for all contents. Huang and Belongie 2017, equation 8.
    """
    scale = style.deviation / content.deviation
    return Affine(scale.diag_embed(), style.mean - scale * content.mean)


def wct(content, style):
    """Whitening and colouring C_s^(1/2) C_c^(-1/2) (f - m_c) + m_s as an `Affine` map of f.

    content, style: `Statistics`, those of style also of one map for all contents. Li et al. 2017, section 3.2.
    """
    matrix = style.root @ content.inverse_root
    return Affine(matrix, style.mean - (matrix @ content.mean[..., None])[..., 0])


def least_motion(content, style, least=RELATIVE_EPSILON):
    """The linear Monge-Kantorovitch map C_c^(-1/2) (C_c^(1/2) C_s C_c^(1/2))^(1/2) C_c^(-1/2), [N, C, C].

    content, style: `Statistics`. Of all maps that take the content's covariance to the style's the one that moves least:
    Pitie and Kokaram 2007, section 3. least: part of the largest variance between them below which directions are left empty.
    """
    between = Statistics(content.mean, content.root @ style.covariance @ content.root).power(0.5, least)
    return content.inverse_root @ between @ content.inverse_root


def gains(content, style):
    """`least_motion` as (eigenvalues, eigenvectors): what deviations are multiplied by, and in which directions."""
    return torch.linalg.eigh(least_motion(content, style))


def transport(content, style):
    """Whitening and colouring as `wct` by `least_motion`, so that features still mean what they did, as an `Affine` map of f.

    content, style: `Statistics`, those of style also of one map for all contents. Lu et al. 2019, section 3.3. Deviation:
    directions that are faint in both are left empty, where the content's noise would become a mesh.
    """
    matrix = least_motion(content, style, FAINT)
    return Affine(matrix, style.mean - (matrix @ content.mean[..., None])[..., 0])


def palette(content, style):
    """The symmetric map that brings a picture's colours half of the way to the style's, and takes away those which it lacks.

    content, style: `Statistics` of pictures. Of the `gains` g by which the one's deviations become the other's the square root
    is taken, within an octave; those below `LACKING` are smaller still, by (g / LACKING)^2: a drawing has but one hue.
    """
    values, vectors = gains(content, style)
    scale = values.clamp(0.5, 2).sqrt() * (values / LACKING).clamp(max=1).square()
    matrix = (vectors * scale[:, None]) @ vectors.mT
    middle = (content.mean + style.mean) / 2
    return Affine(matrix, style.mean - (matrix @ middle[..., None])[..., 0])


def blend(maps, weights, alpha=1.0):
    """alpha sum_k w_k (M_k f + b_k) + (1 - alpha) f as one `Affine` map; Huang and Belongie 2017, equations 14 and 15."""
    matrix, offset = (sum(w * part for w, part in zip(weights, parts, strict=True)) for parts in zip(*maps))
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    return Affine(alpha * matrix + (1 - alpha) * identity, alpha * offset)


@torch.no_grad()
def apply(affine, features):
    """matrix f + offset at every position of [N, C, H, W], computed in float32, in the dtype that came."""
    out = torch.empty_like(features, memory_format=torch.channels_last)
    matrices, offsets = (part.float().to(features.device).expand(len(features), *part.shape[1:]) for part in affine)
    for matrix, offset, sources, targets in zip(matrices, offsets, _positions(features), _positions(out)):
        for x, y in zip(sources.split(BLOCK), targets.split(BLOCK)):
            y.copy_(torch.addmm(offset, x.float(), matrix.T))
    return out


def mean_and_deviation(features):
    """Per channel mean and standard deviation over all positions, differentiable: [N, C, H, W] -> two of [N, C, 1, 1].

    The deviation is sqrt(variance + eps) with the biased variance; Huang and Belongie 2017, equations 5 and 6.
    """
    x = features.flatten(2).float()
    mean, variance = x.mean(2), x.var(2, unbiased=False)
    return mean[..., None, None], (variance + EPSILON).sqrt()[..., None, None]


def normalize_weights(weights, count):
    """Weights of several styles as floats that add up to 1; None means equal parts.

    Raises InputError when their number is not `count`, one is negative or not finite, or all are 0.
    """
    try:
        weights = [1.0] * count if weights is None else [float(w) for w in weights]
    except (TypeError, ValueError):
        raise InputError(f"Style weights must be one number for each style, not {weights!r}.") from None
    if len(weights) != count:
        raise InputError(f"The weights must be as many as the styles: {count}, not {len(weights)}.")
    if not all(0 <= w < float("inf") for w in weights) or not 0 < sum(weights) < float("inf"):
        raise InputError("Style weights must be 0 or more, and at least one above 0.")
    return [w / sum(weights) for w in weights]
