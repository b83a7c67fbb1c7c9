"""The contact sheet of the README: photograph, style, and what Gatys, AdaIN and WCT make of them.

    python -m benchmarks.sheet checkpoints/results.jpg
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import style_transfer as st

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PAIRS = [("pagoda", "swirls"), ("astronaut", "crayon"), ("mountains", "waves"), ("raccoon", "mosaic"), ("autumn", "facets")]
WIDTH, HEIGHT, TITLE = 320, 240, 30


def tile(image):
    """The middle of a picture at the tiles' proportions and size."""
    image = st.images.to_pil(image)
    scale = max(WIDTH / image.width, HEIGHT / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (image.width - WIDTH) // 2, (image.height - HEIGHT) // 2
    return image.crop((left, top, left + WIDTH, top + HEIGHT))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("output", type=Path)
    a = p.parse_args()
    titles = ["photograph", "style", "Gatys", "AdaIN", "WCT"]
    sheet = Image.new("RGB", (WIDTH * len(titles), TITLE + HEIGHT * len(PAIRS)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((WIDTH * (column + 0.5), TITLE / 2), title, "black", ImageFont.load_default(size=18), anchor="mm")
    for row, (photo, style) in enumerate(PAIRS):
        photo = st.load(EXAMPLES / "photos" / f"{photo}.jpg", 512)
        style = st.load(EXAMPLES / "styles" / f"{style}.jpg", 512)
        for step in st.gatys.optimize(photo, [style]):
            painted = step.image
        pictures = [photo, style, painted, st.arbitrary.stylize(photo, [style], method="adain"),
                    st.arbitrary.stylize(photo, [style], method="wct")]
        for column, picture in enumerate(pictures):
            sheet.paste(tile(picture), (WIDTH * column, TITLE + HEIGHT * row))
    sheet.save(a.output, quality=88)


if __name__ == "__main__":
    main()
