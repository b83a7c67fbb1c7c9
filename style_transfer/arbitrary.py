"""Any style without training for it: AdaIN (Huang and Belongie 2017) and WCT (Li et al. 2017), several styles blended."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import canvas, color, images, memory, progress, regions, strokes, tiles, transforms
from . import device as devices
from . import weights as weight_files
from .errors import InputError
from .options import Option, check

LEVELS = (5, 4, 3, 2, 1)
CASCADE_LEVELS = (4, 3, 2, 1)  # the default: from relu5_1, a sixteenth of the size, too little of the photograph comes back
PICTURE = "picture"  # stands for the pixels where others are layers
ENCODING = 0.15  # of the time of `stylize`, where the styles are no larger than the content
SMALLEST = 16  # pixels; below, relu5_1 has no feature left to speak of


class Method(NamedTuple):
    """A way of arbitrary transfer."""

    title: str
    transforms: dict  # {layer, or PICTURE: what makes an affine map of the statistics of content and style}
    decoders: Callable  # levels -> names of the decoders, each painting on what the one before it made
    full: float  # alpha of the features' transforms at a strength of 1
    grain: float = 1.0  # of the canvas, times what suits the styles
    taps: tuple = ()  # of the filter at the end, at a strength of 1: of a pixel, of its neighbours, and of theirs


class EncodedStyle(NamedTuple):
    """What a method needs to know of a style, computed once by `encode` and used for many contents."""

    method: str
    statistics: dict  # {layer: its `transforms.Statistics`}
    grain: float  # of the canvas, `canvas.strength_of`
    decoder: str = ""  # that of `encode`


_LAYERS = [f"relu{level}_1" for level in LEVELS]
METHODS = {
    # All layers are transformed, and one decoder paints them; Huang and Belongie 2017, section 5. Deviation: what AdaIN leaves
    # of the photograph's hues, because it moves each channel by itself, is taken from the picture; other colours move too.
    "adain": Method("AdaIN", {**dict.fromkeys(_LAYERS[1:], transforms.adain), PICTURE: transforms.palette},
                    lambda levels: ["adain-decoder"], full=0.87, grain=0.8, taps=(0.79, 0.225, -0.12)),
    # The same with whitening and colouring that moves features no further than it must, and a decoder that learnt on it; after
    # it the last one of Li et al.'s cascade, for the palette.
    "wct": Method("WCT", dict.fromkeys(_LAYERS, transforms.transport),
                  lambda levels: ["wct-decoder", "wct-decoder-1"], full=1.0, grain=1.2, taps=(1.19, -0.095, 0.0)),
    # From the deepest layer to the shallowest, each on the picture that the one before made; Li et al. 2017, section 3.3.
    "cascade": Method("WCT, level by level", dict.fromkeys(_LAYERS, transforms.wct),
                      lambda levels: [f"wct-decoder-{level}" for level in levels], full=1.0),
}
OPTIONS = {
    "method": Option("adain", "AdaIN is the fastest, WCT gives stronger textures; level by level as it was published.",
                     choices={name: method.title for name, method in METHODS.items()}),
    "alpha": Option(1.0, "Strength of the style: 1 takes it on in full, 0 only rebuilds the photograph.", 0.0, 1.0),
    "stroke": strokes.STROKE,
    **color.OPTIONS,
    "size": images.SIZE,
    "levels": Option(CASCADE_LEVELS, "Levels of the cascade: deep ones carry composition, shallow ones colour and grain.",
                     choices={level: f"relu{level}_1" for level in LEVELS}),
}


def _networks(method, levels, decoder, device):
    """The encoder and the decoders that a method needs."""
    if decoder and method != "adain":
        raise InputError("Only AdaIN takes a decoder of your choice.")
    encoder, decoders = weight_files.decoders([decoder] if decoder else METHODS[method].decoders(levels), device)
    if decoder and getattr(decoders[0], "level", None) != 4:
        raise InputError(f"{decoder} is no AdaIN decoder: name one that `weights list` gives.")
    return encoder, decoders


@torch.no_grad()
def encode(style, method="adain", device=None, decoder=None, mask=None):
    """The statistics of a style, for `stylize` with many contents and the same decoder.

    style: a picture [1, 3, H, W], or a list of pictures that are one style together, such as a painter's works: their
    statistics are pooled over all positions. mask: [1, 1, h, w] in [0, 1], how much each place of a picture counts.
    """
    device = devices.pick(device)
    check(OPTIONS, method=method)
    works = style if isinstance(style, (list, tuple)) else [style]
    if not works or mask is not None and len(works) > 1:
        raise InputError("A style must be a picture or a list of pictures, and only one picture can have a mask.")
    encoder, _ = _networks(method, CASCADE_LEVELS, decoder, device)
    layers = [n for n in METHODS[method].transforms if n != PICTURE]
    sums, grain = {n: transforms.Sums() for n in METHODS[method].transforms}, 0.0
    for work in works:
        work = images.check(work, "style", SMALLEST)
        part = None if mask is None else regions.of_style(mask, work.shape[2:])
        _sum(tiles.Features(encoder, work, layers, device), {n: [(sums[n], part)] for n in layers})
        if PICTURE in sums:
            sums[PICTURE].add(work, part)
        grain += canvas.strength_of(work, part) / len(works)
    return EncodedStyle(method, {n: s.statistics() for n, s in sums.items()}, grain, str(decoder or ""))


def _sum(features, sums):
    """Add a picture's `tiles.Features` to sums: {layer: [(transforms.Sums, mask of the picture or None for all of it)]}."""
    for box, found in features.first():
        for layer, f in found.items():
            for several, mask in sums[layer]:
                if mask is None:
                    several.add(f)
                elif (part := regions.at(mask, box, f.shape[2:])).any():
                    several.add(f, part.to(f.device))


