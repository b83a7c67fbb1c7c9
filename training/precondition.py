"""Decoders in coordinates in which they learn fast: whitened features, batch normalisation, both folded away at the end.

Features behind a ReLU have large means and share most of their variance; what a picture is rebuilt from lies in their
small directions. Gradient steps in raw coordinates take ten times as long to find it.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from style_transfer.networks.decoder import Decoder
from style_transfer.transforms import Statistics, statistics

LEVELS = {2: 0.2, 3: 0.2, 4: 0.3, 5: 0.3}  # of the decoders that learn, and the part of the steps that each gets
GREY, CONTRAST = 0.45, 0.1  # an untrained decoder begins near the mean of photographs, with little of its own
RIDGE = 1e-9  # of the mean variance, added to it: features that depend on each other have a solution as well


@torch.no_grad()
def whitening(features, relative_eps=1e-4):
    """Mean [C] and symmetric whitening matrix [C, C] of feature maps [N, C, H, W], with its inverse."""
    found = statistics(features.transpose(0, 1).flatten(1, 2)[None])
    ridge = relative_eps * torch.linalg.matrix_norm(found.covariance, 2) * torch.eye(features.shape[1], dtype=torch.double)
    ridged = Statistics(found.mean, found.covariance + ridge)
    return tuple(x[0].to(features) for x in (found.mean, ridged.inverse_root, ridged.root))


@torch.no_grad()
def least_squares(features, target):
    """Weight [K, C] and bias [K] of the 1x1 convolution that predicts target [N, K, H, W] from features [N, C, H, W]."""
    x, y = (f.permute(1, 0, 2, 3).flatten(1).double() for f in (features, target))
    mean_x, mean_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, y = x - mean_x, y - mean_y
    covariance = x @ x.T
    ridge = RIDGE * covariance.diagonal().mean() * torch.eye(len(x), dtype=x.dtype, device=x.device)
    weight = torch.linalg.solve(covariance + ridge, x @ y.T).T
    return weight.float(), (mean_y - weight @ mean_x).flatten().float()


@torch.no_grad()
def _change_input(conv, matrix, offset):
    """Let a convolution that is fed x = matrix z + offset do for z what it does for x."""
    conv.bias += torch.einsum("oihw,i->o", conv.weight, offset)
    conv.weight.copy_(torch.einsum("oihw,ic->ochw", conv.weight, matrix))


@torch.no_grad()
def new_decoders(encoder, image, seed):
    """Untrained decoders {"2": ..., "5": ...}, whitened by the features of `image`."""
    torch.manual_seed(seed)  # whatever was made at random before, and thrown away
    decoders = nn.ModuleDict()
    for level in LEVELS:
        decoder, layer = Decoder(level, encoder.depths, encoder.widths), f"relu{level}_1"
        decoders[str(level)] = Preconditioned(decoder, {layer: whitening(encoder(image, [layer])[layer])}, fresh=True)
    return decoders


class Preconditioned(nn.Module):
    """A decoder in training. `fold` gives the plain decoder that computes the same.

    decoder: the start; statistics: {layer: what `whitening` returned} for each of its layers;
    fresh: begin from random weights, with batch normalisation behind every convolution but the last.
    """

    def __init__(self, decoder, statistics, fresh=False):
        super().__init__()
        self.decoder = copy.deepcopy(decoder)
        convs = [self.decoder.head, *self.decoder.joins]
        for i, layer in enumerate(decoder.layers):
            mean, matrix, inverse = statistics[layer]
            self.register_buffer(f"mean_{layer}", mean)
            self.register_buffer(f"matrix_{layer}", matrix)
            _change_input(convs[i], inverse, mean)
        if fresh:
            for module in self.decoder.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    nn.init.zeros_(module.bias)
            last = self.decoder.blocks[-1][-1]
            last.weight.data *= CONTRAST
            last.bias.data.fill_(GREY)
            self._replace(self.decoder, lambda conv: conv if conv is last else
                          nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels)))

    @staticmethod
    def _replace(decoder, new):
        """Put new(convolution) in the place of the head and of all that mirrors the encoder's."""
        decoder.head = new(decoder.head)
        for convs in decoder.blocks:
            for i, conv in enumerate(convs):
                convs[i] = new(conv)

    def forward(self, features):
        white = {}
        for layer in self.decoder.layers:
            mean, matrix = getattr(self, f"mean_{layer}"), getattr(self, f"matrix_{layer}")
            f = features[layer]
            white[layer] = F.conv2d(f, matrix[:, :, None, None].to(f.dtype), -(matrix @ mean).to(f.dtype))
        return self.decoder(white)

    @torch.no_grad()
    def fold(self):
        """The plain `Decoder`, fed with features as the encoder gives them."""
        plain = copy.deepcopy(self.decoder).eval()

        self._replace(plain, lambda module: fuse_conv_bn_eval(*module) if isinstance(module, nn.Sequential) else module)
        convs = [plain.head, *plain.joins]
        for i, layer in enumerate(plain.layers):
            mean, matrix = getattr(self, f"mean_{layer}"), getattr(self, f"matrix_{layer}")
            _change_input(convs[i], matrix, -(matrix @ mean))
        result = Decoder(**self.decoder.arguments)
        result.load_state_dict(plain.state_dict())
        return result.to(memory_format=torch.channels_last)
