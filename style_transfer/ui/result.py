"""A tab's result: before and after under one slider, how long it took, the full picture to download."""

import html
from pathlib import Path

import gradio as gr

from .. import images
from . import common, history
from .inputs import documented

SHOWN = 2048  # pixels of the long side, above which the page shows less than the download holds


def build(value=None, status="", done=True):
    """[download button, slider, status, row that appears with the first result]; done: whether `value` is a result already."""
    shown = gr.ImageSlider(value, label="Before and after", type="filepath", format="png", height="min(600px, 92vw)",
                           max_height=600, buttons=["fullscreen"], interactive=False, elem_classes="result")
    status = gr.HTML(status, elem_classes="status", label="Status", padding=False)
    done = done and value is not None
    with gr.Row(visible=done) as row:
        button = gr.DownloadButton("Download PNG", value[1] if done else None)
    history.note(button)
    return [button, shown, status, row]


def build_before(opening, hint):
    """The same for a tab without a result yet: the photograph that the page opens with, on both sides, and a hint."""
    if not opening.arbitrary:
        return build()
    (photograph, _), _ = opening.arbitrary
    return build((photograph, photograph), hint, done=False)


def working(status, more=0):
    """What a job yields while it works, for the outputs of `bind`, of which so many are more than usual."""
    return gr.skip(), gr.skip(), status, gr.skip(), gr.Button(interactive=True), *(gr.skip() for _ in range(more))


def show(folder, name, content, image, status, settings=None, done=True):
    """A result written into a job's folder, for the outputs of `bind`."""
    before, after = Path(folder, "photograph.jpg"), Path(folder, f"{name}.png")  # a PNG takes ten times as long
    large = max(image.shape[2:]) > SHOWN
    seen = Path(folder, f"{name}.jpg") if large else after
    for picture, path in ((content.picture, before), *([(image, seen)] if large else [])):
        images.save(images.resize(picture, SHOWN) if large else picture, path, alpha=content.alpha)
    images.save(image, after, alpha=content.alpha, settings=settings)
    return str(after), (str(before), str(seen)), status, gr.Row(visible=True), gr.Button(interactive=not done)


def status(title, image, seconds):
    """What was made, how large, how fast."""
    height, width = image.shape[2:]
    return html.escape(f"{title}, {width} × {height} pixels, {seconds:.2f} s")


def bind(begin, run, inputs, result, stop, more=(), api_name=None, **options):
    """Let a button run a generator into a result, and another one stop it; more: outputs beyond those of `build`, `stop`."""
    outputs = [*result, stop, *more]
    run = documented(run, api_name, inputs) if api_name else run
    job = begin(run, inputs, outputs, show_progress="minimal", show_progress_on=result[1],
                **(dict(api_name=api_name) if api_name else common.PRIVATE), **options)
    job.failure(lambda: gr.Button(interactive=False), None, stop, **common.QUIET)
    return job


def stops(stop, result, jobs):
    """Let the button stop these jobs."""
    stop.click(lambda: ("Stopped: a picture that has begun is kept, in its full size", gr.Button(interactive=False)), None,
               [result[2], stop], cancels=jobs, **common.QUIET)