@torch.no_grad()
def stylize(content, styles, weights=None, method="adain", alpha=1.0, preserve_color="off", masks=None, *, style_masks=None,
            stroke=1.0, color_strength=1.0, texture_strength=1.0, size=None, levels=CASCADE_LEVELS, decoder=None, smooth=None,
            device=None):
    """Give a content picture of any size the statistics of one or several styles.

    content: [1, 3, H, W], sRGB in [0, 1]; styles: pictures [1, 3, H', W'], lists of them, or what `encode` made of them for the
    same method; weights: one number a style, None = equal parts; alpha: 0 (the content, reconstructed) to 1 (`full`).
    masks: [1, 1, h, w] in [0, 1] for each style, where it goes, instead of weights; resized to the content. Statistics are
    those of the region alone (Gatys et al. 2017, section 4), and where the masks add up to less than 1, the photograph shows.
    style_masks: for each style a mask of what of it counts, or None. stroke: size of the strokes, apart from the result's.
    preserve_color, color_strength, texture_strength: as `color.finish` takes them. size: long side of the result in pixels,
    None = the content's. levels: of the cascade, 5 the deepest. decoder: another AdaIN decoder than the shipped one, a path or
    a name, as `weights.find` takes it. smooth: (key, Statistics) -> Statistics, through which the content's go, for films.
    Large pictures are worked on in tiles, and look as if they were not.
    Returns [1, 3, H, W] on the CPU. Raises InputError for wrong arguments, CheckpointError for missing weights.
    """
    device = devices.pick(device)
    check(OPTIONS, method=method, alpha=alpha, size=size, stroke=stroke, color_strength=color_strength,
          texture_strength=texture_strength)
    color.check_mode(preserve_color)
    if not all(isinstance(several, (list, tuple)) and several for several in (styles, levels)):
        raise InputError("At least one style and one of the levels are needed, each in a list.")
    levels = sorted({OPTIONS["levels"].check("level", level) for level in levels}, reverse=True)
    content = images.check(content, "content", 1 if size else SMALLEST).cpu()
    if size is not None:
        content = images.check(images.resize(content, size), "content", SMALLEST)
    encoded = []
    style_masks = regions.check(style_masks, len(styles), "style mask", True) or [None] * len(styles)
    for number, (style, mask) in enumerate(zip(styles, style_masks)):
        if not isinstance(style, EncodedStyle):
            with progress.part(ENCODING * number / len(styles), ENCODING * (number + 1) / len(styles)):
                style = encode(style, method, device, decoder, mask)
        elif (style.method, style.decoder) != (method, str(decoder or "")):
            raise InputError("This style was encoded for another method or decoder: pass the picture itself.")
        elif mask is not None:
            raise InputError("This style is encoded already: give its mask to arbitrary.encode.")
        encoded.append(style)
    weights = transforms.normalize_weights(weights, len(styles))
    masks = regions.check(masks, len(styles))
    encoder, decoders = _networks(method, levels, decoder, device)

    def paint(image):
        memory.check(method, *image.shape[2:], device)
        where = None if masks is None else regions.of_content(masks, image.shape[2:])
        painter = _Painter(METHODS[method], encoded, weights, alpha, where, smooth, device)
        for decoder in progress.steps(decoders):
            image = painter.decode(image, encoder, decoder)
        return painter.filter(painter.recolor(image)).clamp_(0, 1)

    with progress.part(0 if all(isinstance(style, EncodedStyle) for style in styles) else ENCODING, 1):
        image = strokes.paint(content, stroke, paint, SMALLEST)
    if masks is not None:
        image = regions.beside(content, image, masks)
    return color.finish(content, image, preserve_color, color_strength, texture_strength).contiguous()


def grid(content, styles, method="adain", alpha=1.0, steps=5, gap=4, device=None):
    """All blends between four styles in the corners of a table, as one picture; Huang and Belongie 2017, section 7.2.

    content: [1, 3, H, W]; styles: four pictures, or lists of them. Weights are bilinear in the place. Between the tiles there
    are `gap` white pixels. Returns [1, 3, steps H + (steps - 1) gap, steps W + (steps - 1) gap] on the CPU.
    """
    if not isinstance(styles, (list, tuple)) or len(styles) != 4:
        raise InputError("A table of blends needs four styles, one in each corner.")
    encoded = [encode(style, method, device) for style in styles]
    height, width = content.shape[2:]
    out = torch.ones(1, 3, steps * (height + gap) - gap, steps * (width + gap) - gap)
    places = torch.linspace(0, 1, steps).tolist()
    for number in progress.steps(range(steps * steps)):
        row, column = divmod(number, steps)
        x, y = places[column], places[row]
        weights = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y]
        top, left = row * (height + gap), column * (width + gap)
        out[:, :, top:top + height, left:left + width] = stylize(content, encoded, weights, method, alpha, device=device)
    return out


