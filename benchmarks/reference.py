"""Collaborative Distillation's WCT networks (Wang et al. 2020) from their weight files, as a baseline to measure against."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from style_transfer import transforms

ENCODER = ("conv0", "conv11", "conv12", "pool", "conv21", "conv22", "pool", "conv31", "conv32", "conv33", "conv34", "pool",
           "conv41", "conv42", "conv43", "conv44", "pool", "conv51")


class Reference:
    """Five encoders and five decoders; pictures are [1, 3, H, W] in [0, 1]."""

    def __init__(self, folder):
        def weights(kind, level):
            path = Path(folder) / f"collaborative_distillation_{kind}{level}.safetensors"
            return {k: v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v
                    for k, v in load_file(path).items()}
        self.encoders = {level: weights("encoder", level) for level in range(1, 6)}
        self.decoders = {level: weights("decoder", level) for level in range(1, 6)}

    @staticmethod
    def _conv(x, weights, name):
        return F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), weights[f"{name}.weight"], weights[f"{name}.bias"])

    def encode(self, x, level):
        """Features of relu{level}_1."""
        weights = self.encoders[level]
        x = F.conv2d(x, weights["conv0.weight"], weights["conv0.bias"])
        for name in ENCODER[1:ENCODER.index(f"conv{level}1") + 1]:
            x = F.max_pool2d(x, 2) if name == "pool" else F.relu(self._conv(x, weights, name))
        return x

    def decode(self, x, level):
        """Picture from features of relu{level}_1, not clamped."""
        for name in reversed(ENCODER[1:ENCODER.index(f"conv{level}1") + 1]):
            if name == "pool":
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            else:
                x = self._conv(x, self.decoders[level], name)
                x = F.relu(x) if name != "conv11" else x
        return x

    def stylize(self, content, style, alpha=1.0):
        """WCT over all five levels, from the deepest."""
        image = content
        for level in (5, 4, 3, 2, 1):
            f, s = self.encode(image, level), self.encode(style, level)
            transform = transforms.wct(transforms.statistics(f), transforms.statistics(s))
            image = self.decode(transforms.apply(transforms.blend([transform], [1.0], alpha), f), level).clamp(0, 1)
        return image
