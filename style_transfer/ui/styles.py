"""Which paintings: a gallery, up to four of them blended by a square pad, several works as one style, and where each goes."""

from pathlib import Path

import gradio as gr
from PIL import Image

from .. import images, regions
from ..errors import InputError
from . import common

MAX_STYLES = 4
NAMES = list(regions.COLORS)[:MAX_STYLES]  # of the brushes, one a style
EDITOR = 1024  # pixels of the long side of the photograph that is painted on
PAD = Path(__file__).with_name("pad.js").read_text()
PAD_HTML = """<div class="pad" role="slider" tabindex="0" aria-label="Blend of the four styles: arrow keys move it"
 aria-valuemin="0" aria-valuemax="100" aria-valuenow="0" aria-valuetext="Style 1 alone"><span>1</span><span>2</span>
<span>3</span><span>4</span><i></i></div>"""
SOFT = dict(minimum=0, maximum=0.1, value=0.01, step=0.005)


def pick(first):
    """The gallery, its tiles, and the first style's picture, to be rendered where it belongs."""
    tiles = common.tiles("styles")
    gallery = common.gallery(tiles, "Paintings and patterns", elem_classes=["styles", "strip"]) if tiles else None
    return gallery, tiles, common.picture("Style: one of these, or yours", height=150, value=first, render=False)


def fill(tiles):
    """A function for the `select` of the gallery: (number of the style, pictures) -> pictures with the clicked one."""
    choose = common.clicked(tiles)

    def place(event: gr.SelectData, slot, *pictures):
        path = choose(event)
        return [path if str(number) == slot else gr.skip() for number, _ in enumerate(pictures, 1)]
    return place


def blend():
    """A fold for the other styles: (pictures, weights, works, pad, slot)."""
    with gr.Accordion("Blend several paintings", open=False):
        slot = gr.Radio([(f"Style {n}", str(n)) for n in range(1, MAX_STYLES + 1)], value="1",
                        label="A click in the gallery fills")
        with gr.Row():
            pictures = [common.picture(f"Style {n}", height=130, buttons=[]) for n in range(2, MAX_STYLES + 1)]
        with gr.Row():
            pad = gr.HTML("0,0", html_template=PAD_HTML, js_on_load=PAD, label="Blend", container=False, min_width=180)
            with gr.Column(min_width=200):
                weights = [gr.Slider(0, 1, 1, step=0.01, label=f"Weight of style {n}", elem_classes="weight", buttons=[])
                           for n in range(1, MAX_STYLES + 1)]
        works = gr.File(file_count="multiple", file_types=["image"], height=110,
                        label="More works by the painter of style 1: together they are one style")
    return pictures, weights, works, pad, slot


def where(content):
    """A fold to paint where each style goes: (mask, soft edges, editor, its event that makes the mask)."""
    with gr.Accordion("Where each style goes", open=False) as fold:
        gr.Markdown(f"Paint over the photograph with a colour for each style: {', '.join(NAMES)} for styles 1 to {MAX_STYLES}. "
                    "What is left unpainted stays a photograph; with nothing painted, the styles go everywhere.")
        editor = Editor(label="Brush", type="pil", sources=[], layers=False, transforms=[], height=420, format="png",
                        buttons=[], brush=gr.Brush(default_size=60, color_mode="fixed", colors=[_hex(n) for n in NAMES],
                                                   default_color=_hex(NAMES[0])),
                        eraser=gr.Eraser(default_size=60))
        soft_edges = gr.Slider(**SOFT, label="Soft edges", info="Their width, as a part of the photograph's long side")
        mask = common.picture("A picture of the regions", height=150, buttons=[])
    gr.on([fold.expand, content.change], _background, content, editor, trigger_mode="always_last", **common.QUIET)
    gr.on([editor.change], painted, editor, mask, trigger_mode="always_last", **common.QUIET)
    return mask, soft_edges


def _hex(name):
    return "#" + "".join(f"{round(255 * value):02x}" for value in regions.COLORS[name])


class Editor(gr.ImageEditor):
    """A photograph to be painted on."""

    is_template = True


def _background(content):
    """The photograph for the editor, or nothing."""
    if not content:
        return None
    with common.as_gradio_errors():
        return images.to_pil(common.load(content, EDITOR))


def painted(edited):
    """What was painted, as a picture of the regions; None where nothing was."""
    layer = edited["layers"][0] if edited and edited["layers"] else None
    if layer is None or layer.getchannel("A").getextrema()[1] < 128:
        return None
    black = Image.new("RGB", layer.size)
    black.paste(layer.convert("RGB"), mask=layer.getchannel("A").point(lambda a: 255 * (a >= 128)))
    return black


def masks(path, count, soft_edges):
    """The masks of so many styles from a picture of the regions, with soft edges; None without a picture."""
    if not path:
        return None
    if count == 1:  # whatever its colour
        found = [(common.load(path, EDITOR).amax(1, keepdim=True) > 0.5).float()]
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
    """Files to tensors: ([style ...], weights or None) without what was not given; works are one style with the first."""
    given = [(common.load_once(path, size), weight) for path, weight in zip(styles, weights, strict=True) if path]
    if works:
        more = [common.load_once(path, size) for path in works]
        first = [(([given[0][0]] if styles[0] else []) + more, weights[0])]
        given = first + (given[1:] if styles[0] else given)
    if not given:
        raise InputError("There is no style picture yet: choose a painting or a pattern.")
    return [style for style, _ in given], [weight for _, weight in given] if len(given) > 1 else None
