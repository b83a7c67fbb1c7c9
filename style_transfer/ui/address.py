"""Settings in the page's address, as in ?tab=arbitrary&method=wct&style=waves&alpha=0.6: names and numbers, never files."""

from .. import arbitrary, fixed, networks, weights
from ..errors import InputError
from . import common
from .arbitrary import MAX_SIZE

READ = {name: arbitrary.OPTIONS[name]
        for name in ("method", "alpha", "preserve_color", "stroke", "color_strength", "texture_strength")}
READ["strength"] = fixed.OPTIONS["strength"]
READ["size"] = arbitrary.OPTIONS["size"]._replace(low=128, high=MAX_SIZE)


def _value(name, text):
    """What a text means for an option. Raises InputError or ValueError for what is none of its values."""
    option = READ[name]
    return option.check(name, text if option.choices else float(text))


def of(request, tabs=()):
    """The settings that a visitor's address asks for, {name: value that may be used}; what is none is left out.

    request: a gr.Request; tabs: the names that `tab` may have. Besides `tab` and what is in `READ`: `photograph`, the name of
    one of the app's own, gives its file; `style` gives `painting`, the file of one of the app's own, and `style`, the name of
    a fixed style, where there are such.
    """
    found, asked = {}, dict(request.query_params)
    for name in READ.keys() & asked.keys():
        try:
            found[name] = _value(name, asked[name])
        except (InputError, ValueError):
            continue
    if asked.get("tab") in tabs:
        found["tab"] = asked["tab"]
    for name, ask, folder in (("photograph", "photograph", "photos"), ("painting", "style", "styles")):
        files = {path.stem: str(path) for path in (common.EXAMPLES / folder).glob("*.jpg")}
        if asked.get(ask) in files:
            found[name] = files[asked[ask]]
    if asked.get("style") in {source.label for source in weights.installed(*networks.FIXED)[0]}:
        found["style"] = asked["style"]
    return found
