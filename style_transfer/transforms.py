"""Statistics of feature maps carried from a style to a content: AdaIN, whitening and colouring, blending."""

import torch

from .errors import InputError

BLOCK = 1 << 15  # positions that are worked on at a time, so that their float32 copies stay in the processor's cache


def mean_and_deviation(features, eps=1e-5):
    """Per channel mean and standard deviation over all positions: [N, C, H, W] -> two of [N, C, 1, 1].

    The deviation is sqrt(variance + eps) with the biased variance, as in Huang and Belongie 2017, equation 5.
    """
    x = features.flatten(2).float()
    mean, variance = x.mean(2), x.var(2, unbiased=False)
    return mean[..., None, None], (variance + eps).sqrt()[..., None, None]


def adain(content, style):
    """Adaptive instance normalisation: sigma(y) (x - mu(x)) / sigma(x) + mu(y).

    content: [N, C, H, W]; style: a feature map [1 or N, C, H', W'] or its `mean_and_deviation`. Returns [N, C, H, W].
    Huang and Belongie 2017, equation 8.
    """
    mu_y, sigma_y = style if isinstance(style, tuple) else mean_and_deviation(style)
    mu_x, sigma_x = mean_and_deviation(content)
    return (sigma_y * (content.float() - mu_x) / sigma_x + mu_y).to(content.dtype)


def _positions(features):
    """[1, C, H, W] as [H W, C]; a view of channels_last memory."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def mean_and_covariance(features):
    """Mean [C] and covariance [C, C] over all positions of one feature map [1, C, H, W], in float32."""
    x = _positions(features)
    origin = x[:BLOCK].float().mean(0)  # near the mean, so that no digits are lost to it
    total, products = torch.zeros_like(origin, dtype=torch.double), 0.0
    for block in x.split(BLOCK):
        centred = block.float() - origin
        total += centred.sum(0)
        products = products + (centred.T @ centred).double()
    shift = total / len(x)
    covariance = (products - len(x) * torch.outer(shift, shift)) / max(len(x) - 1, 1)
    return origin + shift.float(), covariance.float()


def affine(features, matrix, offset):
    """matrix f + offset at every position of [1, C, H, W], computed in float32, in the dtype that came."""
    out = torch.empty_like(features, memory_format=torch.channels_last)
    for x, y in zip(_positions(features).split(BLOCK), out.permute(0, 2, 3, 1).view(-1, features.shape[1]).split(BLOCK)):
        y.copy_(torch.addmm(offset, x.float(), matrix.T))
    return out


def _power(covariance, exponent, relative_eps=1e-5):
    """A symmetric positive semi-definite matrix to a power by eigen-decomposition in float64.

    Directions whose variance is below relative_eps of the largest carry rounding errors only and map to zero: flat
    colours and features of one pixel give zeros, never infinities.
    """
    covariance = torch.nan_to_num(covariance.double())
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    kept = values > max(relative_eps * float(values[-1]), 1e-10)
    powers = torch.where(kept, values.clamp_min(1e-12) ** exponent, 0.0)
    return ((vectors * powers) @ vectors.T).float()


def whitening(content, diagonal=False):
    """(W [C, C], m_c [C]) such that W (f_c - m_c) has mean 0 and covariance 1: W = E_c D_c^(-1/2) E_c^T.

    content: [1, C, H, W]. Li et al. 2017, equation 2. diagonal: without the correlations, W = diag(1 / sigma), as AdaIN does.
    """
    mean, covariance = mean_and_covariance(content)
    return _deviation(covariance).reciprocal().diag() if diagonal else _power(covariance, -0.5), mean


def coloring(style, diagonal=False):
    """(R [C, C], m_s [C]) such that R w + m_s has the style's mean and covariance for white w: R = E_s D_s^(1/2) E_s^T.

    style: [1, C, H, W]. Li et al. 2017, equation 3. diagonal: without the correlations, R = diag(sigma), as AdaIN does.
    """
    mean, covariance = mean_and_covariance(style)
    return _deviation(covariance).diag() if diagonal else _power(covariance, 0.5), mean


def _deviation(covariance, eps=1e-5):
    return (covariance.diagonal().clamp_min(0) + eps).sqrt()


def transfer(whitening, coloring):
    """Whitening and then colouring as one affine map (matrix [C, C], offset [C]): R W (f - m_c) + m_s."""
    (w, mean_c), (r, mean_s) = whitening, coloring
    matrix = r @ w
    return matrix, mean_s - matrix @ mean_c


def wct(content, style):
    """Whitening and colouring: the content's features with the style's mean and covariance.

    content: [1, C, H, W]; style: [1, C, H', W'] or its `coloring`. Returns [1, C, H, W]. Li et al. 2017, section 3.2.
    """
    return affine(content, *transfer(whitening(content), style if isinstance(style, tuple) else coloring(style)))


def normalize_weights(weights, count):
    """Weights of several styles as floats that add up to 1; None means equal parts.

    Raises InputError when their number is not `count`, one is negative or not finite, or all are 0.
    """
    weights = [1.0] * count if weights is None else [float(w) for w in weights]
    if len(weights) != count:
        raise InputError(f"{count} styles need {count} weights, not {len(weights)}.")
    total = sum(weights)
    if not all(0 <= w < float("inf") for w in weights) or total <= 0:
        raise InputError("Style weights must be 0 or more, and at least one above 0.")
    return [w / total for w in weights]


def blend(features, weights):
    """Convex combination sum_k w_k f_k of feature maps of one shape (Huang and Belongie 2017, section 7.3).

    weights: numbers, or maps [1, 1, H, W] that say how much of each style goes where.
    """
    return sum(w * f for w, f in zip(weights, features, strict=True))
