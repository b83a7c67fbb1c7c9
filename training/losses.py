"""Losses that training needs: differences of feature maps, each relative to its target, so that one weight serves all."""

import itertools
from functools import cache

import torch
import torch.nn.functional as F

from style_transfer.losses import gram_matrix
from style_transfer.transforms import mean_and_deviation

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYERS = ("relu3_4", "relu4_1")
MOMENTS = 10.0  # weight of means and deviations beside Gram matrices: doubled features are wrong by 1 in these, by 9 in those
RANGE = 10.0  # weight of `range_penalty`: clamping, which the pictures get at the end, gives a network no gradient
BANDS, WINDOW, GRAIN_FLOOR = (0.125, 0.1875, 0.25, 0.3125, 0.375, 0.5), 32, 1e-6  # of `grain`: cycles per pixel, pixels, power
SOFTER = (0.0, 0.0, 0.5, 1.0, 2.0)  # octaves by which a painted picture is softer than its sources, between two of `BANDS`
# Added to what is divided by, far below what real features and photographs have: flat pictures give no infinity.
FEATURE_FLOOR, ENERGY_FLOOR, PICTURE_FLOOR = 1e-6, 1e-4, 1e-3


def psnr(output, image):
    """Peak signal to noise ratio in dB of pictures in [0, 1], averaged over the batch."""
    error = (output.detach().clamp(0, 1) - image).pow(2).flatten(1).mean(1)
    return float((-10 * error.log10()).mean())


def range_penalty(image):
    """Mean square of what clamping to [0, 1] would cut off."""
    return (image - image.clamp(0, 1)).pow(2).mean()


@cache
def _bands(device):
    """The window [y, x] through which `grain` looks, and the share [bands, y, x] of each frequency in the mean of a band."""
    window, x = torch.hann_window(WINDOW, device=device), torch.fft.fftfreq(WINDOW, device=device)
    radius, along = torch.hypot(x[:, None], x), torch.atan2(x[:, None], x).mul(4).cos() > 0
    bands = torch.stack([(low <= radius) & (radius < high) & side
                         for low, high in itertools.pairwise(BANDS) for side in (along, ~along)])
    return window[:, None] * window, bands / bands.sum((1, 2), keepdim=True)


