"""What the notebooks share: rows of pictures, JPEGs so that a notebook with its outputs stays small, and measuring."""

import itertools
import os
import time

import matplotlib.pyplot as plt
from matplotlib_inline.backend_inline import set_matplotlib_formats

from style_transfer import images
from style_transfer.distances import measure as distances  # noqa: F401  for the notebooks

# The tests set it, to run every cell in seconds: tiny pictures and a few steps.
QUICK = bool(os.environ.get("STYLE_TRANSFER_NOTEBOOK_QUICK"))
WIDTH = 12  # of a figure, inches

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 85})
plt.rcParams.update({"figure.dpi": 130, "axes.titlesize": 10, "axes.grid": True, "grid.alpha": 0.3})


def show(pictures, titles=(), columns=None):
    """Pictures [1, 3, H, W] in rows of `columns` (default: one row), each under its title and as high as its neighbours."""
    columns = columns or len(pictures)
    shapes = [picture.shape[3] / picture.shape[2] for picture in pictures[:columns]]
    rows = -(-len(pictures) // columns)
    height = min(WIDTH / sum(shapes), WIDTH / 3)
    lines = max((title.count("\n") + 1 for title in titles), default=0)
    size = height * sum(shapes), rows * (height + 0.22 * lines)
    _, axes = plt.subplots(rows, columns, figsize=size, width_ratios=shapes, squeeze=False, layout="constrained")
    for axis, picture, title in itertools.zip_longest(axes.flat, pictures, titles):
        axis.axis("off")
        if picture is not None:
            axis.imshow(images.to_pil(picture))
            axis.set_title(title)
    plt.show()


def timed(make, runs=3):
    """What make() returns, and the seconds of the fastest of some runs: the first one reads the networks' files."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        result = make()
        seconds.append(time.perf_counter() - started)
    return result, min(seconds)
