"""Losses that only training needs."""

import torch.nn.functional as F

from style_transfer.losses import gram_matrix
from style_transfer.transforms import mean_and_deviation

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYERS = ("relu3_4", "relu4_1")


def relative_error(prediction, target):
    """Mean squared error over the target's variance."""
    prediction, target = prediction.float(), target.float()
    return F.mse_loss(prediction, target) / (target.var() + 1e-6)


def normalized(features):
    mean, deviation = mean_and_deviation(features)
    return (features.float() - mean) / deviation


def content_loss(output, content):
    """Mean squared difference of instance-normalised features, averaged over CONTENT_LAYERS as far as given."""
    layers = [n for n in CONTENT_LAYERS if n in content]
    return sum(F.mse_loss(normalized(output[n]), normalized(content[n])) for n in layers) / len(layers)


def style_loss(output, style):
    """Squared difference of means and deviations over the style's energy, averaged over layers and pictures."""
    total = 0.0
    layers = [n for n in STYLE_LAYERS if n in output]
    for name in layers:
        (mu, sigma), (mu_s, sigma_s) = mean_and_deviation(output[name]), mean_and_deviation(style[name])
        difference = (mu - mu_s).pow(2).sum((1, 2, 3)) + (sigma - sigma_s).pow(2).sum((1, 2, 3))
        energy = mu_s.pow(2).sum((1, 2, 3)) + sigma_s.pow(2).sum((1, 2, 3))
        total = total + (difference / (energy + 1e-4)).mean()
    return total / len(layers)


def gram_loss(output, style):
    """Squared difference of Gram matrices over the style's energy, averaged over layers and pictures."""
    total = 0.0
    layers = [n for n in STYLE_LAYERS if n in output]
    for name in layers:
        gram, target = gram_matrix(output[name]), gram_matrix(style[name])
        total = total + ((gram - target).pow(2).sum((1, 2)) / (target.pow(2).sum((1, 2)) + 1e-4)).mean()
    return total / len(layers)
