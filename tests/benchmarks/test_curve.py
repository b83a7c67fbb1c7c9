"""The curve over alpha."""

import numpy as np
import pytest

from benchmarks import curve


@pytest.mark.parametrize("low, high", [(0.03, 0.11), (0, 1), (0.5, 0.5001), (-3, 1200)])
def test_ticks_are_round_and_inside(low, high):
    found = curve.ticks(low, high)
    assert 2 <= len(found) <= 8 and low <= found[0] and found[-1] <= high
    steps = np.diff(found)
    assert np.allclose(steps, steps[0]) and f"{steps[0]:e}"[0] in "125"


def point(title, alpha, style, content):
    return {"title": title, "alpha": alpha, "style": style, "content": content}


def colored(image, color):
    """Positions (x, y) of a colour's pixels below the legend."""
    pixels = np.array(image)
    pixels[:curve.TOP + 70] = 255
    rows, columns = np.nonzero((pixels == [int(color[i:i + 2], 16) for i in (1, 3, 5)]).all(2))
    return columns, rows


def test_lower_is_lower_and_less_is_left():
    points = [point("A", 1.0, 0.02, 0.6), point("A", 0.5, 0.05, 0.4), point("B", None, 0.03, 0.9)]
    image = curve.draw(points)
    assert image.size == (curve.WIDTH, curve.HEIGHT)
    line, mark = (colored(image, color) for color in curve.COLORS[:2])
    assert line[0].max() < mark[0].min()  # B has the larger content distance
    highest, lowest = line[1].argmin(), line[1].argmax()
    assert line[0][highest] < line[0][lowest]  # the line falls from alpha 0.5 to 1
    assert line[1].min() < mark[1].mean() < line[1].max()


def test_one_point_alone():
    assert len(colored(curve.draw([point("A", 1.0, 0.02, 0.6)]), curve.COLORS[0])[0]) > 20
