"""What the tabs share: inputs made from the core's options, errors as sentences, the result's components, examples."""

import contextlib
import functools
import html
import logging
from pathlib import Path

import gradio as gr

from .. import images
from ..errors import InputError, StyleTransferError
from .files import job_folder  # noqa: F401  the tabs'
from .inputs import Picture

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRIVATE = dict(api_visibility="private")
QUIET = dict(queue=False, show_progress="hidden", **PRIVATE)
MAX_STYLES = 4
MAX_PIXELS = 64_000_000  # of an upload: several visitors' pictures are in memory at once


def picture(label, height=240):
    """An input for one picture."""
    return Picture(label=label, type="filepath", sources=["upload", "clipboard"], height=height, min_width=140,
                   buttons=["fullscreen"])


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


def more_styles():
    """An accordion for styles beyond the first: ([three pictures], [four weights])."""
    with gr.Accordion("Blend several styles", open=False):
        first = gr.Slider(0, 1, 1, step=0.05, label="Weight of the first style")
        with gr.Row():
            pictures, weights = [], [first]
            for n in range(2, MAX_STYLES + 1):
                with gr.Column(min_width=140):
                    pictures.append(picture(f"Style {n}", height=150))
                    weights.append(gr.Slider(0, 1, 1, step=0.05, label=f"Weight of style {n}", elem_classes="weight",
                                             buttons=[]))
    return pictures, weights


def download():
    """What appears below the first result: (download button, status, row that appears)."""
    status = gr.HTML(elem_classes="status", label="Status", padding=False)
    with gr.Row(visible=False) as done:
        return gr.DownloadButton("Download PNG"), status, done


def before_and_after():
    """The result beside the photograph: [download button, slider, status, row that appears with the first result]."""
    shown = gr.ImageSlider(label="Before and after", type="filepath", format="png", height="min(520px, 92vw)",
                           max_height=520, buttons=["fullscreen"], interactive=False)
    button, status, done = download()
    return [button, shown, status, done]


def show(folder, name, title, content, image, seconds):
    """A result written into a job's folder, as the outputs of `before_and_after`."""
    before, after = Path(folder, "photograph.jpg"), Path(folder, f"{name}.png")  # a PNG takes ten times as long
    images.save(content, before)
    images.save(image, after)
    height, width = image.shape[2:]
    status = html.escape(f"{title}, {width} × {height} pixels, {seconds:.2f} s")
    return str(after), (str(before), str(after)), status, gr.Row(visible=True)


def telling(status):
    """The outputs of `before_and_after` while there is only a status to be told."""
    return gr.skip(), gr.skip(), status, gr.skip()


def load(path, size):
    """`images.load` of an upload."""
    return images.load(path, size, MAX_PIXELS)


@functools.lru_cache(maxsize=4)
def _load(path, size):
    """`load`, kept for the next click: Gradio's paths hold the files' hashes, so what is in them never changes."""
    return load(path, size)


def load_content(content, size):
    """The photograph's file as a tensor; InputError where there is none."""
    if not content:
        raise InputError("There is no content picture yet: choose the photograph to be painted.")
    return _load(content, size)


def load_pictures(content, styles, weights, size):
    """Files to tensors: (content, [style ...], [weight ...]) without the styles that were not given."""
    content = load_content(content, size)
    given = [(s, w) for s, w in zip(styles, weights, strict=True) if s]
    if not given:
        raise InputError("There is no style picture yet: choose a painting or a pattern.")
    return content, [_load(s, size) for s, _ in given], [w for _, w in given] if len(given) > 1 else None


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


def examples(*inputs):
    """Photographs of examples/, with a style each where there are two inputs, by one click; None where there are none."""
    photos, styles = ([str(p) for p in sorted((EXAMPLES / name).glob("*.jpg"))] for name in ("photos", "styles"))
    rows = [[photos[i % len(photos)], style] for i, style in enumerate(styles)] if photos else []
    rows = rows if len(inputs) == 2 else [[photo] for photo in photos]
    return rows and gr.Examples(rows[:12], list(inputs), label="Examples", cache_examples=False, examples_per_page=12,
                                elem_id=f"examples-{inputs[0]._id}", **PRIVATE)
