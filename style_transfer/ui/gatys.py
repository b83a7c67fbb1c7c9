"""The tab for Gatys's optimisation: a picture that paints itself, with its losses, to be stopped at any time."""

import contextlib
import inspect
import math
import time
from pathlib import Path

import gradio as gr
import pandas as pd

from .. import backbones, images
from ..gatys import STYLE_LAYERS, optimize
from ..networks.vgg import COMPACT
from . import common

MAX_SIZE = 1024
PREVIEW_SECONDS = 0.8
PLOT_POINTS = 120  # a curve on the screen needs no more, and it is sent again with every preview
LAYERS = [f"relu{block}_{n}" for block, depth in enumerate(COMPACT["depths"], 1) for n in range(1, depth + 1)]
DEFAULTS = {name: p.default for name, p in inspect.signature(optimize).parameters.items()}
LOG_RATIO = round(math.log10(DEFAULTS["alpha"] / DEFAULTS["beta"]), 1)
COLORS = {"total": "#8a8178", "content": "#4153b3", "style": "#c2683a", "variation": "#5d8a66"}


@common.on_gpu(duration=120)
def _optimize(*arguments, **options):
    with common.sentences():  # here, because only Gradio's own errors come back from ZeroGPU's processes
        yield from optimize(*arguments, **options)


def run(content, style, style_2=None, style_3=None, style_4=None, weight_1=1.0, weight_2=1.0, weight_3=1.0,
        weight_4=1.0, log_ratio=LOG_RATIO, content_layer=DEFAULTS["content_layer"], style_layers=STYLE_LAYERS,
        iterations=DEFAULTS["iterations"], size=512, start=DEFAULTS["init"], optimizer=DEFAULTS["optimizer"],
        backbone=DEFAULTS["backbone"], seed=DEFAULTS["seed"]):
    """Optimise a picture towards a content's layout and the styles' textures (Gatys et al. 2016).

    Streams previews; the last one is the full picture. Returns the picture as a PNG file first.
    """
    with common.sentences(), common.job_folder() as folder:
        size = int(size)
        content, styles, weights = common.load_pictures(
            content, (style, style_2, style_3, style_4), (weight_1, weight_2, weight_3, weight_4), size)
        if not backbones.present(backbone, layers := {content_layer, *style_layers}):
            yield from _fetching(backbone, layers)
        begin = shown = time.perf_counter()
        history, first = [], None
        steps = _optimize(
            content, styles, style_weights=weights, alpha=DEFAULTS["alpha"], beta=DEFAULTS["alpha"] / 10 ** log_ratio,
            content_layer=content_layer, style_layers=style_layers, iterations=int(iterations), size=size, init=start,
            optimizer=optimizer, backbone=backbone, seed=int(seed or 0))
        with contextlib.closing(steps):
            for step in steps:
                history.append({"total": step.total, **step.losses})
                if step.message:
                    gr.Warning(step.message)
                now, last = time.perf_counter(), step.done
                first = first or now - begin
                if not last and now - shown < PREVIEW_SECONDS and step.iteration > 1:
                    continue
                path = Path(folder, f"gatys-{step.iteration:04d}.png")
                # level 1: previews must not cost more than the work that they show
                images.to_pil(step.image).save(path, compress_level=6 if last else 1)
                yield (str(path), str(path), _plot(history), _status(step, first, now - begin),
                       gr.Row(visible=True), gr.Button(interactive=not last))
                shown = time.perf_counter()


def _plot(history):
    """The losses so far as rows of (iteration, log10 of the loss, which), thinned out."""
    every = math.ceil(len(history) / PLOT_POINTS)
    kept = [(i, losses) for i, losses in enumerate(history, 1) if i % every == 0 or i in (1, len(history))]
    rows = [(i, math.log10(value), name) for i, losses in kept for name, value in losses.items()
            if value > 1e-4 * losses["total"]]  # next to nothing would stretch the axis
    return pd.DataFrame(rows, columns=["iteration", "log10 loss", "loss"])


def _work(iteration, iterations, scales=DEFAULTS["scales"]):
    """Time up to an iteration: each scale has four times the pixels of the one before and takes three times as long."""
    share = iterations / scales
    return sum(3 ** k * min(max(iteration - k * share, 0), share) for k in range(scales))


def _status(step, first, elapsed):
    """A bar and a sentence; first: seconds of the first iteration, which loads things and says nothing of others."""
    height, width = step.image.shape[2:]
    if step.iteration == step.iterations:
        return f"Done: {step.iterations} iterations, {width} × {height} pixels, {_time(elapsed)}"
    start, now, end = (_work(i, step.iterations) for i in (1, step.iteration, step.iterations))
    left = f", about {_time((elapsed - first) / (now - start) * (end - now))} left" if now > start else ""
    return (f'<progress value="{now / end:.3f}"></progress>'
            f"Iteration {step.iteration} of {step.iterations}, at {width} × {height}, {_time(elapsed)} elapsed{left}")


