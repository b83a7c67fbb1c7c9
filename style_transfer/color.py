"""Colour statistics: luminance, keeping the content's colours, matching one picture's colours to another's.

Gatys et al. 2016b, "Preserving Color in Neural Artistic Style Transfer". Pictures are [N, 3, H, W], sRGB in [0, 1].
"""

import torch

from .images import resize

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the Y of YIQ and YCbCr
# About the variance of rounding to 8 bits: colour differences below it are noise and not worth amplifying.
VARIANCE_FLOOR = 1e-6


def luminance(image):
    """Y = 0.299 R + 0.587 G + 0.114 B: [N, 3, H, W] to [N, 1, H, W], in [0, 1]."""
    r, g, b = image.split(1, dim=1)
    return LUMA[0] * r + LUMA[1] * g + LUMA[2] * b


def keep_content_colors(content, stylized):
    """The stylised luminance with the content's chroma ("luminance-only transfer").

    content [N or 1, 3, h, w] is resized to stylized [N, 3, H, W]; returns [N, 3, H, W] in [0, 1]. Where the sum
    leaves [0, 1] a pixel's chroma is scaled down, so that luminance and hue stay what they are.
    """
    content = resize(content, stylized.shape[-2:])
    y = luminance(stylized).clamp(0, 1)
    # RGB - Y is a linear image of (I, Q), and adding it to a grey pixel leaves that pixel's luminance alone.
    chroma = content - luminance(content)
    room = torch.where(chroma > 0, 1 - y, y)
    scale = (room / chroma.abs().clamp_min(1e-6)).amin(dim=1, keepdim=True).clamp_max(1)
    return (y + scale * chroma).clamp(0, 1)


def match_color(source, target):
    """Give source the mean and covariance of the colours of target: x -> A (x - mu_s) + mu_t.

    A = C_t^(1/2) C_s^(-1/2), with symmetric square roots ("image analogies" in the paper). source [N, 3, H, W],
    target [N or 1, 3, h, w] of any size; returns [N, 3, H, W], clamped to [0, 1].
    """
    mean_s, covariance_s = _statistics(source)
    mean_t, covariance_t = _statistics(target)
    a = _power(covariance_t, 0.5) @ _power(covariance_s, -0.5)
    shift = mean_t - a @ mean_s
    a, shift = a.to(source), shift.to(source)
    return (a @ source.flatten(2) + shift).view_as(source).clamp(0, 1)


def _statistics(image):
    """Mean [N, 3, 1] and covariance [N, 3, 3] of the colours, in float64 (on the CPU: MPS has none)."""
    pixels = image.detach().flatten(2).to("cpu", torch.float64)
    mean = pixels.mean(dim=2, keepdim=True)
    centred = pixels - mean
    return mean, centred @ centred.mT / pixels.shape[2]


def _power(covariance, exponent):
    values, vectors = torch.linalg.eigh(covariance)
    values = (values.clamp_min(0) + VARIANCE_FLOOR) ** exponent
    return (vectors * values.unsqueeze(-2)) @ vectors.mT
