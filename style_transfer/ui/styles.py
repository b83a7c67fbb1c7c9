"""Which paintings: a gallery, up to four of them blended by a square pad, several works as one style, and where each goes."""

import contextlib
from pathlib import Path

import gradio as gr

from .. import regions
from ..errors import InputError
from . import common, inputs

MAX_STYLES = 4
NAMES = list(regions.COLORS)[:MAX_STYLES]  # of the brushes, one a style
REGIONS = 1024  # pixels of the long side of a picture of the regions
PAD_JS, BRUSH_JS = (Path(__file__).with_name(f"{name}.js").read_text() for name in ("pad", "brush"))
PAD_HTML = """<div class="pad" role="slider" tabindex="0" aria-label="Blend of the four styles: arrow keys move it"
 aria-valuemin="0" aria-valuemax="100" aria-valuenow="50" aria-valuetext="Equal parts"><span>1</span><span>2</span>
<span>3</span><span>4</span><i></i></div>"""
BRUSH_HTML = """<div class="brush"><div role="toolbar" aria-label="Brush">{brushes}
<button type="button" data-color="" aria-pressed="false">Eraser</button><button type="button" data-clear>Clear</button>
<label>Width <input type="range" min="1" max="25" value="8"></label></div>
<div class="stage"><img alt="The photograph to be painted on"><canvas></canvas></div></div>"""
SOFT = dict(minimum=0, maximum=0.1, value=0.01, step=0.005)


def pick(first):
    """The gallery, what is in it, and the first style's picture, to be rendered where it belongs."""
    found = common.examples("styles")
    gallery = common.gallery([(e.tile, e.name) for e in found], "Paintings and patterns", elem_classes=["styles", "strip"],
                             visible=bool(found))
    return gallery, found, common.picture("Style", height=150, value=first, render=False)


@contextlib.contextmanager
def beside(style):
    """The first style's picture, and at its side what is built inside."""
    with gr.Row():
        with gr.Column(min_width=140):
            style.render()
        with gr.Column(min_width=140):
            yield


def fill(found):
    """A function for the `select` of the gallery: (number of the style, pictures) -> pictures with the clicked one."""
    choose = common.clicked(found)

    def place(event: gr.SelectData, slot, *pictures):
        path = choose(event)
        return [path if str(number) == slot else gr.skip() for number, _ in enumerate(pictures, 1)]
    return place


def several():
    """A fold for the other styles, of which each place takes what fits it best: (pictures, slot)."""
    with gr.Accordion("Several paintings", open=False):
        slot = _slot()
        with gr.Row():
            return _others(), slot


def _slot():
    return gr.Radio([(f"Style {n}", str(n)) for n in range(1, MAX_STYLES + 1)], value="1", label="A click in the gallery fills")


def _others():
    return [common.picture(f"Style {n}", height=130, buttons=[]) for n in range(2, MAX_STYLES + 1)]


def blend():
    """A fold for the other styles: (pictures, weights, works, pad, slot)."""
    with gr.Accordion("Blend several paintings", open=False):
        slot = _slot()
        with gr.Row():
            pictures = _others()
        with gr.Row():
            pad = gr.HTML("0.5,0.5", html_template=PAD_HTML, js_on_load=PAD_JS, label="Blend", container=False, min_width=180)
            with gr.Column(min_width=200):
                weights = [gr.Slider(0, 1, 1, step=0.01, label=f"Weight of style {n}", elem_classes="weight", buttons=[])
                           for n in range(1, MAX_STYLES + 1)]
        works = gr.File(file_count="multiple", file_types=["image"], height=110,
                        label="More works by the painter of style 1: together they are one style")
    return pictures, weights, works, pad, slot


def where(several=True):
    """A fold to paint where each style goes, or the only one: (mask, soft edges)."""
    names = NAMES if several else NAMES[:1]
    with gr.Accordion("Where each style goes" if several else "Where the style goes", open=False):
        gr.Markdown(("Paint over the photograph, a colour for each style." if several else "Paint over the photograph.")
                    + " What is left unpainted stays a photograph; with nothing painted, all of it is stylised.")
        brushes = "".join(_brush(number, name) for number, name in enumerate(names, 1))
        brush = gr.HTML("", html_template=BRUSH_HTML.replace("{brushes}", brushes), js_on_load=BRUSH_JS, label="Brush")
        soft_edges = gr.Slider(**SOFT, label="Soft edges", info="Their width, as a part of the photograph's long side")
        mask = common.picture("Or a picture with these colours on black", height=130, buttons=[])
    brush.release(_painted, brush, mask, trigger_mode="always_last", **common.QUIET)
    return mask, soft_edges


def _brush(number, name):
    color = "#" + "".join(f"{round(255 * value):02x}" for value in regions.COLORS[name])
    return (f'<button type="button" data-color="{color}" style="--brush: {color}" aria-pressed="{str(number == 1).lower()}" '
            f'aria-label="Style {number}: {name}" title="Style {number}: {name}">{number}</button>')


def _painted(path):
    """What the brush uploaded, as a picture of the regions; None where nothing is painted."""
    return inputs.uploaded({"path": path})["path"] if path else None


def masks(path, count, soft_edges):
    """The masks of so many styles from a picture of the regions, with soft edges; None without a picture."""
    if not path:
        return None
    if count == 1:  # whatever its colour
        found = [(common.load(path, REGIONS).amax(1, keepdim=True) > 0.5).float()]
    else:
        found = regions.load([path], count)
    return [regions.soften(mask, soft_edges) for mask in found]


def corners(place):
    """The weights of four styles in the corners of a square, for "x,y" in [0, 1] from the first style's corner."""
    try:
        x, y = (min(max(float(part), 0.0), 1.0) for part in place.split(","))
    except ValueError:
        raise gr.Error("The place on the pad must be two numbers from 0 to 1.", print_exception=False) from None
    return [round(weight, 3) for weight in ((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y)]


def load(styles, weights, works, size):
    """([style ...], weights or None, [file ...]) of what was given, styles as tensors; works are one style with the first."""
    first = [path for path in (styles[0], *(works or ())) if path]
    given = [(several, weight) for several, weight in zip([first, *([path] for path in styles[1:])], weights, strict=True)
             if several and several[0]]
    if not given:
        raise InputError("There is no style picture yet: choose a painting or a pattern.")
    found = [[common.load_once(path, size) for path in several] for several, _ in given]
    return ([several if len(several) > 1 else several[0] for several in found],
            [weight for _, weight in given] if len(given) > 1 else None, [several[0] for several, _ in given])
