"""How far a painting is from its style and from its photograph, in features of a VGG: without a unit, 0 where they agree, and
lower is nearer. Figures of different networks do not compare.

    style    mean over relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 of
             (|mu_o - mu_s|^2 + |sigma_o - sigma_s|^2) / (|mu_s|^2 + |sigma_s|^2), mu and sigma being the channels' means
             and (unbiased) standard deviations over all positions, o the output and s the style
    gram     mean over the same layers of |G_o - G_s|^2 / |G_s|^2, G = F F^T / (H W)
    content  mean over relu3_4, relu4_1 of the mean squared difference of output and content, each channel being
             normalised to mean 0 and deviation 1 first: 0 for the photograph itself, 2 for features that have nothing to do
             with it
"""

import torch

from . import backbones
from .losses import gram_matrix

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYERS = ("relu3_4", "relu4_1")
LAYERS = tuple(sorted({*STYLE_LAYERS, *CONTENT_LAYERS}))
SIZE = 512  # pixels of the long side at which pictures are measured


def statistics(features):
    """{layer: (means and deviations [2 C], Gram matrix [C, C])} of feature maps {layer: [1, C, H, W]}."""
    return {name: (torch.cat((f.mean((0, 2, 3)), f.std((0, 2, 3)))), gram_matrix(f)[0]) for name, f in features.items()}


def normalized(f):
    """Feature maps [1, C, H, W] with mean 0 and deviation 1 in every channel."""
    return (f - f.mean((2, 3), keepdim=True)) / (f.std((2, 3), keepdim=True) + 1e-5)


def _relative(x, y):
    return float((x - y).square().sum() / y.square().sum())


def mean(values):
    """The mean of numbers."""
    values = list(values)
    return sum(values) / len(values)


def style_distances(output, style):
    """(style, gram) between two of what `statistics` gives, over the layers of `style`."""
    return tuple(mean(_relative(output[name][i], style[name][i]) for name in style) for i in (0, 1))


def content_distance(output, content):
    """content between feature maps and normalised ones, over the layers of `content`."""
    return mean(float((normalized(output[name]) - f).square().mean()) for name, f in content.items())


@torch.no_grad()
def measure(image, content, styles=(), device="cpu"):
    """(style, content) distance of pictures [1, 3, H, W] as they are, in features of the compact encoder.

    image and content are of one size. style: mean over the style pictures, None where there are none.
    """
    network = backbones.load("compact", device=device)

    def features(picture, layers):
        return {name: f.float() for name, f in network(picture.to(device), layers).items()}

    own = features(image, LAYERS)
    ours = statistics({name: own[name] for name in STYLE_LAYERS})
    to_styles = [style_distances(ours, statistics(features(style, STYLE_LAYERS)))[0] for style in styles]
    target = {name: normalized(f) for name, f in features(content, CONTENT_LAYERS).items()}
    return mean(to_styles) if to_styles else None, content_distance(own, target)
