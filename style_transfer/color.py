"""Whose colours and whose texture a stylised picture has: the photograph's, the painting's, or something between.

Gatys et al. 2016b, "Preserving Color in Neural Artistic Style Transfer", and a decomposition by the guided filter. Pictures are
[N, 3, H, W], sRGB in [0, 1]; large ones are worked on in blocks of rows, so that only the result needs their memory.
"""

import torch

from . import guided
from .errors import InputError
from .networks.blocks import luminance
from .options import Option, check
from .transforms import Affine, apply, gains, statistics, wct

MODES = {"off": "The style's", "luminance": "The photograph's, under the result's luminance",
         "match": "Matched to the photograph's"}
PRESERVE = Option("off", "The photograph's colours: its hues under the result's luminance, or the result's colours matched to "
                         "the photograph's in mean and covariance.", choices=MODES)

OPTIONS = {
    "preserve_color": PRESERVE,
    "color_strength": Option(1.0, "How far the colours go from the photograph's to the painting's.", 0.0, 1.0),
    "texture_strength": Option(1.0, "How much of the painting's strokes and lines there is: 0 leaves its colours on the "
                                    "photograph as it is.", 0.0, 1.0),
}
MOST_GAIN = 4.0  # by which a colour's deviation may grow: a photograph's traces of colour are noise
SAMPLE = 1024  # pixels of the long side, of which colours are counted
# Of `recolored`, by eye: smaller windows bring halos and blotches, a smaller variance the strokes' own contrast.
LONG, RADIUS, EPSILON = 256, 1 / 16, 0.1


@torch.no_grad()
def finish(content, image, preserve_color="off", color_strength=1.0, texture_strength=1.0):
    """A method's painting with as much of the painting's colours and texture as wanted, the photograph's for the rest.

    content, image: [1, 3, H, W] of one size; preserve_color: a mode of `preserve`, which comes first. With C the content, S the
    painting, R what `recolored` makes of them: C + color_strength (R - C) + texture_strength (S - R), clamped to [0, 1]. So
    (1, 1) is the painting itself, (1, 0) the photograph in the painting's colours, (0, 1) strokes in the photograph's colours,
    (0, 0) the photograph. Raises InputError for values out of range and for what are no such pictures.
    """
    check(OPTIONS, color_strength=color_strength, texture_strength=texture_strength)
    image = preserve(content, image, preserve_color)
    if color_strength == texture_strength == 1:
        return image
    maps, out = recolored(content, image), torch.empty_like(image, memory_format=torch.contiguous_format)
    for part in guided.rows(*out.shape[2:]):
        c, s, r = content[:, :, part], image[:, :, part], guided.apply(maps, content, part)
        out[:, :, part] = (c + color_strength * (r - c) + texture_strength * (s - r)).clamp_(0, 1)
    return out


def recolored(content, image):
    """R, the photograph's texture in the painting's local colours, as `guided.Coefficients` for the content.

    The linear Monge-Kantorovitch map of all colours (`transforms.gains`), and what it leaves of the painting as a guided filter
    of large windows. The filter alone dulls the photograph, whose local contrast follows that of the strokes; the map alone
    misses the painting's local colours. content, image: [1, 3, H, W].
    """
    step = max(1, max(image.shape[2:]) // SAMPLE)
    c, s = (statistics(x[:, :, ::step, ::step]) for x in (content, image))
    values, vectors = gains(c, s)
    matrix = (vectors * values.clamp_max(MOST_GAIN)[:, None]) @ vectors.mT
    overall = Affine(matrix, s.mean - (matrix @ c.mean[..., None])[..., 0])
    small = guided.thumbnail(content, LONG)
    rest = guided.coefficients(small, guided.thumbnail(image, LONG) - apply(overall, small), RADIUS, EPSILON)
    matrix, offset = (part.float()[..., None, None] for part in overall)
    return guided.Coefficients(rest.a + matrix, rest.b + offset)


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
    out = torch.empty_like(stylized, memory_format=torch.contiguous_format)
    for part in guided.rows(*out.shape[2:]):
        out[:, :, part] = _keep_chroma(content[:, :, part], stylized[:, :, part])
    return out


def _keep_chroma(content, stylized):
    y = luminance(stylized).clamp_(0, 1)
    # RGB - Y is a linear image of (I, Q), and adding it to a grey pixel leaves that pixel's luminance alone.
    chroma = content - luminance(content)
    room = torch.where(chroma > 0, 1 - y, y)
    scale = (room / chroma.abs().clamp_min(1e-6)).amin(dim=1, keepdim=True).clamp_max(1)
    return chroma.mul_(scale).add_(y).clamp_(0, 1)


def match_color(content, stylized):
    """The stylised picture with the mean and covariance of the content's colours ("image analogies", section 2): `wct` on RGB.

    content [N or 1, 3, h, w] of any size, stylized [N, 3, H, W]; returns [N, 3, H, W], clamped to [0, 1].
    """
    affine = wct(statistics(stylized), statistics(content))
    out = torch.empty_like(stylized, memory_format=torch.contiguous_format)
    for part in guided.rows(*out.shape[2:]):
        out[:, :, part] = apply(affine, stylized[:, :, part]).clamp_(0, 1)
    return out
