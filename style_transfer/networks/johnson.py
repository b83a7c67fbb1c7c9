"""Johnson's image transformation network: one style, one pass."""

import torch.nn.functional as F
from torch import nn

from .blocks import Conv, InstanceNorm, ResidualBlock, Up, sequence


class Johnson(nn.Module):
    """Image transformation network (Johnson et al. 2016, supplement, table 1), from a picture to a picture.

    9x9, two strided 3x3, residual blocks, two upsampling convolutions, 9x9; instance instead of batch normalisation
    (Ulyanov et al. 2016), nearest resize and convolution instead of fractional strides (Odena et al. 2016), and a linear
    last layer whose output is clamped where pictures are made.
    width: channels of the first layer, 32 in the paper; blocks: residual blocks, 5 in the paper; canvas: as for `Decoder`.
    """

    kernel = 9  # side of the first and the last one's
    multiple = 4  # of which the sides are made one by repeating the last line

    def __init__(self, width=32, blocks=5, canvas=False):
        super().__init__()
        self.canvas, self.arguments = canvas, dict(width=width, blocks=blocks, canvas=canvas)
        w1, w2, w3 = width, 2 * width, 4 * width
        self.conv1, self.norm1 = Conv(3, w1, self.kernel), InstanceNorm(w1)
        self.conv2, self.norm2 = Conv(w1, w2, 3, stride=2), InstanceNorm(w2)
        self.conv3, self.norm3 = Conv(w2, w3, 3, stride=2), InstanceNorm(w3)
        self.blocks = nn.ModuleList(ResidualBlock(w3) for _ in range(blocks))
        self.up1, self.norm4 = Conv(w3, w2), InstanceNorm(w2)
        self.up2, self.norm5 = Conv(w2, w1), InstanceNorm(w1)
        self.last = Conv(w1, 3, self.kernel)

    @property
    def parts(self):
        """All of them, in the order of their use."""
        relu = nn.ReLU(True)
        return [self.conv1, self.norm1, relu, self.conv2, self.norm2, relu, self.conv3, self.norm3, relu, *self.blocks,
                Up(self.canvas), self.up1, self.norm4, relu, Up(self.canvas), self.up2, self.norm5, relu, self.last]

    def forward(self, image, run=sequence):
        """image: [N, 3, H, W], sRGB in [0, 1], sides of any length; run: (layers, x) -> x.

        Returns [N, 3, H, W], not clamped.
        """
        height, width = image.shape[2:]
        x = F.pad(image, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        return run(self.parts, x)[:, :, :height, :width]
