"""Keeping the photograph's colours in a stylised picture.

Gatys et al. 2016b, "Preserving Color in Neural Artistic Style Transfer". Pictures are [N, 3, H, W], sRGB in [0, 1].
"""

import torch

from .errors import InputError
from .networks.blocks import luminance
from .options import Option
from .transforms import apply, statistics, wct

MODES = {"off": "The style's", "luminance": "The photograph's, under the result's luminance",
         "match": "Matched to the photograph's"}
PRESERVE = Option("off", "The photograph's colours: its hues under the result's luminance, or the result's colours matched to "
                         "the photograph's in mean and covariance.", choices=MODES)


def preserve(content, image, mode):
    """A stylised picture with the photograph's colours in one of the MODES.

    content: [N or 1, 3, H, W]; image: [N, 3, H, W] of the same size; mode also False ("off") or True ("luminance").
    The paper matches the style's colours before the transfer; matching the result's afterwards has the same aim, meets it
    exactly, and serves networks whose style is fixed. Raises InputError for another mode and for what are no such pictures.
    """
    mode = check_mode(mode)
    if not all(torch.is_tensor(x) and x.ndim == 4 and x.shape[1:] == (3, *image.shape[2:]) for x in (image, content)):
        raise InputError("The content and the stylised picture must be tensors [N, 3, H, W] of one size: resize the content.")
    return image if mode == "off" else {"luminance": keep_content_colors, "match": match_color}[mode](content, image)


def check_mode(mode):
    """One of the MODES for it or for a bool, to be asked before any long work. Raises InputError."""
    return PRESERVE.check("preserve_color", ("off", "luminance")[mode] if isinstance(mode, bool) else mode)


def keep_content_colors(content, stylized):
    """The stylised luminance with the content's chroma ("luminance-only transfer", section 3).

    content [N or 1, 3, H, W], stylized [N, 3, H, W]; returns [N, 3, H, W] in [0, 1]. Where the sum leaves [0, 1] a pixel's
    chroma is scaled down, so that luminance and hue stay what they are.
    """
    y = luminance(stylized).clamp(0, 1)
    # RGB - Y is a linear image of (I, Q), and adding it to a grey pixel leaves that pixel's luminance alone.
    chroma = content - luminance(content)
    room = torch.where(chroma > 0, 1 - y, y)
    scale = (room / chroma.abs().clamp_min(1e-6)).amin(dim=1, keepdim=True).clamp_max(1)
    return (y + scale * chroma).clamp(0, 1)


def match_color(content, stylized):
    """The stylised picture with the mean and covariance of the content's colours ("image analogies", section 2): `wct` on RGB.

    content [N or 1, 3, h, w] of any size, stylized [N, 3, H, W]; returns [N, 3, H, W], clamped to [0, 1].
    """
    return apply(wct(statistics(stylized), statistics(content)), stylized).clamp(0, 1).contiguous()
