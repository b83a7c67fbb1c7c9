"""Which style goes where: masks [1, 1, H, W] in [0, 1], soft edges included (Gatys et al. 2017, section 4)."""

import torch
import torch.nn.functional as F

from . import images, progress, tiles
from .errors import InputError
from .networks.blocks import luminance

# Of one picture that says where all styles go, the first style's first. Black is where the photograph stays.
COLORS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "magenta": (1, 0, 1), "cyan": (0, 1, 1)}


def load(sources, count):
    """Masks from pictures: one for each of `count` styles, white where it goes, or a single one with a colour for each.

    sources: as `images.load` takes them. In a single picture each pixel goes to the nearest of black and the first `count` of
    COLORS; in the others grey is a soft edge, and what is transparent counts as black. Returns [[1, 1, H, W], ...].
    """
    if count > 1 and len(sources) == 1:
        if count > len(COLORS):
            raise InputError(f"One picture has colours for {len(COLORS)} styles at most: give a mask for each style.")
        picture = images.load(sources[0])
        colors = torch.tensor([(0, 0, 0), *COLORS.values()][:count + 1], dtype=picture.dtype)
        nearest = (picture - colors[..., None, None]).square().sum(1).argmin(0)
        found = [(nearest == k)[None, None].float() for k in range(1, count + 1)]
        if missing := [color for color, mask in zip(COLORS, found) if not mask.any()]:
            raise InputError(f"There is no {' and no '.join(missing)} in the picture of the regions: paint the places of the "
                             f"styles, in their order, in {', '.join(list(COLORS)[:count])}.")
        return found
    if len(sources) != count:
        raise InputError(f"There must be a mask for each style, {count}, or one picture with a colour for each, "
                         f"not {len(sources)}.")
    return [luminance(picture) if alpha is None else luminance(picture) * alpha for picture, alpha in map(images.read, sources)]


def soften(mask, width):
    """A mask [1, 1, H, W] with edges of about this width, a part of its long side: two boxes, one after the other."""
    radius = round(width * max(mask.shape[2:]) / 4)
    for _ in range(2 if radius else 0):
        mask = F.avg_pool2d(F.pad(mask, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)
    return mask


def check(masks, count, what="mask", some=False):
    """A list of `count` masks as float32 on the CPU, or None where there are none; some: whether any of them may be None.

    Raises InputError for what are no masks [1, 1, H, W] of finite numbers.
    """
    if masks is None:
        return None
    if not isinstance(masks, (list, tuple)) or len(masks) != count:
        raise InputError(f"Each style needs one {what}: a list of {count}.")
    for mask in masks:
        if mask is None and some:
            continue
        if not torch.is_tensor(mask) or mask.ndim != 4 or mask.shape[:2] != (1, 1) or not mask.numel():
            found = list(mask.shape) if torch.is_tensor(mask) else type(mask).__name__
            raise InputError(f"A {what} must be a tensor [1, 1, H, W] in [0, 1], not {found}.")
        if not mask.float().isfinite().all():
            raise InputError(f"A {what} holds values that are not numbers: make it anew, from 0 (outside) to 1 (inside).")
    return [None if mask is None else mask.detach().float().cpu() for mask in masks]


def _resized(mask, size):
    mask = mask if mask.shape[2:] == size else F.interpolate(mask, size, mode="bilinear", antialias=True)
    return mask.clamp(0, 1)


def of_content(masks, size):
    """Checked masks at a size (H, W): [K, 1, H, W]; where they add up to more than 1, they share it."""
    stack = torch.cat([_resized(mask, tuple(size)) for mask in masks])
    return stack.div_(stack.sum(0).clamp_min(1))


def of_style(mask, size):
    """A checked mask at the size (H, W) of a style picture. Raises InputError where nothing of the picture counts."""
    mask = _resized(mask, tuple(size))
    if not mask.any():
        raise InputError("A style mask is black everywhere: leave some of the style picture white.")
    return mask


def at(mask, box, size):
    """A box of a picture's mask, averaged over the positions of a feature map of that box: [1, 1, *size]."""
    return F.interpolate(tiles.window(mask, box), tuple(size), mode="area")


def compose(shares, image, paint):
    """sum_k m_k paint(k) / sum_k m_k for the masks m [K, 1, H, W] of a picture [1, 3, H, W], which stays where there is none.

    paint(k) is called for regions that are there only.
    """
    total = shares.sum(0, keepdim=True)
    out = image * (total == 0)
    for k, share in enumerate(progress.steps(shares)):
        if share.any():
            out += share / total.clamp_min(1e-12) * paint(k)
    return out


def beside(content, image, masks):
    """A stylised picture where checked masks are, and the photograph, untouched, where none is: sum m S + (1 - sum m) C."""
    covered = of_content(masks, content.shape[2:]).sum(0, keepdim=True)
    return torch.lerp(content, image, covered) if not covered.eq(1).all() else image
