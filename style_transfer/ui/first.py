"""The picture that the page opens with, painted when the app starts."""

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .. import images
from ..arbitrary import METHODS, stylize
from . import arbitrary, common, result

PHOTOGRAPH, STYLE = "mountains", "waves"


class Opening(NamedTuple):
    """Files of the photograph and the style; `result.build`'s arguments: nothing where there are no examples."""

    content: str | None
    style: str | None
    result: tuple


def picture():
    """An `Opening`. It warms the networks up as well, so that the first visitor does not wait for them."""
    content, style = common.EXAMPLES / "photos" / f"{PHOTOGRAPH}.jpg", common.EXAMPLES / "styles" / f"{STYLE}.jpg"
    if not (content.exists() and style.exists()):
        return Opening(None, None, ())
    start = time.perf_counter()
    photograph = common.photograph(str(content), arbitrary.SIZE)
    image = stylize(photograph.picture, [images.load(style, arbitrary.SIZE)], None, arbitrary.METHOD, arbitrary.ALPHA)
    status = result.status(METHODS[arbitrary.METHOD].title, image, time.perf_counter() - start)
    folder = Path(tempfile.mkdtemp(prefix="style-transfer-first-"))
    _, files, *_ = result.show(folder, arbitrary.METHOD, photograph, image, status)
    return Opening(str(content), str(style), (files, status))
