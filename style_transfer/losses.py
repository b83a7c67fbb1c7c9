"""Losses of style transfer, each the formula of its paper."""

import torch
import torch.nn.functional as F

from .transforms import EPSILON

ROUNDING = 1e-6  # of float32 sums over many positions, as a part of the largest


def content_loss(features, target):
    """1/2 sum (F - P)^2 over feature maps of one shape; Gatys et al. 2016, equation 1."""
    return 0.5 * (features - target).pow(2).sum()


def normalized_content_loss(mean, square, product, energy):
    """Mean over channels of |F' - P'|^2 / M, F' and P' features with mean 0 and deviation 1 in each channel of M positions.

    What a style changes of each channel, its mean and deviation, is left to the style. mean, square, product: means over
    positions of F, F^2 and F P' [N, C], F less any constant of its channel; energy: of P'^2, 1 but where P is flat.
    """
    variance = (square - mean.pow(2)).clamp_min(0)
    deviation = (variance + EPSILON).sqrt()
    return (variance / deviation.pow(2) - 2 * product / deviation + energy).mean()


def gram_matrix(features, guide=None):
    """Inner products of channels, averaged over positions: [N, C, H, W] -> [N, C, C], G = F F^T / (H W).

    Gatys et al. 2016, equation 3, divided by the number of positions M so that pictures of any size compare.
    guide: [1, 1, H, W] in [0, 1], where the features count: G = (T F) (T F)^T with T = guide / |guide|, which for a guide of
    ones is the same; Gatys et al. 2017, "Controlling Perceptual Factors", equations 3 to 5. All 0 gives zeros.
    """
    f = features.float()
    if guide is None:
        f, weight = f.flatten(2), f.shape[2] * f.shape[3]
    else:
        f, weight = (f * guide).flatten(2), guide.pow(2).sum().clamp_min(1e-12)
    with torch.autocast(f.device.type, enabled=False):  # sums over many positions need the digits
        return f @ f.transpose(1, 2) / weight


def style_loss(gram, target):
    """E_l = 1/(4 N^2) sum (G - A)^2 for Gram matrices [1, N, N] over M; Gatys et al. 2016, equation 4.

    The 1/M^2 of the paper is in `gram_matrix`.
    """
    return (gram - target).pow(2).sum() / (4 * gram.shape[-1] ** 2)


def moments(features, guide=None):
    """Gram matrix of the channels and a constant 1: [1, C, H, W] -> [1, C + 1, C + 1], whose last column are the means.

    guide: as `gram_matrix` takes it.
    """
    return gram_matrix(F.pad(features, (0, 0, 0, 0, 0, 1), value=1.0), guide)


def mean_and_covariance(moments):
    """Means [C] and covariance [C, C] out of `moments` [1, C + 1, C + 1]; on the CPU in double precision, as MPS has none.

    With what float32 has lost by rounding on the diagonal, so that flat colours have an inverse, too.
    """
    second = torch.nan_to_num(moments[0]).cpu().double()
    mean, trace = second[:-1, -1], second[:-1, :-1].trace()
    rounding = (ROUNDING * trace.detach() + 1e-8) * torch.eye(len(mean), dtype=torch.double)
    return mean, second[:-1, :-1] - mean[:, None] * mean + rounding


def gaussian_target(moments):
    """What `gaussian_loss` needs of a style's `moments`: mean [C], covariance [C, C] and its root [C, C]."""
    mean, covariance = mean_and_covariance(moments)
    values, vectors = torch.linalg.eigh(covariance)
    return mean, covariance, (vectors * values.clamp_min(0).sqrt()) @ vectors.mT


def gaussian_loss(moments, target):
    """Squared Wasserstein-2 distance of the Gaussians that have these `moments`; Olkin and Pukelsheim 1982.

    |m - m_t|^2 + tr C + tr C_t - 2 tr R with R = (C_t^(1/2) C C_t^(1/2))^(1/2). target: as `gaussian_target` gives it.
    """
    own_mean, own = mean_and_covariance(moments)
    mean, covariance, root = target
    with torch.no_grad():  # the derivative of tr R by C is C_t^(1/2) R^(-1) C_t^(1/2) / 2, finite where eigenvalues are equal
        values, vectors = torch.linalg.eigh(root @ own @ root)
        values = values.clamp_min(1e-14 * values[-1]).sqrt()
        slope = root @ (vectors / values) @ vectors.mT @ root
    trace = (slope * own).sum()
    loss = (own_mean - mean).pow(2).sum() + own.trace() + covariance.trace() - 2 * values.sum() - trace + trace.detach()
    return loss.float().to(moments.device)


def total_variation(image):
    """Mean squared difference of neighbouring pixels of [N, 3, H, W], down plus right; Johnson et al. 2016, section 3.2."""
    return image.diff(dim=2).pow(2).mean() + image.diff(dim=3).pow(2).mean()
