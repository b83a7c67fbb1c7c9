"""The contact sheets of README and model card: what Gatys, AdaIN and WCT make of photographs and styles, all fixed styles,
AdaIN on drawings without and with the painting's palette, regions, strokes and colours, and blends of two fixed styles.

    python -m benchmarks.sheet checkpoints/results.jpg
    python -m benchmarks.sheet checkpoints/styles.jpg --what fixed
    python -m benchmarks.sheet checkpoints/palette.jpg --what palette
    python -m benchmarks.sheet examples/options.jpg --what options
    python -m benchmarks.sheet examples/blends.jpg --what blends
    python -m benchmarks.sheet sheet.jpg --style emaki --photos DIR

The last one shows photographs of your own above what one fixed style makes of them.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

import style_transfer as st
from benchmarks import pairs

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PAIRS = [("pagoda", "swirls"), ("astronaut", "crayon"), ("mountains", "waves"), ("raccoon", "mosaic"), ("autumn", "facets")]
DRAWINGS = [("coffee", "hatching"), ("astronaut", "hatching"), ("autumn", "hatching"), ("dogs", "crayon"), ("cat", "crayon"),
            ("dandelions", "waves")]  # all but the engraving without their colours
BLENDS = [("cat", "starry-night", "stained-glass"), ("astronaut", "great-wave", "mosaic"),
          ("pagoda", "wheat-field", "divisionism")]
PHOTOS = ["pagoda", "cat", "mountains", "astronaut"]
IDENTITY = st.transforms.Affine(torch.eye(3, dtype=torch.double)[None], torch.zeros(1, 3, dtype=torch.double))
WIDTH, HEIGHT, TITLE, GAP = 320, 240, 30, 16  # pixels


def tile(image):
    """The middle of a picture at the tiles' proportions and size."""
    image = st.images.to_pil(image)
    scale = max(WIDTH / image.width, HEIGHT / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (image.width - WIDTH) // 2, (image.height - HEIGHT) // 2
    return image.crop((left, top, left + WIDTH, top + HEIGHT))


def sheet(titles, rows):
    """A picture of tiles in rows under their titles."""
    result = Image.new("RGB", (WIDTH * len(titles), TITLE + HEIGHT * len(rows)), "white")
    draw = ImageDraw.Draw(result)
    for column, title in enumerate(titles):
        size = next(n for n in (18, 16, 14, 12, 10) if n == 10 or draw.textlength(title, ImageFont.load_default(n)) < WIDTH - 8)
        draw.text((WIDTH * (column + 0.5), TITLE / 2), title, "black", ImageFont.load_default(size), anchor="mm")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            result.paste(tile(picture), (WIDTH * column, TITLE + HEIGHT * row))
    return result


def arbitrary():
    """Photograph, style, and what Gatys, AdaIN and WCT make of them."""
    rows = []
    for photo, style in PAIRS:
        photo = st.load(EXAMPLES / "photos" / f"{photo}.jpg", 512)
        style = st.load(EXAMPLES / "styles" / f"{style}.jpg", 512)
        for step in st.gatys.optimize(photo, [style]):
            painted = step.image
        rows.append([photo, style, painted, st.arbitrary.stylize(photo, [style], method="adain"),
                     st.arbitrary.stylize(photo, [style], method="wct")])
    return sheet(["photograph", "style", "Gatys", "AdaIN", "WCT"], rows)


def palette():
    """AdaIN on an engraving and on two drawings in grey: as the decoder paints it, and with the style's palette."""
    rows, adain = [], st.arbitrary.METHODS["adain"]
    for photo, style in DRAWINGS:
        photo, drawing = st.load(EXAMPLES / f"photos/{photo}.jpg", 512), st.load(EXAMPLES / f"styles/{style}.jpg", 512)
        drawing = drawing if style == "hatching" else drawing.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
        rows.append([photo, drawing, st.arbitrary.stylize(photo, [drawing])])
        plain = adain._replace(transforms=adain.transforms | {st.arbitrary.PICTURE: lambda content, style: IDENTITY})
        st.arbitrary.METHODS["adain"] = plain
        rows[-1].insert(2, st.arbitrary.stylize(photo, [drawing]))
        st.arbitrary.METHODS["adain"] = adain
    return sheet(["photograph", "style", "channels alone", "with the palette"], rows)


def fixed():
    """Every fixed style on four photographs, a row a style."""
    photos = [st.load(EXAMPLES / "photos" / f"{name}.jpg", 768) for name in PHOTOS]
    styles = pairs.fixed_styles()
    rows = [photos] + [[st.fixed.stylize(photo, style.name) for photo in photos] for style in styles]
    sheets = [sheet([title, *[""] * (len(photos) - 1)], [row])
              for title, row in zip(["photographs", *(s.title for s in styles)], rows)]
    half = (len(sheets) + 1) // 2  # two blocks beside each other
    result = Image.new("RGB", (2 * sheets[0].width + GAP, half * sheets[0].height), "white")
    for number, part in enumerate(sheets):
        result.paste(part, (number // half * (part.width + GAP), number % half * part.height))
    return result


def options():
    """A photograph, where two styles go and what comes of it, strokes of several sizes, and colours and strokes alone."""
    photo = st.load(EXAMPLES / "photos/pagoda.jpg", 1024)
    styles = [st.load(EXAMPLES / f"styles/{name}.jpg", 512) for name in ("waves", "facets")]
    height, width = photo.shape[2:]
    down, along = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, width / height, width), indexing="ij")
    sun = ((down - 0.45).square() + (along - 0.95).square() < 0.12).float()[None, None]
    masks = [sun, 1 - sun]
    regions = torch.cat([*masks, torch.zeros_like(sun)], 1)  # red and green, as the command line takes them

    def adain(styles, **arguments):
        return st.arbitrary.stylize(photo, styles, method="adain", **arguments)

    rows = [["photograph", "regions", "two styles by region", "one of them alone"],
            [photo, regions, adain(styles, masks=masks), adain(styles[:1], masks=masks[:1])],
            ["strokes of half the size", "as they are", "twice as large", "four times as large"],
            [adain(styles[:1], stroke=stroke) for stroke in (0.5, 1.0, 2.0, 4.0)],
            ["The Scream", "its colours alone", "its strokes alone", "half of both"],
            [st.fixed.stylize(photo, "the-scream", color_strength=c, texture_strength=t)
             for c, t in ((1, 1), (1, 0), (0, 1), (0.5, 0.5))]]
    parts = [sheet(titles, [pictures]) for titles, pictures in zip(rows[::2], rows[1::2])]
    result = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)))
    for number, part in enumerate(parts):
        result.paste(part, (0, number * part.height))
    return result


