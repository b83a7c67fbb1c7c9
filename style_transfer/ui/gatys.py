"""The tab for Gatys's optimisation: a picture that paints itself, with its losses, to be stopped at any time."""

import contextlib
import math

import gradio as gr
import pandas as pd

from .. import images, settings
from ..gatys import DEFAULTS, OPTIONS, STYLE_LAYERS, optimize
from ..networks.vgg import COMPACT, layer_names
from . import common, result, steps, styles, turns

TITLE = "Gatys"
ABOUT = "The slowest and the best: the picture itself is painted step by step, and can be watched and stopped."
SIZE, MAX_SIZE = 512, 2048
MAX_ITERATIONS = 1000
HINT = "The photograph, from which it begins: Paint turns it into a painting before your eyes."
PLOT_POINTS = 120  # a curve on the screen needs no more, and it is sent again with every preview
LOG_RATIO = round(math.log10(DEFAULTS["alpha"] / DEFAULTS["beta"]), 1)
PALETTE = ("#8a8178", "#4153b3", "#c2683a", "#5d8a66", "#a0528a", "#b08a1e", "#3d8a9c")


def available():
    """Always: the compact encoder is shipped."""
    return True


def run(content, style, style_2=None, style_3=None, style_4=None, weight_1=1.0, weight_2=1.0, weight_3=1.0, weight_4=1.0,
        log_ratio=LOG_RATIO, size=SIZE, own_size=False, preserve_color="off", stroke=1.0, color_strength=1.0,
        texture_strength=1.0, content_layer=DEFAULTS["content_layer"], style_layers=STYLE_LAYERS,
        iterations=DEFAULTS["iterations"], start=DEFAULTS["init"], optimizer=DEFAULTS["optimizer"],
        backbone=DEFAULTS["backbone"], seed=DEFAULTS["seed"], works=None, mask=None, soft_edges=0.01, loss=DEFAULTS["loss"]):
    """Optimise a picture towards a content's layout and the styles' textures (Gatys et al. 2016).

    Streams previews; the last one is the full picture. Returns the picture as a PNG file first.
    """
    with common.as_gradio_errors(), common.job_folder() as folder:
        photograph = common.photograph(content, size, own_size)
        pictures, weights, files = styles.load((style, style_2, style_3, style_4), (weight_1, weight_2, weight_3, weight_4),
                                               works, None)
        beta = DEFAULTS["alpha"] / 10 ** log_ratio
        record = settings.make(
            "gatys", files, weights, mask, alpha=DEFAULTS["alpha"], beta=beta, size=None if own_size else size,
            preserve_color=preserve_color, stroke=stroke, color_strength=color_strength, texture_strength=texture_strength,
            content_layer=content_layer, style_layers=style_layers, iterations=iterations, init=start, optimizer=optimizer,
            backbone=backbone, seed=seed, loss=loss)
        for status in steps.fetching(backbone, {content_layer, *style_layers}):
            yield result.working(status, more=1)
        final, history = photograph.picture.shape[2:], []
        with contextlib.closing(steps.paint(
                optimize, photograph.picture, pictures, style_weights=weights, beta=beta,
                masks=styles.masks(mask, len(pictures), soft_edges), stroke=stroke, preserve_color=preserve_color,
                color_strength=color_strength, texture_strength=texture_strength, content_layer=content_layer,
                style_layers=style_layers, iterations=iterations, init=start, optimizer=optimizer, backbone=backbone,
                seed=seed, loss=loss)) as painted:
            for status, step in painted:
                if step is None:
                    yield result.working(status, more=1)
                    continue
                history.append({"total": step.total, **step.losses})
                common.warn([step.message] if step.message else [])
                if status is not None:  # of the full size, so that what stands there after Stop is a result
                    yield *result.show(folder, f"gatys-{step.iteration:04d}", photograph, images.resize(step.image, final),
                                       status, record, step.done), _plot(history)


def _plot(history):
    """The losses so far as a plot of (iteration, log10 of the loss, which), thinned out, whatever terms there are."""
    every = math.ceil(len(history) / PLOT_POINTS)
    rows = [(i, math.log10(value), name) for i, losses in enumerate(history, 1) if i % every == 0 or i in (1, len(history))
            for name, value in losses.items() if value > 0]
    colors = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(history[-1])}
    return gr.LinePlot(pd.DataFrame(rows, columns=["iteration", "log10 loss", "loss"]), color_map=colors, visible=True)


def build(page):
    """The tab's components and events."""
    layers = layer_names(COMPACT["depths"])
    only = {name: OPTIONS[name]._replace(choices={n: n for n in layers}) for name in ("content_layer", "style_layers")}
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="pick"):
            gallery, found, style = styles.pick(page.opening.style)
            with styles.beside(style):
                log_ratio = gr.Slider(LOG_RATIO - 3, LOG_RATIO + 3, LOG_RATIO, step=0.1, label="Painting or photograph",
                                      info="Left: more of the painting. Right: more of the photograph. log₁₀(α/β)")
                iterations = common.slider(OPTIONS["iterations"], "Steps", 10, MAX_ITERATIONS, step=10,
                                           info="More are finer, and take longer")
            begin, stop = common.buttons("Paint")
        with gr.Column(elem_classes="result"):
            shown = result.build_before(page.opening, HINT)
            plot = gr.LinePlot(x="iteration", y="log10 loss", color="loss", height=300, x_axis_format="d",
                               y_axis_format=".1f", label="Losses", show_label=False, buttons=[],
                               visible=False)
        with gr.Column(elem_classes="more"):
            pictures, weights, works, pad, slot = styles.blend()
            mask, soft_edges = styles.where()
            look = common.look(OPTIONS, SIZE, MAX_SIZE)
            with gr.Accordion("Advanced", open=False):
                content_layer = common.choice(only["content_layer"], "Content layer", gr.Dropdown)
                style_layers = common.choice(only["style_layers"], "Style layers", gr.CheckboxGroup)
                with gr.Row():
                    init = common.choice(OPTIONS["init"], "Start from")
                    optimizer = common.choice(OPTIONS["optimizer"], "Optimiser")
                with gr.Row():
                    loss = common.choice(OPTIONS["loss"], "Loss")
                    backbone = common.choice(OPTIONS["backbone"], "Backbone")
                    seed = gr.Number(DEFAULTS["seed"], precision=0, minimum=OPTIONS["seed"].low,
                                     maximum=OPTIONS["seed"].high, label="Seed", info=OPTIONS["seed"].help)

    inputs = [page.content, style, *pictures, *weights, log_ratio, *look, content_layer, style_layers, iterations, init,
              optimizer, backbone, seed, works, mask, soft_edges, loss]
    gallery.select(styles.fill(found), [slot, style, *pictures], [style, *pictures], trigger_mode="multiple",
                   **common.QUIET)
    pad.release(styles.corners, pad, weights, trigger_mode="always_last", **common.QUIET)
    job = result.bind(begin.click, run, inputs, shown, stop, [plot], api_name="gatys", **turns.LONG)
    result.stops(stop, shown, [job])
    return dict(zip(common.LOOK, look), styles=[style, *pictures], weights=weights, log_ratio=log_ratio, iterations=iterations,
                content_layer=content_layer, style_layers=style_layers, init=init, optimizer=optimizer, backbone=backbone,
                seed=seed, loss=loss)
