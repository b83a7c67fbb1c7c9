"""VGG-16, VGG-19 and the compact encoder: feature maps by layer name (relu1_1 ... relu5_4)."""

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import Conv

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# convolutions in each of the five blocks, and the channels of each block
VGG16 = dict(depths=(2, 2, 3, 3, 3), widths=(64, 128, 256, 512, 512))
VGG19 = dict(depths=(2, 2, 4, 4, 4), widths=(64, 128, 256, 512, 512))
COMPACT = dict(depths=(2, 2, 4, 4, 1), widths=(16, 32, 64, 128, 128))  # VGG-19's plan to relu5_1, Wang et al. 2020


def layer_names(depths):
    """Names of the layers of a VGG with so many convolutions in each block, shallow to deep."""
    return [f"relu{block}_{n}" for block, depth in enumerate(depths, 1) for n in range(1, depth + 1)]


class VGG(nn.Module):
    """The convolutional part of a VGG network (Simonyan and Zisserman 2015) with reflection padding.

    Parameter names are torchvision's (`features.{i}.weight`), so that its weights load as they are. The compact
    encoder is the same network with a quarter of the channels.
    """

    def __init__(self, depths, widths):
        super().__init__()
        self.depths, self.widths = tuple(depths), tuple(widths)
        self.arguments = dict(depths=list(depths), widths=list(widths))
        self.features = nn.ModuleDict()
        self.plan = []  # (index in torchvision's Sequential, layer name), "pool" between the blocks
        index, channels = 0, 3
        for block, (depth, width) in enumerate(zip(depths, widths), 1):
            for conv in range(1, depth + 1):
                self.features[str(index)] = Conv(channels, width)
                self.plan.append((str(index), f"relu{block}_{conv}"))
                index, channels = index + 2, width
            self.plan.append((str(index), "pool"))
            index += 1
        self.plan.pop()  # nobody reads what comes after the last pooling
        self.before_pool = {name: after == "pool" for (_, name), (_, after) in zip(self.plan, [*self.plan[1:], (0, "")])}
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    @property
    def layers(self):
        """Names of all layers, shallow to deep."""
        return layer_names(self.depths)

    def channels(self, layer):
        """Number of channels of a layer's feature map."""
        return self.widths[int(layer[4]) - 1]

    def stride(self, layer):
        """Pixels of the picture, a side, for each position of a layer's feature map."""
        return 2 ** (int(layer[4]) - 1)

    def radius(self, layers):
        """Pixels around a position's own `stride` that the deepest of the layers sees."""
        last = max(map(self.layers.index, layers))
        return sum(map(self.stride, self.layers[:last + 1]))

    def forward(self, image, layers):
        """Feature maps of a picture.

        image: [N, 3, H, W], sRGB in [0, 1]; layers: names such as "relu4_1".
        Returns {name: [N, C, H', W']}; block b has sides H' = floor(H / 2^(b-1)).
        Raises KeyError for a layer that the network does not have.
        """
        missing = set(layers) - set(self.layers)
        if missing:
            raise KeyError(f"no layer {', '.join(sorted(missing))}; this network has {', '.join(self.layers)}")
        x, out, last = (image - self.mean) / self.std, {}, None
        for index, name in self.plan:
            if name == "pool":  # pooled before the ReLU, which is the same, unless somebody has asked for what lies between
                x = F.max_pool2d(x, 2) if last in layers else F.relu_(F.max_pool2d(x, 2))
                continue
            x, last = self.features[index](x), name
            if name in layers or not self.before_pool[name]:
                x = F.relu_(x)
            if name in layers:
                out[name] = x
                if len(out) == len(set(layers)):
                    break
        return out