def _time(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _stopped(status):
    """After Stop: the last preview stays, and so does its download."""
    if "Fetching" in status:
        status = "Stopped: what has arrived of the weights is kept"
    elif "<progress" in status:
        status = "Stopped: the picture so far is kept. " + status.split("</progress>")[1].split(" elapsed")[0]
    else:
        status = "Stopped before the first iteration"
    return status, gr.Button(interactive=False)


def _fetching(backbone, layers):
    """A bar while a full backbone arrives."""
    shown = 0.0
    with contextlib.closing(backbones.download(backbone, layers)) as parts:
        for done, total in parts:
            if time.perf_counter() - shown > PREVIEW_SECONDS:
                shown = time.perf_counter()
                status = (f'<progress value="{done / total:.3f}"></progress>'
                          f"Fetching {backbone}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
                yield gr.skip(), gr.skip(), gr.skip(), status, gr.skip(), gr.Button(interactive=True)


def build():
    """The tab's components and events."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                content = common.picture("Content")
                style = common.picture("Style")
            log_ratio = gr.Slider(LOG_RATIO - 3, LOG_RATIO + 3, LOG_RATIO, step=0.1, label="log₁₀(α/β)",
                                  info="Content against style: lower for more style, higher for more of the photograph")
            with gr.Row():
                iterations = gr.Slider(10, 1000, DEFAULTS["iterations"], step=10, label="Iterations", min_width=140)
                size = gr.Slider(128, MAX_SIZE, 512, step=64, label="Long side, pixels", min_width=140)
            with gr.Row():
                begin = gr.Button("Paint", variant="primary", size="lg", scale=3, min_width=140)
                stop = gr.Button("Stop", size="lg", interactive=False, min_width=80)
            pictures, weights = common.more_styles()
            with gr.Accordion("Advanced", open=False):
                content_layer = gr.Dropdown(LAYERS, value=DEFAULTS["content_layer"], label="Content layer")
                style_layers = gr.CheckboxGroup(LAYERS, value=list(STYLE_LAYERS), label="Style layers")
                with gr.Row():
                    init = gr.Radio(["content", "noise", "style"], value=DEFAULTS["init"], label="Start from")
                    optimizer = gr.Radio([("L-BFGS", "lbfgs"), ("Adam", "adam")], value=DEFAULTS["optimizer"],
                                         label="Optimiser")
                with gr.Row():
                    backbone = gr.Radio(list(backbones.BACKBONES), value=DEFAULTS["backbone"], label="Backbone",
                                        info="The full networks are fetched once, 52 to 80 MB")
                    seed = gr.Number(DEFAULTS["seed"], precision=0, minimum=0, maximum=2 ** 31 - 1, label="Seed")
        with gr.Column(scale=6, min_width=320):
            result = gr.Image(label="Result", type="filepath", format="png", height="min(480px, 92vw)",
                              interactive=False, buttons=["fullscreen"], elem_classes="result")
            status = gr.HTML(elem_classes="status", label="Status", padding=False)
            with gr.Row(visible=False) as done:
                download = gr.DownloadButton("Download PNG")
            plot = gr.LinePlot(x="iteration", y="log10 loss", color="loss", color_map=COLORS, height=300,
                               x_axis_format="d", y_axis_format=".1f", colors_in_legend=[], label="Losses",
                               show_label=False, buttons=[])
            # the plot cuts its own label and legend off
            gr.HTML("".join(f'<span><i style="background: {c}"></i>{name}</span>' for name, c in COLORS.items()),
                    elem_classes="legend", padding=False)
    common.examples(content, style)

    inputs = [content, style, *pictures, *weights, log_ratio, content_layer, style_layers, iterations, size, init,
              optimizer, backbone, seed]
    # a click of its own: the button must work while the job still waits for its turn
    begin.click(lambda: ("", gr.Button(interactive=True)), None, [status, stop], queue=False, show_progress="hidden",
                **common.PRIVATE)
    job = begin.click(run, inputs, [result, download, plot, status, done, stop], api_name="gatys",
                      show_progress="minimal", show_progress_on=result, **common.HEAVY)
    job.failure(lambda: gr.Button(interactive=False), None, stop, queue=False, show_progress="hidden", **common.PRIVATE)
    stop.click(_stopped, status, [status, stop], cancels=[job], queue=False, show_progress="hidden", **common.PRIVATE)