def blends():
    """A row for each pair of fixed styles: the one, three blends, and the other."""
    rows = []
    for photo, *names in BLENDS:
        photo = st.load(EXAMPLES / f"photos/{photo}.jpg", 768)
        rows.append([st.fixed.stylize(photo, names, weights=[1 - share, share]) for share in (0, 0.25, 0.5, 0.75, 1)])
    return sheet(["one style", "3 : 1", "1 : 1", "1 : 3", "the other"], rows)


def style(name, folder):
    """All photographs of a folder, four a row, each above what the style makes of it."""
    photos = [st.load(path, 768) for path in pairs.pictures(folder)]
    painted = [st.fixed.stylize(photo, name) for photo in photos]
    blank = torch.ones_like(photos[0])
    rows = []
    for start in range(0, len(photos), 4):
        for part in (photos[start:start + 4], painted[start:start + 4]):
            rows.append(part + [blank] * (4 - len(part)))
    return sheet([name, "", "", ""], rows)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("output", type=Path)
    kinds = {"arbitrary": arbitrary, "fixed": fixed, "palette": palette, "options": options, "blends": blends}
    p.add_argument("--what", choices=kinds, default="arbitrary")
    p.add_argument("--style", help="a fixed style's name, or its file")
    p.add_argument("--photos", type=Path, default=EXAMPLES / "photos", help="folder, for --style")
    a = p.parse_args()
    made = style(a.style, a.photos) if a.style else kinds[a.what]()
    made.save(a.output, quality=88)


if __name__ == "__main__":
    main()
