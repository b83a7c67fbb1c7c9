"""What the page opens with, painted when the app starts, so that nobody meets an empty box or waits for the networks."""

import time
from typing import NamedTuple

from .. import compare, fixed, images, networks, weights
from ..arbitrary import METHODS, stylize
from ..errors import CheckpointError, InputError
from . import common, result
from .arbitrary import METHOD, SIZE

PHOTOGRAPH, STYLE, FIXED = "autumn", "swirls", "wheat-field"


class Opening(NamedTuple):
    """Files of the photograph and the style, and arguments of `result.build`; nothing where the pictures are missing."""

    content: str | None = None
    style: str | None = None
    arbitrary: tuple = ()
    fixed: tuple = ()
    compared: tuple = ()  # (file, caption) of some methods side by side


def pictures():
    """The `Opening` of this installation."""
    content, style = common.EXAMPLES / "photos" / f"{PHOTOGRAPH}.jpg", common.EXAMPLES / "styles" / f"{STYLE}.jpg"
    if not (content.exists() and style.exists()):
        return Opening()
    photograph, painting = common.photograph(str(content), SIZE), images.load(style, SIZE)

    def painted(name, title, function):
        start = time.perf_counter()
        try:
            image = function()
        except (CheckpointError, InputError):  # whoever asks for these weights is told what is wrong with them
            return ()
        status = result.status(title, image, time.perf_counter() - start)
        return result.show(common.lasting(name), name, photograph, image, status)[1], status

    def any_style(method):
        return painted(method, METHODS[method].title,
                       lambda: stylize(photograph.picture, [painting], None, method))

    titles = {source.label: source.entry.title for source in weights.installed(*networks.FIXED)[0]}
    found = {method: any_style(method) for method in METHODS if method in compare.METHODS}
    own = painted(FIXED, titles[FIXED], lambda: fixed.stylize(photograph.picture, FIXED)) if FIXED in titles else ()
    shown = [(found[method], METHODS[method].title) for method in found]
    shown.append((own, f"Fixed style: {titles.get(FIXED)}"))
    return Opening(str(content), str(style), found[METHOD], own,
                   tuple((value[0][1], caption) for value, caption in shown if value))
