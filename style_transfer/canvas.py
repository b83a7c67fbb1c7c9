"""The grain of a canvas, of which a network makes brush strokes where a photograph is plain."""

from functools import cache

import torch
import torch.nn.functional as F

ROUGHNESS = 0.03  # standard deviation of the grain, in pictures whose values are in [0, 1]
COARSE, ITS_DEVIATION = 5, 0.136  # pixels of the box that, applied twice, makes the coarser half of the grain; what it leaves
PERIOD = 1024  # pixels after which the canvas repeats


def grain(height, width, generator):
    """Noise [1, 1, H, W] of standard deviation 1, half of its power fine and half of it coarse."""
    fine, coarse = torch.randn(2, 1, 1, height, width, generator=generator)
    for _ in range(2):
        coarse = F.avg_pool2d(coarse, COARSE, 1, COARSE // 2, count_include_pad=False)
    return (fine + coarse / ITS_DEVIATION) / 2 ** 0.5


@cache
def _canvas():
    return grain(PERIOD, PERIOD, torch.Generator().manual_seed(0))


def prime(image, network, strength=1.0, rng=None):
    """Pictures [N, 3, H, W] with grain on them, for texture (Ulyanov et al. 2016, section 3.1), if the network learnt on such.

    rng: a random.Random that draws the grain for all of them, whatever their number; without one it is the same each time.
    """
    if not network.canvas:
        return image
    height, width = image.shape[2:]
    if rng is None:
        noise = _canvas().tile(-(-height // PERIOD), -(-width // PERIOD))[..., :height, :width]
    else:
        noise = grain(height, width, torch.Generator().manual_seed(rng.getrandbits(63)))
    return torch.add(image, noise.to(image), alpha=strength * ROUGHNESS)
