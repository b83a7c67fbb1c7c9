"""CycleGAN's networks (Zhu et al. 2017): generators that paint, discriminators that tell painted from real patches."""

from torch import nn

from .johnson import Johnson

SLOPE = 0.2  # of the leaky rectifiers (Zhu et al. 2017, appendix 7.2)
FLOOR = 1e-6  # added to what is divided by: channels that are always 0


class Generator(Johnson):
    """ResNet generator (Zhu et al. 2017, appendix 7.2): c7s1-w, d2w, d4w, residual blocks, u2w, uw, c7s1-3.

    That is Johnson's network with smaller outer kernels, and as there with nearest resize and convolution instead of
    fractional strides and a linear last layer instead of a hyperbolic tangent.
    width: channels of the first layer, 64 in the paper; blocks: 9 in the paper, 6 below 256 pixels.
    """

    kernel = 7

    def __init__(self, width=64, blocks=9, canvas=False):
        super().__init__(width, blocks, canvas)


class PatchDiscriminator(nn.Module):
    """70 x 70 PatchGAN (Isola et al. 2017; Zhu et al. 2017, appendix 7.2): C64-C128-C256-C512, instance normalisation.

    width: channels of the first layer, 64 in the paper.
    """

    def __init__(self, width=64):
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        layers = []
        for number, (before, after) in enumerate(zip([3, *widths], widths)):
            layers.append(nn.Conv2d(before, after, 4, stride=1 if number == 3 else 2, padding=1))
            if number:
                layers.append(nn.InstanceNorm2d(after))
            layers.append(nn.LeakyReLU(SLOPE))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, image):
        """image: [N, 3, H, W] in [0, 1], sides of 24 or more. Returns a list of one map of scores [N, 1, h, w], 1 for real."""
        return [self.layers(2 * image - 1)]


class FeatureDiscriminator(nn.Module):
    """Small heads on the feature maps of a frozen encoder (Projected GANs, Sauer et al. 2021, section 3.1).

    The features know what pictures look like, so that the heads learn in minutes what a PatchGAN learns in hours.
    features: {layer: [N, C, H, W]} of real pictures, by whose energy each channel is divided; width: channels within a head.
    """

    def __init__(self, features, width=32):
        super().__init__()
        self.heads = nn.ModuleDict()
        for name, f in features.items():
            self.register_buffer(f"{name}_scale", f.float().pow(2).mean((0, 2, 3), keepdim=True).add(FLOOR).rsqrt())
            self.heads[name] = nn.Sequential(
                nn.Conv2d(f.shape[1], width, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE),
                nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(SLOPE), nn.Conv2d(width, 1, 1))

    def forward(self, features):
        """features: {layer: [N, C, H, W]}. Returns a list of maps of scores [N, 1, H/2, W/2], one a layer, 1 for real."""
        return [head(features[name] * getattr(self, f"{name}_scale")) for name, head in self.heads.items()]
