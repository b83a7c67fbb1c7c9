"""The contact sheets of the README: what Gatys, AdaIN and WCT make of photographs and styles, and all fixed styles.

    python -m benchmarks.sheet checkpoints/results.jpg
    python -m benchmarks.sheet checkpoints/styles.jpg --fixed
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import style_transfer as st

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PAIRS = [("pagoda", "swirls"), ("astronaut", "crayon"), ("mountains", "waves"), ("raccoon", "mosaic"), ("autumn", "facets")]
PHOTOS = ["pagoda", "cat", "mountains", "astronaut"]
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


def fixed():
    """Every fixed style on four photographs, a row a style."""
    photos = [st.load(EXAMPLES / "photos" / f"{name}.jpg", 768) for name in PHOTOS]
    styles = st.fixed.styles()
    rows = [photos] + [[st.fixed.stylize(photo, style.name) for photo in photos] for style in styles]
    sheets = [sheet([title, *[""] * (len(photos) - 1)], [row])
              for title, row in zip(["photographs", *(s.title for s in styles)], rows)]
    half = (len(sheets) + 1) // 2  # two blocks beside each other
    result = Image.new("RGB", (2 * sheets[0].width + GAP, half * sheets[0].height), "white")
    for number, part in enumerate(sheets):
        result.paste(part, (number // half * (part.width + GAP), number % half * part.height))
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("output", type=Path)
    p.add_argument("--fixed", action="store_true", help="the fixed styles instead")
    a = p.parse_args()
    (fixed() if a.fixed else arbitrary()).save(a.output, quality=88)


if __name__ == "__main__":
    main()
