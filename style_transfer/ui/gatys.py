"""The tab for Gatys's optimisation: a picture that paints itself, with its losses, to be stopped at any time."""

import contextlib
import math
import time

import gradio as gr
import pandas as pd

from .. import backbones, images, settings
from ..gatys import DEFAULTS, OPTIONS, STYLE_LAYERS, optimize
from ..networks.vgg import COMPACT, layer_names
from . import common, result, styles, turns

TITLE = "Gatys"
ABOUT = "The slowest and the best: the picture itself is painted step by step, and can be watched and stopped."
SIZE, MAX_SIZE = 512, 2048
MAX_ITERATIONS = 1000
PREVIEW_SECONDS = 0.8
HINT = "The photograph, from which it begins: Paint turns it into a painting before your eyes."
PLOT_POINTS = 120  # a curve on the screen needs no more, and it is sent again with every preview
LOG_RATIO = round(math.log10(DEFAULTS["alpha"] / DEFAULTS["beta"]), 1)
PALETTE = ("#8a8178", "#4153b3", "#c2683a", "#5d8a66", "#a0528a", "#b08a1e", "#3d8a9c")


def available():
    """Always: the compact encoder is shipped."""
    return True


class Clock:
    """How long a job still takes: seconds an iteration as measured at each scale, and as they grew for the finer ones."""

    GROWTH = 3.0  # from a scale to the next one, four times its pixels, before two scales have been seen

    def __init__(self, long_side):
        self.long_side, self.start, self.begun, self.paces = long_side, time.perf_counter(), {}, {}

    def elapsed(self):
        return time.perf_counter() - self.start

    def left(self, step):
        """Seconds after a `Step`; None after the first one, which loads things and says nothing of others."""
        here, now = max(step.image.shape[2:]), self.elapsed()
        begin, first = self.begun.setdefault(here, (now, step.iteration))
        if step.iteration > first:
            self.paces[here] = (now - begin) / (step.iteration - first)
        if step.done or not self.paces:
            return 0.0 if step.done else None
        *_, before, last = [None, *self.paces]
        growth = self.paces[last] / self.paces[before] if before else self.GROWTH
        count = round(math.log2(self.long_side / min(self.begun))) + 1
        share, current = step.iterations / count, len(self.begun)
        todo = [current * share - step.iteration] + [share] * (count - current)
        return sum(max(n, 0) * self.paces[last] * growth ** (k + current - len(self.paces)) for k, n in enumerate(todo))


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
        for status in fetching(backbone, {content_layer, *style_layers}):
            yield result.working(status, more=1)
        final = tuple(photograph.picture.shape[2:])
        with turns.Place(iterations * math.prod(final)) as place:
            while (before := place.ahead())[0]:
                yield result.working(turns.waiting(*before), more=1)
                time.sleep(turns.EVERY)
            clock, history, shown = Clock(max(final)), [], -math.inf
            for step in turns.iterate(
                    optimize, photograph.picture, pictures, style_weights=weights, beta=beta,
                    masks=styles.masks(mask, len(pictures), soft_edges), stroke=stroke, preserve_color=preserve_color,
                    color_strength=color_strength, texture_strength=texture_strength, content_layer=content_layer,
                    style_layers=style_layers, iterations=iterations, init=start, optimizer=optimizer, backbone=backbone,
                    seed=seed, loss=loss):
                if step is None:
                    yield result.working(gr.skip(), more=1)
                    continue
                history.append({"total": step.total, **step.losses})
                common.warn([step.message] if step.message else [])
                place.left, place.elapsed = clock.left(step), clock.elapsed()
                if not step.done and place.elapsed - shown < PREVIEW_SECONDS:
                    continue
                # of the full size, so that what stands there after Stop is a result
                image = images.resize(step.image, final)
                yield *result.show(folder, f"gatys-{step.iteration:04d}", photograph, image, progress_line(step, place),
                                   record, step.done), _plot(history)
                shown = clock.elapsed()


def _plot(history):
    """The losses so far as a plot of (iteration, log10 of the loss, which), thinned out, whatever terms there are."""
    every = math.ceil(len(history) / PLOT_POINTS)
    rows = [(i, math.log10(value), name) for i, losses in enumerate(history, 1) if i % every == 0 or i in (1, len(history))
            for name, value in losses.items() if value > 0]
    colors = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(history[-1])}
    return gr.LinePlot(pd.DataFrame(rows, columns=["iteration", "log10 loss", "loss"]), color_map=colors, visible=True)


def progress_line(step, place):
    """A bar and a sentence."""
    height, width = step.image.shape[2:]
    if step.done:
        return f"Done: {step.iteration} iterations, {width} × {height} pixels, {turns.duration(place.elapsed)}"
    left = "" if place.left is None else f", about {turns.duration(place.left)} left"
    return turns.bar(place.elapsed / (place.elapsed + (place.left or math.inf)),
                     f"Iteration {step.iteration} of {step.iterations}, at {width} × {height}, "
                     f"{turns.duration(place.elapsed)} elapsed{left}")


def fetching(backbone, layers):
    """The status while a full backbone arrives, and once before."""
    yield ""
    if backbones.present(backbone, layers):
        return
    shown = 0.0
    with contextlib.closing(backbones.download(backbone, layers)) as parts:
        for done, total in parts:
            if time.perf_counter() - shown > PREVIEW_SECONDS:
                shown = time.perf_counter()
                yield turns.bar(done / total, f"Fetching {backbone}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")


def build(page):
    """The tab's components and events."""
    layers = layer_names(COMPACT["depths"])
    only = {name: OPTIONS[name]._replace(choices={n: n for n in layers}) for name in ("content_layer", "style_layers")}
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="pick"):
            gallery, found, style = styles.pick(page.opening.style)
            with gr.Row():
                with gr.Column(min_width=140):
                    style.render()
                with gr.Column(min_width=140):
                    log_ratio = gr.Slider(LOG_RATIO - 3, LOG_RATIO + 3, LOG_RATIO, step=0.1, label="Painting or photograph",
                                          info="Left: more of the painting. Right: more of the photograph. log₁₀(α/β)")
                    iterations = common.slider(OPTIONS["iterations"], "Steps", 10, MAX_ITERATIONS, step=10,
                                               info="More are finer, and take longer")
            begin, stop = common.buttons("Paint")
        with gr.Column(elem_classes="result"):
            first = page.opening.arbitrary and page.opening.arbitrary[0][0]
            shown = result.build((first, first) if first else None, HINT if first else "", done=False)
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