class _Painter(NamedTuple):
    """The styles, and where they go."""

    method: Method
    encoded: list  # EncodedStyle
    weights: list  # one a style
    alpha: float
    masks: torch.Tensor | None  # [K, 1, H, W], one a style
    smooth: Callable | None
    device: torch.device

    def _regions(self):
        """(mask or None for the whole picture, styles, weights) of each region."""
        if self.masks is None:
            return [(None, self.encoded, self.weights)]
        return [(mask[None], [style], [1.0]) for mask, style in zip(self.masks, self.encoded)]

    def _grain(self):
        """Strength of the canvas: what suits the styles, a number, or where they have regions, one a pixel."""
        shares = self.weights
        if self.masks is not None:
            shares = (self.masks / self.masks.sum(0).clamp_min(torch.finfo(torch.float32).tiny)).split(1)
        return self.method.grain * sum(share * style.grain for share, style in zip(shares, self.encoded))

    def _map(self, key, layer, sums, styles, weights):
        """a sum_k w_k T_k(f) + (1 - a) f, as an `Affine` map of the features of a layer; a: alpha times the method's `full`."""
        statistics = sums.statistics()
        if self.smooth is not None:
            statistics = self.smooth(key, statistics)
        maps = [self.method.transforms[layer](statistics, style.statistics[layer]) for style in styles]
        return transforms.blend(maps, weights, self.alpha * (1 if layer == PICTURE else self.method.full))

    def _compose(self, box, image, target, paint):
        """Write into a box of target what paint(k) makes of that box of a picture in region k."""
        target = box.cut(target)
        if self.masks is None:
            target.copy_(paint(0))
            return
        target.copy_(regions.compose(box.cut(self.masks), box.cut(image), paint))

    def decode(self, image, encoder, decoder):
        """A picture [1, 3, H, W] with its features mapped at a decoder's layers, region by region."""
        primed = canvas.prime(image, decoder, self.alpha * self._grain())
        features, parts = tiles.Features(encoder, primed, decoder.layers, self.device), self._regions()
        sums = {layer: [(transforms.Sums(), mask) for mask, _, _ in parts] for layer in decoder.layers}
        with progress.part(0, 0.5):
            _sum(features, sums)
        maps = [{n: self._map((decoder.level, n, k), n, sums[n][k][0], *styles) for n in decoder.layers if sums[n][k][0].count}
                for k, (_, *styles) in enumerate(parts)]
        out = torch.empty_like(image)
        with progress.part(0.5, 1):
            for box in progress.steps(features.boxes):
                outer = box.grown(decoder.radius, *features.size)
                seen = features.second(outer)

                def paint(k):
                    found = devices.run(decoder, {n: transforms.apply(maps[k][n], f) for n, f in seen.items()})  # noqa: B023
                    found = box.cut(found, outer[:2]).float().cpu().clamp_(0, 1)  # noqa: B023
                    return found[:, :, :image.shape[2] - box.top, :image.shape[3] - box.left]  # noqa: B023

                self._compose(box, image, out, paint)
        return out

    def recolor(self, image):
        """A picture whose pixels are mapped as well, where the method does so; in place."""
        if PICTURE not in self.method.transforms:
            return image
        maps, boxes = [], tiles.boxes(*tiles.sides(image))
        for k, (mask, *styles) in enumerate(self._regions()):
            sums = transforms.Sums()
            for box in boxes:
                progress.tick()
                if mask is None or box.cut(mask).any():
                    sums.add(box.cut(image), None if mask is None else box.cut(mask))
            maps.append(self._map((0, PICTURE, k), PICTURE, sums, *styles) if sums.count else None)
        for box in boxes:
            progress.tick()
            self._compose(box, image, image, lambda k: transforms.apply(maps[k], box.cut(image)))  # noqa: B023
        return image

    def filter(self, image):
        """The picture through the method's filter, along lines and columns: crisp strokes, no grain as fine as pixels."""
        if not self.method.taps or not self.alpha:
            return image
        pixel, near, far = self.method.taps
        line = torch.tensor([far, near, pixel, near, far])
        kernel = torch.outer(line, line).expand(3, 1, -1, -1)
        out, sides = torch.empty_like(image), tiles.sides(image)
        for box in tiles.boxes(*sides):
            progress.tick()
            outer = box.grown(2, *sides)
            part = tiles.window(image, outer)
            found = part.lerp(F.conv2d(F.pad(part, (2, 2, 2, 2), mode="replicate"), kernel, groups=3), self.alpha)
            target = box.cut(out)
            target.copy_(box.cut(found, outer[:2])[:, :, :target.shape[2], :target.shape[3]])
        return out
