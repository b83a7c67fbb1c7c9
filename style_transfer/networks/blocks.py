"""Building blocks that several networks share."""

import torch
import torch.nn.functional as F
from torch import nn


class _ReflectionPad(torch.autograd.Function):
    """`F.pad(x, (1, 1, 1, 1), mode="reflect")` whose backward pass adds four border lines instead of walking every pixel.

    On a CPU, PyTorch's own backward of reflection padding costs a fifth of a training step of the compact encoder.
    """

    @staticmethod
    def forward(ctx, x):
        return F.pad(x, (1, 1, 1, 1), mode="reflect")

    @staticmethod
    def backward(ctx, grad):
        rows = grad[:, :, 1:-1].clone()
        rows[:, :, 1] += grad[:, :, 0]
        rows[:, :, -2] += grad[:, :, -1]
        inner = rows[..., 1:-1].clone()
        inner[..., 1] += rows[..., 0]
        inner[..., -2] += rows[..., -1]
        return inner


def reflection_pad(x):
    """Reflect one pixel at each side: [N, C, H, W] -> [N, C, H + 2, W + 2]. A line of one pixel is repeated instead."""
    if min(x.shape[2:]) < 2:
        return F.pad(x, (1, 1, 1, 1), mode="replicate")
    return _ReflectionPad.apply(x)


class Conv3x3(nn.Conv2d):
    """3x3 convolution with reflection padding, so that no dark frame enters at the picture's edges."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 3)

    def forward(self, x):
        return super().forward(reflection_pad(x))
