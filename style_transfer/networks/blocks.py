"""Building blocks that several networks share."""

import torch
import torch.nn.functional as F
from torch import nn

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the Y of YIQ and YCbCr


def luminance(image):
    """Y = 0.299 R + 0.587 G + 0.114 B: [N, 3, H, W] to [N, 1, H, W], in [0, 1]."""
    r, g, b = image.split(1, dim=1)
    return LUMA[0] * r + LUMA[1] * g + LUMA[2] * b


class _ReflectionPad(torch.autograd.Function):
    """`F.pad(x, (p, p, p, p), mode="reflect")` that copies the picture and its border lines instead of walking every pixel.

    On a CPU, PyTorch's own costs more time than the convolutions of the compact encoder.
    """

    @staticmethod
    def forward(ctx, x, p):
        ctx.p = p
        n, c, height, width = x.shape
        memory = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        out = torch.empty((n, c, height + 2 * p, width + 2 * p), dtype=x.dtype, device=x.device, memory_format=memory)
        out[:, :, p:-p, p:-p] = x
        out[:, :, p:-p, :p], out[:, :, p:-p, -p:] = x[..., 1:p + 1].flip(3), x[..., -p - 1:-1].flip(3)
        out[:, :, :p], out[:, :, -p:] = out[:, :, p + 1:2 * p + 1].flip(2), out[:, :, -2 * p - 1:-p - 1].flip(2)
        return out

    @staticmethod
    def backward(ctx, grad):
        p = ctx.p
        rows = grad[:, :, p:-p].clone()
        rows[:, :, 1:p + 1] += grad[:, :, :p].flip(2)
        rows[:, :, -p - 1:-1] += grad[:, :, -p:].flip(2)
        inner = rows[..., p:-p].clone()
        inner[..., 1:p + 1] += rows[..., :p].flip(3)
        inner[..., -p - 1:-1] += rows[..., -p:].flip(3)
        return inner, None


def reflection_pad(x, p=1):
    """Reflect p pixels at each side: [N, C, H, W] -> [N, C, H + 2p, W + 2p]. Where there are too few, the last is repeated."""
    if min(x.shape[2:]) <= p:
        return F.pad(x, (p, p, p, p), mode="replicate")
    return _ReflectionPad.apply(x, p)


class Conv(nn.Conv2d):
    """Convolution with reflection padding, so that no dark frame enters at the picture's edges."""

    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1):
        super().__init__(in_channels, out_channels, kernel_size, stride)

    def forward(self, x):
        return super().forward(reflection_pad(x, self.kernel_size[0] // 2))


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation with scale and shift (Ulyanov et al. 2016).

    Batch normalisation of one picture at a time is the same and, unlike PyTorch's own, leaves channels_last as it is: a
    training step on a CPU takes less than half of the time.
    """

    def __init__(self, channels):
        super().__init__(channels, affine=True)

    def forward(self, x):
        if x.shape[2] * x.shape[3] == 1:  # one value is its own mean
            return self.bias.view(1, -1, 1, 1).expand_as(x)
        return torch.cat([F.batch_norm(one, None, None, self.weight, self.bias, True, 0.0, self.eps) for one in x.split(1)])


class Up(nn.Module):
    """Resize to twice the sides, nearest or bilinear: [N, C, H, W] -> [N, C, 2H, 2W]."""

    def __init__(self, bilinear=False):
        super().__init__()
        self.mode, self.radius = ("bilinear", 1) if bilinear else ("nearest", 0)

    def forward(self, x):
        return F.interpolate(x, scale_factor=2, mode=self.mode)


def sequence(layers, x):
    """One layer after another. What takes its place, as `run` of a network, gives the same (`tiles.sequence`)."""
    for layer in layers:
        x = layer(x)
    return x


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation beside an identity (Johnson et al. 2016, supplement, figure 1)."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.norm1 = Conv(channels, channels), InstanceNorm(channels)
        self.conv2, self.norm2 = Conv(channels, channels), InstanceNorm(channels)

    @property
    def inner(self):
        """What is added to the identity."""
        return [self.conv1, self.norm1, nn.ReLU(True), self.conv2, self.norm2]

    def forward(self, x):
        return x + sequence(self.inner, x)
