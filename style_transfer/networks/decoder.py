"""Decoders of AdaIN and WCT: the encoder mirrored, from a layer's features back to a picture."""

import torch.nn.functional as F
from torch import nn

from .blocks import Conv, Up


class Decoder(nn.Module):
    """The mirror of a VGG encoder from relu{level}_1 to the picture, upsampling for each pooling.

    (Huang and Belongie 2017, section 6; Li et al. 2017, section 3.1.)  With `skips`, the features of relu1_1 to
    relu{level-1}_1 enter as well, each where the decoder has reached their size: the mirrored decoder has to guess
    fine structure and palette from the deepest features, this one is handed them.
    canvas: it learnt to paint features of pictures on a canvas (`canvas.prime`), and upsamples bilinearly, which lends itself
    less to a mesh; the papers' nearest otherwise.
    """

    def __init__(self, level, depths, widths, skips=False, canvas=False):
        super().__init__()
        self.level, self.skips, self.canvas = level, skips, canvas
        self.arguments = dict(level=level, depths=list(depths), widths=list(widths), skips=skips, canvas=canvas)
        self.up = Up(canvas)
        self.head = Conv(widths[level - 1], widths[level - 2] if level > 1 else 3)
        self.blocks = nn.ModuleList()
        for block in range(level - 1, 0, -1):  # block b mirrors the encoder's block b: its convolutions, last first
            width = widths[block - 1]
            below = widths[block - 2] if block > 1 else 3
            convs = [Conv(width, width) for _ in range(depths[block - 1] - 1)] + [Conv(width, below)]
            self.blocks.append(nn.ModuleList(convs))
        # the skips start at zero: the decoder with skips begins as the one without
        self.joins = nn.ModuleList(nn.Conv2d(widths[b - 1], widths[b - 1], 1) for b in range(level - 1, 0, -1)) \
            if skips else nn.ModuleList()
        for join in self.joins:
            nn.init.zeros_(join.weight)
            nn.init.zeros_(join.bias)

    @property
    def layers(self):
        """Names of the layers whose features `forward` takes, deepest first."""
        return [f"relu{b}_1" for b in range(self.level, 0 if self.skips else self.level - 1, -1)]

    @property
    def radius(self):
        """Pixels around a pixel that it is painted from, as far as they have features of their own."""
        deep = 2 ** (self.level - 1)
        return deep + sum((len(convs) + 2 * self.up.radius) * deep // 2 ** (i + 1) for i, convs in enumerate(self.blocks))

    def forward(self, features):
        """features: {layer name: [N, C, H', W']} for each of `layers`. Returns [N, 3, H, W], not clamped."""
        x = self.head(features[f"relu{self.level}_1"])
        for i, (*convs, last) in enumerate(self.blocks):
            x = self.up(F.relu_(x))
            for conv in convs:
                x = F.relu_(conv(x))
            if self.skips:  # here x mirrors relu{b}_1
                x = F.relu_(self.joins[i](features[f"relu{self.level - 1 - i}_1"]).add_(x))
            x = last(x)
        return x

