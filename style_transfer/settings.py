"""What a picture was painted with, a record that travels in its file: made, read, judged, and said in one line.

    {"app": "style-transfer", "version": 1, "method": "wct", "styles": ["waves.jpg", "mosaic.jpg"], "weights": [0.7, 0.3],
     "masks": false, "decoder": null, "options": {"alpha": 0.6, "stroke": 1.0}}

styles: names of files, never where they lay; of a fixed style the name of its weights. weights: null for equal parts.
masks: whether the styles went where masks said, which are not in the record. decoder: of AdaIN, where it is not the shipped
one. options: of the method, those that are known.
"""

import json
import re

from . import arbitrary, checkpoints, fixed, gatys, images, neighbours
from .errors import InputError
from .options import Option
from .options import check as check_options
from .transforms import normalize_weights

APP, VERSION = images.SETTINGS, 1
MOST_STYLES = 64
LONGEST_NAME = 200  # characters
WEIGHT = Option(1.0, "", 0.0)
_ARBITRARY = {**arbitrary.OPTIONS, "style_size": images.STYLE_SIZE}
OPTIONS = {  # {method: {name: Option}}; those that take several of their choices have a tuple for a default
    **{method: {name: option for name, option in _ARBITRARY.items() if name not in ("method", "levels")}
       for method in ("adain", "wct")},
    "cascade": {name: option for name, option in _ARBITRARY.items() if name != "method"},
    "fixed": fixed.OPTIONS,
    "gatys": gatys.OPTIONS,
    "neighbours": neighbours.OPTIONS,
}
BEFORE = {"gatys": {"loss": "gram"}}  # what painted the pictures whose records are older than an option
TITLES = {name: method.title for name, method in arbitrary.METHODS.items()} | {
    "fixed": "Fixed style", "gatys": "Gatys", "neighbours": "Neighbours"}


def make(method, styles, weights=None, masks=False, decoder=None, **options):
    """A record for `images.save`. styles: paths or names, of which the names are kept. Raises what `check` raises."""
    return check(json.loads(json.dumps({"app": APP, "version": VERSION, "method": method, "styles": list(map(str, styles)),
                                        "weights": weights, "masks": bool(masks), "decoder": decoder, "options": options})))


def read(source):
    """The checked record that a picture's file carries, None where there is none: `images.settings` and `check`."""
    found = images.settings(source)
    return None if found is None else check(found)


def check(found):
    """A record as it may be used, whoever wrote it: known keys with values of the right kind and range, and nothing else.

    Unknown options, as a later version may have, are left out. Raises InputError, one sentence, for everything else.
    """
    if not isinstance(found, dict) or found.get("app") != APP or type(found.get("version")) is not int:
        raise InputError("These are no settings of this project: use a picture that it has painted.")
    if found["version"] != VERSION:
        raise InputError(f"These settings are of another version than {VERSION}, which this project knows: update it.")
    method, names, masks, decoder = (found.get(key) for key in ("method", "styles", "masks", "decoder"))
    values = found.get("options")
    if method == "wct" and isinstance(values, dict) and "levels" in values:  # as the cascade was called once
        method = "cascade"
    if not isinstance(method, str) or method not in OPTIONS:
        raise InputError(f"The settings name no known method: choose among {', '.join(OPTIONS)}.")
    if not isinstance(names, list) or not 1 <= len(names) <= MOST_STYLES or not all(isinstance(n, str) for n in names):
        raise InputError(f"The settings must name 1 to {MOST_STYLES} styles: use another picture.")
    weights = found.get("weights")
    if weights is not None:
        if not isinstance(weights, list):
            raise InputError("The weights of the settings must be one number for each style: use another picture.")
        weights = [WEIGHT.check("The weight of a style", weight) for weight in weights]
        normalize_weights(weights, len(names))
    if not isinstance(masks, (bool, type(None))) or not isinstance(decoder, (str, type(None))):
        raise InputError("The settings on masks or the decoder are of the wrong kind: use another picture.")
    if not isinstance(values, dict):
        raise InputError("The settings have no options: use another picture.")
    values = BEFORE.get(method, {}) | values
    return {"app": APP, "version": VERSION, "method": method, "styles": [_name(method, name) for name in names],
            "weights": weights, "masks": bool(masks), "decoder": decoder and _label(decoder),
            "options": {name: _value(name, option, values[name]) for name, option in OPTIONS[method].items() if name in values}}


def _value(name, option, value):
    """What `Option.check` says of a value, or of each of several: a list of choices, or {choice: weight, 0 or more}."""
    if not isinstance(option.default, tuple):
        return check_options({name: option}, **{name: value})[name]
    if not isinstance(value, (list, dict)) or not 1 <= len(value) <= len(option.choices):
        raise InputError(f"{name} must be a list of some of {', '.join(map(str, option.choices))}.")
    several = [option.check(name.removesuffix("s").replace("_", " "), one) for one in value]
    if isinstance(value, dict):
        return {one: WEIGHT.check(f"The weight of {one}", value[one]) for one in several}
    return list(dict.fromkeys(several))


def _printable(name):
    return "".join(c if c.isprintable() else "�" for c in name[-LONGEST_NAME:])


def _name(method, name):
    """What a style is called: the name of its file alone, or the label of its weights."""
    return _label(name) if method == "fixed" else _printable(re.split(r"[/\\]", name)[-1])


def _label(name):
    """The name of weights as `weights.named` takes it, alone or as owner/name/weights; of another path the stem."""
    parts = name.split("/")
    if name.endswith(".safetensors") or len(parts) not in (1, 3) or not all(map(checkpoints.NAME.fullmatch, parts)):
        name = re.split(r"[/\\]", name)[-1].removesuffix(".safetensors")
    return _printable(name)


def describe(record):
    """A checked record in one line: method, styles with their weights, and the options that are not the default."""
    options, weights = OPTIONS[record["method"]], record["weights"] or []
    styles = [f"{name} {weight:g}" for name, weight in zip(record["styles"], weights)] if weights else record["styles"]
    told = [f"{name.replace('_', ' ')} {_text(value)}" for name, value in record["options"].items()
            if value != (list(standard) if isinstance(standard := options[name].default, tuple) else standard)]
    told += [f"decoder {record['decoder']}"] * bool(record["decoder"]) + ["where masks say"] * record["masks"]
    return f"{TITLES[record['method']]}: {', '.join(styles)}{'; ' * bool(told)}{', '.join(told)}"


def _text(value):
    if isinstance(value, dict):
        return " ".join(f"{name}={weight:g}" for name, weight in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