def grain(image):
    """Power of the luminance in octaves, in windows of 32 pixels: [N, 3, H, W] to [N, windows, bands].

    A band holds the frequencies between two of `BANDS`, in cycles per pixel, along the axes or between them.
    """
    window, share = _bands(image.device)
    luminance = image.float().mean(1).unfold(1, WINDOW, WINDOW // 2).unfold(2, WINDOW, WINDOW // 2).flatten(1, 2)
    power = torch.fft.fft2((luminance - luminance.mean((2, 3), keepdim=True)) * window).abs().pow(2) / window.pow(2).sum()
    return (torch.einsum("nwyx,byx->nwb", power, share) + GRAIN_FLOOR).log2()


def artefact_penalty(output, content, style):
    """By how many octaves the output is rougher than the rougher one of content and style, or softer than the softer one.

    Averaged over bands and windows, which are compared in order of their power: the plain ones with the plain ones, edges
    with edges. In the finest bands the output is to be softer than they are (`SOFTER`).
    """
    output, content, style = (grain(x).sort(1).values for x in (output, content, style))
    output = output + output.new_tensor(SOFTER).repeat_interleave(2)
    rougher, softer = torch.maximum(content, style), torch.minimum(content, style)
    return ((output - rougher).clamp(min=0) + (softer - output).clamp(min=0)).mean()


def grid_penalty(image, period=4, window=64):
    """Mean variance of what repeats every `period` pixels in windows of so many: the lattice of strided layers; [N, C, H, W].

    A picture without a lattice has its variance times (period / window)^2.
    """
    side = min(window, *image.shape[2:]) // period * period
    windows = image.float().unfold(2, side, side).unfold(3, side, side)
    repeated = windows.unflatten(-1, (-1, period)).unflatten(-3, (-1, period)).mean((-4, -2))
    return repeated.var((-2, -1), correction=0).mean()


def reconstruction_loss(output, image):
    """Mean squared error over each picture's variance."""
    return ((output - image).pow(2).mean((1, 2, 3)) / (image.var((1, 2, 3)) + PICTURE_FLOOR)).mean()


def relative_error(prediction, target):
    """Mean squared error over the target's variance."""
    prediction, target = prediction.float(), target.float()
    return F.mse_loss(prediction, target) / (target.var() + FEATURE_FLOOR)


def normalized(features):
    mean, deviation = mean_and_deviation(features)
    return (features.float() - mean) / deviation


def normalized_content_loss(output, content):
    """Mean squared difference of instance-normalised features {layer: [N, C, H, W]}, averaged over the layers of `content`."""
    return sum(F.mse_loss(normalized(output[n]), normalized(f)) for n, f in content.items()) / len(content)


def style_statistics(features, layers):
    """{layer: (Gram matrix, mean, deviation)} of feature maps."""
    return {n: (gram_matrix(features[n]), *mean_and_deviation(features[n])) for n in layers}


def moment_loss(output, style):
    """Squared difference of means and deviations over the style's energy, averaged over layers and pictures.

    output: {layer: [N, C, H, W]}; style: what `style_statistics` gives of one painting or of N.
    """
    total = 0.0
    for name, (_, mu_s, sigma_s) in style.items():
        mu, sigma = mean_and_deviation(output[name])
        difference = (mu - mu_s).pow(2).sum((1, 2, 3)) + (sigma - sigma_s).pow(2).sum((1, 2, 3))
        energy = mu_s.pow(2).sum((1, 2, 3)) + sigma_s.pow(2).sum((1, 2, 3))
        total = total + (difference / (energy + ENERGY_FLOOR)).mean()
    return total / len(style)


def gram_loss(output, style):
    """Squared difference of Gram matrices over the style's energy, averaged over layers and pictures; as `moment_loss`."""
    total = 0.0
    for name, (target, _, _) in style.items():
        difference = (gram_matrix(output[name]) - target).pow(2).sum((1, 2))
        total = total + (difference / (target.pow(2).sum((1, 2)) + ENERGY_FLOOR)).mean()
    return total / len(style)


def feature_reconstruction(output, content):
    """Sum over the layers of mean squared differences of features; Johnson et al. 2016, equation 2."""
    return sum(F.mse_loss(output[n].float(), f.float()) for n, f in content.items())


def style_reconstruction(output, style):
    """Sum over the layers of mean squared differences of Gram matrices over C H W; Johnson et al. 2016, equation 4.

    output, style: as for `moment_loss`. (The authors' code takes the mean where the paper has the squared Frobenius norm.)
    """
    return sum(((gram_matrix(output[n]) - gram) / gram.shape[-1]).pow(2).mean() for n, (gram, _, _) in style.items())


def moment_reconstruction(output, style):
    """Sum over the layers of mean squared differences of means and deviations; Huang and Belongie 2017, equation 13."""
    total = 0.0
    for name, (_, mu_s, sigma_s) in style.items():
        mu, sigma = mean_and_deviation(output[name])
        total = total + F.mse_loss(mu, mu_s) + F.mse_loss(sigma, sigma_s)
    return total


def hierarchical(losses, weights=(1.0, 0.5, 0.25)):
    """sum_k lambda_k L_k over the losses of the three subnets; Wang et al. 2017, section 3.2.2."""
    return sum(weight * loss for weight, loss in zip(weights, losses))


def least_squares(scores, target):
    """Mean of (D - target)^2 over the maps of scores of a discriminator; Mao et al. 2017, Zhu et al. 2017, section 4."""
    return sum((score.float() - target).pow(2).mean() for score in scores) / len(scores)


class PerceptualLoss:
    """Feature reconstruction and style reconstruction against one painting (Johnson et al. 2016, section 3.2).

    Deviations from the paper: content compares instance-normalised features, style means and deviations beside Gram
    matrices, each layer relative to the painting's energy, so that one pair of weights serves every painting.
    extractor: a VGG; painting: [1, 3, H, W]; layers by name; plain: the paper's equations 2 and 4, as means.
    """

    @torch.no_grad()
    def __init__(self, extractor, painting, content_layers=CONTENT_LAYERS, style_layers=STYLE_LAYERS, plain=False):
        self.extractor, self.content_layers, self.plain = extractor, list(content_layers), plain
        self.style = style_statistics(extractor(painting, style_layers), style_layers)

    def __call__(self, output, image):
        """Content and style loss of pictures [N, 3, H, W] in [0, 1] made of the photographs `image`."""
        features = self.extractor(output, {*self.style, *self.content_layers})
        with torch.no_grad():
            content = self.extractor(image, self.content_layers)
        if self.plain:
            return feature_reconstruction(features, content), style_reconstruction(features, self.style)
        return (normalized_content_loss(features, content),
                gram_loss(features, self.style) + MOMENTS * moment_loss(features, self.style))
