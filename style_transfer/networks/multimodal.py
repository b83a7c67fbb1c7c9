"""Multimodal Transfer: three subnets that paint at 256, 512 and 1024 pixels, each on what the one before it made."""

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import Conv, InstanceNorm, ResidualBlock, Up, luminance, sequence


class Layer(nn.Module):
    """Convolution, instance normalisation, ReLU; with `up` a nearest resize by 2 before them (Odena et al. 2016)."""

    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, up=False):
        super().__init__()
        self.conv, self.norm, self.up = Conv(in_channels, out_channels, kernel_size, stride), InstanceNorm(out_channels), up

    @property
    def parts(self):
        """What it consists of, in the order of its use."""
        return [*([Up()] if self.up else []), self.conv, self.norm, nn.ReLU(True)]

    def forward(self, x):
        return sequence(self.parts, x)


def _flat(layers):
    """Convolutions, normalisations and the like, out of what is made of them; residual blocks as they are."""
    return [part for layer in layers for part in (layer.parts if isinstance(layer, Layer) else [layer])]


def _down(channels, widths):
    """9x9, then strided 3x3 convolutions: one layer a width."""
    return [Layer(channels, widths[0], 9), *(Layer(a, b, stride=2) for a, b in zip(widths, widths[1:]))]


def _residual(channels, count):
    return [ResidualBlock(channels) for _ in range(count)]


def _up(widths):
    """Resize-convolutions, one for each pair of neighbouring widths."""
    return [Layer(a, b, up=True) for a, b in zip(widths, widths[1:])]


class StyleSubnet(nn.Module):
    """A block that sees colours and one that sees luminance, concatenated (Wang et al. 2017, section 3.3.1)."""

    def __init__(self, width):
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        self.rgb = nn.Sequential(*_down(3, widths), *_residual(4 * width, 3))
        self.luminance = nn.Sequential(*_down(1, widths), *_residual(4 * width, 3))
        self.both = nn.Sequential(*_residual(8 * width, 3), *_up([8 * width, 4 * width, 2 * width]), Conv(2 * width, 3))

    def forward(self, image, run=sequence):
        seen = [run(_flat(self.rgb), image), run(_flat(self.luminance), luminance(image))]
        return run(_flat(self.both), torch.cat(seen, 1))


class EnhanceSubnet(nn.Sequential):
    """Larger strokes on an enlarged picture, by a deeper network (section 3.3.2)."""

    def __init__(self, width):
        widths = [width, 2 * width, 4 * width, 8 * width]
        super().__init__(*_down(3, widths), *_residual(8 * width, 6), *_up(widths[::-1]), Conv(width, 3, 9))

    def forward(self, image, run=sequence):
        return run(_flat(self), image)


class RefineSubnet(nn.Sequential):
    """Fine texture, added to the enlarged picture (section 3.3.2)."""

    def __init__(self, width):
        widths = [width, 2 * width, 4 * width]
        super().__init__(*_down(3, widths), *_residual(4 * width, 3), *_up(widths[::-1]), Conv(width, 3))

    def forward(self, image, run=sequence):
        return image + run(_flat(self), image)


class Multimodal(nn.Module):
    """Multimodal Transfer (Wang et al. 2017), from a picture to three of one, two and four times its sides.

    widths: channels of the first layer of the style, enhance and refine subnet.
    """

    multiple = 4  # of which the sides must be one
    canvas = False

    def __init__(self, widths=(16, 32, 32)):
        super().__init__()
        self.arguments = dict(widths=list(widths))
        self.style, self.enhance, self.refine = StyleSubnet(widths[0]), EnhanceSubnet(widths[1]), RefineSubnet(widths[2])

    def forward(self, image, outputs=3, run=sequence):
        """image: [N, 3, H, W], sRGB in [0, 1], H and W multiples of 4, 256 pixels in the paper; outputs: 1 to 3;
        run: (layers, x) -> x.

        Returns that many of [N, 3, H, W], [N, 3, 2H, 2W], [N, 3, 4H, 4W], not clamped.
        """
        found = [self.style(image, run)]
        for subnet in (self.enhance, self.refine)[:outputs - 1]:
            enlarged = F.interpolate(found[-1], scale_factor=2, mode="bilinear", align_corners=False)
            found.append(subnet(enlarged, run))
        return found
