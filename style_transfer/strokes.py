"""How large the strokes are, apart from the size of the result: at what size a network paints for it."""

from . import guided, images, progress
from .options import Option

STROKE = Option(1.0, "Size of the strokes, apart from that of the result: 2 paints them twice as large.", 0.25, 8.0)
PAINTING = 0.5  # of the time of `paint` for strokes of twice the size


def paint(content, stroke, method, smallest=1):
    """method(picture) for a picture of 1/stroke of the content's sides, brought to the content's size.

    Networks paint strokes of so many pixels, whatever a picture's size. Larger ones get the edges of the large photograph by
    `guided.enlarge`. content: [1, 3, H, W]; smallest: pixels of a side that the method can work with, at which stroke ends.
    """
    stroke = min(STROKE.check("stroke", stroke), max(1.0, min(content.shape[2:]) / smallest))
    if stroke == 1:
        return method(content)
    with progress.part(0, PAINTING if stroke > 1 else 1):
        painted = method(images.resize(content, tuple(max(smallest, round(side / stroke)) for side in content.shape[2:])))
    with progress.part(PAINTING if stroke > 1 else 1, 1):
        return guided.enlarge(painted, content) if stroke > 1 else images.resize(painted, content.shape[2:])
