"""Losses of style transfer, each the formula of its paper."""

import torch


def content_loss(features, target):
    """1/2 sum (F - P)^2 over feature maps of one shape; Gatys et al. 2016, equation 1."""
    return 0.5 * (features - target).pow(2).sum()


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


def total_variation(image):
    """Mean squared difference of neighbouring pixels of [N, 3, H, W], down plus right; Johnson et al. 2016, section 3.2."""
    return image.diff(dim=2).pow(2).mean() + image.diff(dim=3).pow(2).mean()
