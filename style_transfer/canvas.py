"""The grain of a canvas, of which a network makes brush strokes where a photograph is plain."""

from functools import cache

import torch
import torch.nn.functional as F

from .networks.blocks import luminance

ROUGHNESS = 0.03  # standard deviation of the grain, in pictures whose values are in [0, 1]
COARSE, ITS_DEVIATION = 5, 0.136  # pixels of the box that, applied twice, makes the coarser half of the grain; what it leaves
PERIOD = 1024  # pixels after which the canvas repeats
AREA, STEP, PLAIN = 9, 4, 0.1  # pixels: side and distance of the areas that are looked at; part of a painting that is plain


def grain(height, width, generator):
    """Noise [1, 1, H, W] of standard deviation 1, half of its power fine and half of it coarse."""
    fine, coarse = torch.randn(2, 1, 1, height, width, generator=generator)
    for _ in range(2):
        coarse = _mean(coarse, COARSE)
    return (fine + coarse / ITS_DEVIATION) / 2 ** 0.5


@cache
def _canvas():
    return grain(PERIOD, PERIOD, torch.Generator().manual_seed(0))


def strength_of(painting, mask=None):
    """Part of the grain, 0 to 1, that makes a canvas no rougher than the plainest tenth of a painting [1, 3, H, W].

    Smooth paint on bare ground would not be made of strokes. mask: [1, 1, H, W] in [0, 1], what counts of the painting.
    """
    light = luminance(painting) - 0.5  # around 0, for the digits of its variance
    variance = _mean(light.square(), AREA, STEP) - _mean(light, AREA, STEP).square()
    if mask is not None and (counts := _mean(mask, AREA, STEP) > 0.5).any():
        variance = variance[counts.to(variance.device)]
    return min(1.0, float(variance.clamp_min(0).sqrt().flatten().quantile(PLAIN)) / ROUGHNESS)


def _mean(x, side, stride=1):
    return F.avg_pool2d(x, side, stride, side // 2, count_include_pad=False)


def prime(image, network, strength=1.0, rng=None):
    """Pictures [N, 3, H, W] with grain on them, for texture (Ulyanov et al. 2016, section 3.1), if the network learnt on such.

    strength: part of the grain, a number or one a pixel, [1, 1, H, W].
    rng: a random.Random that draws the grain for all of them, whatever their number; without one it is the same each time.
    """
    if not network.canvas:
        return image
    height, width = image.shape[2:]
    if rng is None:
        noise = _canvas().tile(-(-height // PERIOD), -(-width // PERIOD))[..., :height, :width]
    else:
        noise = grain(height, width, torch.Generator().manual_seed(rng.getrandbits(63)))
    return image + ROUGHNESS * strength * noise.to(image)
