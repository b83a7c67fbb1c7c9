"""Johnson's image transformation network: one style, one pass."""

import torch.nn.functional as F
from torch import nn

from .blocks import Conv, InstanceNorm, ResidualBlock


class Johnson(nn.Module):
    """Image transformation network (Johnson et al. 2016, supplement, table 1), from a picture to a picture.

    9x9, two strided 3x3, residual blocks, two upsampling convolutions, 9x9; instance instead of batch normalisation
    (Ulyanov et al. 2016), nearest resize and convolution instead of fractional strides (Odena et al. 2016), and a linear
    last layer whose output is clamped where pictures are made.
    width: channels of the first layer, 32 in the paper; blocks: residual blocks, 5 in the paper.
    """

    kernel = 9  # side of the first and the last one's
    multiple = 4  # of which the sides are made one by repeating the last line

    def __init__(self, width=32, blocks=5):
        super().__init__()
        self.arguments = dict(width=width, blocks=blocks)
        w1, w2, w3 = width, 2 * width, 4 * width
        self.conv1, self.norm1 = Conv(3, w1, self.kernel), InstanceNorm(w1)
        self.conv2, self.norm2 = Conv(w1, w2, 3, stride=2), InstanceNorm(w2)
        self.conv3, self.norm3 = Conv(w2, w3, 3, stride=2), InstanceNorm(w3)
        self.blocks = nn.ModuleList(ResidualBlock(w3) for _ in range(blocks))
        self.up1, self.norm4 = Conv(w3, w2), InstanceNorm(w2)
        self.up2, self.norm5 = Conv(w2, w1), InstanceNorm(w1)
        self.last = Conv(w1, 3, self.kernel)

    def forward(self, image):
        """image: [N, 3, H, W], sRGB in [0, 1], sides of any length. Returns [N, 3, H, W], not clamped."""
        height, width = image.shape[2:]
        x = F.pad(image, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        x = F.relu(self.norm3(self.conv3(x)))
        for block in self.blocks:
            x = block(x)
        x = F.relu(self.norm4(self.up1(F.interpolate(x, scale_factor=2, mode="nearest"))))
        x = F.relu(self.norm5(self.up2(F.interpolate(x, scale_factor=2, mode="nearest"))))
        return self.last(x)[:, :, :height, :width]
