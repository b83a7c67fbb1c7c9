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


def _dot(canvas, x, y, radius, color):
    """Draws a mark and returns its box."""
    box = (x - radius, y - radius, x + radius, y + radius)
    canvas.ellipse(box, color, "white", 2 * SCALE)
    return box


def _around(x, y):
    """Places for a text near a point, the best first: (position, anchor)."""
    near, far = 9 * SCALE, 16 * SCALE
    return [((x + near, y - near), "lb"), ((x - near, y + near), "rt"), ((x + near, y + near), "lt"),
            ((x - near, y - near), "rb"), ((x + far, y), "lm"), ((x - far, y), "rm"), ((x, y - far), "mb"),
            ((x, y + far), "mt")]


def draw(points, heading="Style over content distance; lower is better in both, numbers are alphas"):
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
    taken, texts = [], []  # boxes where nothing may be written; (place, text, color)
    legend = (WIDTH - RIGHT) * SCALE - max(canvas.textlength(title, font(18)) for title in methods)
    for number, ((title, rows), color) in enumerate(zip(methods.items(), COLORS * len(methods))):
        rows = sorted(rows, key=lambda p: (p["alpha"] is None, p["alpha"]))
        places = [place(p["content"], p["style"]) for p in rows]
        if len(places) > 1:
            canvas.line(places, color, 3 * SCALE, joint="curve")
        radius = (6 if len(places) > 1 else 9) * SCALE
        for x, y in places:
            taken.append(_dot(canvas, x, y, radius, color))
        for (xa, ya), (xb, yb) in zip(places, places[1:]):  # a line is many small boxes
            steps = [(xa + (xb - xa) * i / 40, ya + (yb - ya) * i / 40) for i in range(41)]
            taken += [(x - SCALE, y - SCALE, x + SCALE, y + SCALE) for x, y in steps]
        texts += [(at, f"{row['alpha']:g}", color) for row, at in zip(rows, places) if row["alpha"] is not None]
        _dot(canvas, legend - 20 * SCALE, (TOP + 12 + 28 * number) * SCALE, radius, color)
        canvas.text((legend, (TOP + 12 + 28 * number) * SCALE), title, color, font(18), anchor="lm",
                    stroke_width=3 * SCALE, stroke_fill="white")
    for (x, y), text, color in texts:
        boxes = [(canvas.textbbox(at, text, font(15), anchor=anchor), at, anchor) for at, anchor in _around(x, y)]
        box, at, anchor = min(boxes, key=lambda b: sum(_overlap(b[0], other) for other in taken))  # the first of the best
        taken.append(box)
        canvas.text(at, text, color, font(15), anchor=anchor, stroke_width=2 * SCALE, stroke_fill="white")
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
