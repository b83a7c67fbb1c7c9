"""How large the strokes are, apart from the size of the result: at what size a network paints for it."""

from . import guided, images
from .options import Option

STROKE = Option(1.0, "Size of the strokes, apart from that of the result: 2 paints them twice as large.", 0.25, 8.0)


def paint(content, stroke, method, smallest=1):
    """method(picture) for a picture of 1/stroke of the content's sides, brought to the content's size.

    Networks paint strokes of so many pixels, whatever a picture's size. Larger ones get the edges of the large photograph by
    `guided.enlarge`. content: [1, 3, H, W]; smallest: pixels of a side that the method can work with, at which stroke ends.
    """
    stroke = min(STROKE.check("stroke", stroke), max(1.0, min(content.shape[2:]) / smallest))
    if stroke == 1:
        return method(content)
    painted = method(images.resize(content, tuple(max(smallest, round(side / stroke)) for side in content.shape[2:])))
    return guided.enlarge(painted, content) if stroke > 1 else images.resize(painted, content.shape[2:])
