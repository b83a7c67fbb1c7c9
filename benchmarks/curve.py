"""The picture of effectiveness and coherence: style distance over content distance, a line for each method's alphas."""

import math

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1200, 800  # pixels of the finished picture
SCALE = 2  # drawn so much larger and made smaller, which smooths the lines
LEFT, RIGHT, TOP, BOTTOM = 110, 60, 80, 90  # margins, pixels
COLORS = ("#3b5bdb", "#e8590c", "#2b8a3e", "#9c36b5", "#c92a2a", "#0b7285", "#846358", "#495057")
INK, PALE = "#212529", "#dee2e6"


def ticks(low, high, count=6):
    """Round numbers from low to high, about `count` of them."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (k * step) <= count)
    return [round(i * step, 10) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _range(values):
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return max(0.0, low - room), high + room


def _overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def draw(points, heading="Style over content distance (lower is better in both)"):
    """Draw points {"title", "style", "content", "alpha": number or None}: a PIL image.

    Points of one title are joined in the order of their alphas, which stand beside them; a title of one point is a mark.
    """
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    canvas = ImageDraw.Draw(image)
    (x0, x1), (y0, y1) = _range([p["content"] for p in points]), _range([p["style"] for p in points])

    def font(size):
        return ImageFont.load_default(size * SCALE)

    def place(x, y):
        return ((LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)) * SCALE,
                (HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)) * SCALE)

    for x in ticks(x0, x1):
        canvas.line([place(x, y0), place(x, y1)], PALE, SCALE)
        canvas.text((place(x, y0)[0], place(x, y0)[1] + 10 * SCALE), f"{x:g}", INK, font(17), anchor="mt")
    for y in ticks(y0, y1):
        canvas.line([place(x0, y), place(x1, y)], PALE, SCALE)
        canvas.text((place(x0, y)[0] - 10 * SCALE, place(x0, y)[1]), f"{y:g}", INK, font(17), anchor="rm")
    canvas.line([place(x0, y1), place(x0, y0), place(x1, y0)], INK, 2 * SCALE)
    canvas.text((LEFT * SCALE, 34 * SCALE), heading, INK, font(22), anchor="lm")
    canvas.text(((LEFT + WIDTH - RIGHT) / 2 * SCALE, (HEIGHT - 26) * SCALE), "content distance: what is lost of the photograph",
                INK, font(18), anchor="mm")
    side = Image.new("RGB", ((HEIGHT - TOP - BOTTOM) * SCALE, 40 * SCALE), "white")
    ImageDraw.Draw(side).text((side.width / 2, side.height / 2), "style distance: what is missing of the painting", INK,
                              font(18), anchor="mm")
    image.paste(side.transpose(Image.Transpose.ROTATE_90), (8 * SCALE, TOP * SCALE))

    methods = {}
    for point in points:
        methods.setdefault(point["title"], []).append(point)
    taken, texts = [], []
    for (title, rows), color in zip(methods.items(), COLORS * len(methods)):
        rows = sorted(rows, key=lambda p: (p["alpha"] is None, p["alpha"]))
        places = [place(p["content"], p["style"]) for p in rows]
        if len(places) > 1:
            canvas.line(places, color, 3 * SCALE, joint="curve")
        radius = (6 if len(places) > 1 else 9) * SCALE
        for x, y in places:
            canvas.ellipse([x - radius, y - radius, x + radius, y + radius], color, "white", 2 * SCALE)
            taken.append((x - radius, y - radius, x + radius, y + radius))
        named = len(rows) // 2  # the title stands beside the middle of a curve
        for number, (row, at) in enumerate(zip(rows, places)):
            if len(rows) > 1:
                texts.append((at, f"{row['alpha']:g}", font(15), color))
            if number == named:
                alpha = f" (α {row['alpha']:g})" if len(rows) == 1 and row["alpha"] is not None else ""
                texts.append((at, title + alpha, font(20), color))
    for (x, y), text, used, color in sorted(texts, key=lambda t: t[2].size):
        gap = 10 * SCALE
        corners = [(x + gap, y - gap, "lb"), (x - gap, y + gap, "rt"), (x + gap, y + gap, "lt"), (x - gap, y - gap, "rb"),
                   (x + 2.5 * gap, y - 2.5 * gap, "lb"), (x + 2.5 * gap, y, "lm"), (x - 2.5 * gap, y, "rm"),
                   (x - 2.5 * gap, y + 2.5 * gap, "rt"), (x, y - 3 * gap, "mb"), (x, y + 3 * gap, "mt")]
        boxes = [(canvas.textbbox((cx, cy), text, used, anchor=anchor), (cx, cy), anchor) for cx, cy, anchor in corners]
        inside = [b for b in boxes if b[0][0] > LEFT * SCALE and b[0][2] < (WIDTH - 4) * SCALE] or boxes
        box, at, anchor = next((b for b in inside if not any(_overlap(b[0], other) for other in taken)), inside[0])
        taken.append(box)
        canvas.text(at, text, color, used, anchor=anchor, stroke_width=3 * SCALE, stroke_fill="white")
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
