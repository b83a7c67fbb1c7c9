"""What the tabs share: inputs made from the core's options, galleries to click, files to tensors, errors as sentences."""

import contextlib
import functools
import html
import logging
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import torch

from .. import images
from ..errors import InputError, StyleTransferError
from .files import job_folder, lasting  # noqa: F401  the tabs'
from .inputs import Picture

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRIVATE = dict(api_visibility="private")
QUIET = dict(queue=False, show_progress="hidden", **PRIVATE)
TILE = 200  # pixels of the long side of a picture in a gallery
MAX_PIXELS = 64_000_000  # of an upload: several visitors' pictures are in memory at once


class Page(NamedTuple):
    """What stands once, above all tabs."""

    content: Picture  # the photograph
    opening: tuple  # an `opening.Opening`
    visit: gr.State  # a `models.Visit`: what the visitor has added


def picture(label, height=240, **options):
    """An input for one picture."""
    return Picture(label=label, type="filepath", sources=["upload", "clipboard"], height=height, min_width=140,
                   **{"buttons": ["fullscreen"]} | options)


def slider(option, label, low=None, high=None, value=None, step=None, **options):
    """A slider for a number among the core's options, within narrower bounds for visitors if need be."""
    whole = isinstance(option.low, int)
    return gr.Slider(option.low if low is None else low, high or option.high, option.default if value is None else value,
                     step=step or (1 if whole else 0.05), precision=0 if whole else None, label=label,
                     **{"info": option.help, "min_width": 140} | options)


def choice(option, label, kind=gr.Radio, value=None, **options):
    """A component for one or, with gr.CheckboxGroup, several of an option's choices."""
    value = option.default if value is None else value
    return kind([(text, name) for name, text in option.choices.items()], label=label, min_width=140,
                value=list(value) if kind is gr.CheckboxGroup else value, **{"info": option.help} | options)


LOOK = ("size", "own_size", "preserve_color", "stroke", "color_strength", "texture_strength")


def look(options, size, max_size):
    """A fold for colours, strokes and size: components in the order of `LOOK`."""
    with gr.Accordion("Colours, strokes and size", open=False):
        with gr.Row():
            preserve_color = choice(options["preserve_color"], "Whose colours", gr.Dropdown)
            stroke = slider(options["stroke"], "Size of the strokes", value=options["stroke"].default)
        with gr.Row():
            color_strength = slider(options["color_strength"], "Colours of the painting")
            texture_strength = slider(options["texture_strength"], "Strokes of the painting")
        with gr.Row():
            size = slider(options["size"], "Size of the result: long side, pixels", 128, max_size, size, 64,
                          info="More pixels take longer, in proportion")
            own_size = gr.Checkbox(False, label="As large as the photograph", min_width=140,
                                   info="Paints every pixel of it, whatever the size above says")
    return [size, own_size, preserve_color, stroke, color_strength, texture_strength]


class Example(NamedTuple):
    """A picture of examples/: its file, a small one for galleries, what it is called."""

    path: str
    tile: str
    name: str


@functools.cache
def examples(folder):
    """Those of a folder of examples/, by name."""
    found = []
    for path in sorted((EXAMPLES / folder).glob("*.jpg")):
        tile = lasting(folder) / path.name
        images.save(images.load(path, TILE), tile)
        found.append(Example(str(path), str(tile), path.stem.replace("-", " ").capitalize()))
    return found


def gallery(shown, label, **options):
    """Pictures to click, (file, name) each, as many in a row as there is room for."""
    return gr.Gallery(shown, label=label, columns=4, height="auto", object_fit="cover", allow_preview=False, buttons=[],
                      **{"elem_classes": "styles"} | options)


def clicked(found):
    """A function for the `select` of a gallery of these `examples`: the path of the one that was clicked."""
    def choose(event: gr.SelectData):
        if type(event.index) is int and 0 <= event.index < len(found):
            return found[event.index].path
        raise gr.Error("There is no such picture in the gallery: choose another one.", print_exception=False)
    return choose


def buttons(text):
    """The button that begins the work, and the one that ends it."""
    with gr.Row(elem_classes="begin"):
        return (gr.Button(text, variant="primary", size="lg", scale=3, min_width=140),
                gr.Button("Stop", size="lg", interactive=False, min_width=80, elem_classes="stop"))


def load(path, size):
    """`images.load` of an upload."""
    return images.load(path, size, MAX_PIXELS)


class Photograph(NamedTuple):
    """What is to be painted: [1, 3, H, W], and its transparency [1, 1, h, w] or None."""

    picture: torch.Tensor
    alpha: torch.Tensor | None


@functools.lru_cache(maxsize=12)
def load_once(path, size):
    """`load`, kept for the next click: Gradio's paths hold the files' hashes, so what is in them never changes."""
    return load(path, size)


@functools.lru_cache(maxsize=2)
def _photograph(path, size):
    return Photograph(*images.read(path, size, MAX_PIXELS))


def photograph(path, size, own_size=False):
    """The photograph's file as a `Photograph` of this long side, or of its own; InputError where there is none."""
    if not path:
        raise InputError("There is no photograph yet: choose the one to be painted.")
    return _photograph(path, None if own_size else size)


@contextlib.contextmanager
def as_gradio_errors():
    """Show the core's errors as the sentences that they are; what nobody foresaw is for the log, and its details with it."""
    try:
        yield
    except StyleTransferError as error:
        raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from None
    except gr.Error:
        raise
    except Exception:
        logging.getLogger(__name__).exception("An error that is no sentence yet")
        raise gr.Error("This did not work, and the fault is the app's: try a smaller size or other settings.",
                       print_exception=False) from None


def warn(problems):
    """Say what cannot be offered, and why."""
    for problem in problems:
        gr.Warning(html.escape(problem))
