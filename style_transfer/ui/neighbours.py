"""The tab for neural neighbours: strokes that follow the forms, painted coarse to fine, to be stopped at any time."""

import contextlib

import gradio as gr

from .. import images, settings
from ..neighbours import DEEPEST, DEFAULTS, OPTIONS, optimize
from . import common, result, steps, styles, turns

TITLE = "Neighbours"
ABOUT = "As slow as Gatys, with clearer forms: each place is painted by what in the painting is most like it."
SIZE, MAX_SIZE = 512, 2048
MAX_ITERATIONS = 1000
HINT = "The photograph, from which it begins: Paint turns it into a painting, from large forms to fine strokes."


def available():
    """Always: the compact encoder is shipped."""
    return True


def run(content, style, style_2=None, style_3=None, style_4=None, alpha=DEFAULTS["alpha"], size=SIZE, own_size=False,
        preserve_color="off", stroke=1.0, color_strength=1.0, texture_strength=1.0, iterations=DEFAULTS["iterations"],
        backbone=DEFAULTS["backbone"], mask=None, soft_edges=0.01):
    """Optimise a picture until its features are the styles' nearest to the content's (Kolkin et al. 2022).

    Streams previews; the last one is the full picture. Returns the picture as a PNG file first.
    """
    with common.as_gradio_errors(), common.job_folder() as folder:
        photograph = common.photograph(content, size, own_size)
        given = (style, style_2, style_3, style_4)
        pictures, _, files = styles.load(given, [1.0] * len(given), None, None)
        options = dict(alpha=alpha, preserve_color=preserve_color, stroke=stroke, color_strength=color_strength,
                       texture_strength=texture_strength, iterations=iterations, backbone=backbone)
        record = settings.make("neighbours", files, None, mask, size=None if own_size else size, **options)
        for status in steps.fetching(backbone, {DEEPEST}):
            yield result.working(status)
        final = photograph.picture.shape[2:]
        with contextlib.closing(steps.paint(optimize, photograph.picture, pictures,
                                            masks=styles.masks(mask, len(pictures), soft_edges), **options)) as painted:
            for status, step in painted:
                if step is None:
                    yield result.working(status)
                elif status is not None:  # of the full size, so that what stands there after Stop is a result
                    yield result.show(folder, f"neighbours-{step.iteration:04d}", photograph, images.resize(step.image, final),
                                      status, record, step.done)


def build(page):
    """The tab's components and events."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="pick"):
            gallery, found, style = styles.pick(page.opening.style)
            with styles.beside(style):
                iterations = common.slider(OPTIONS["iterations"], "Steps", 10, MAX_ITERATIONS, step=10,
                                           info="More are finer, and take longer")
            begin, stop = common.buttons("Paint")
        with gr.Column(elem_classes="result"):
            shown = result.build_before(page.opening, HINT)
        with gr.Column(elem_classes="more"):
            pictures, slot = styles.several()
            mask, soft_edges = styles.where()
            look = common.look(OPTIONS, SIZE, MAX_SIZE)
            with gr.Accordion("Advanced", open=False):
                alpha = common.slider(OPTIONS["alpha"], "By the photograph or by the strokes so far")
                backbone = common.choice(OPTIONS["backbone"], "Backbone")

    inputs = [page.content, style, *pictures, alpha, *look, iterations, backbone, mask, soft_edges]
    gallery.select(styles.fill(found), [slot, style, *pictures], [style, *pictures], trigger_mode="multiple", **common.QUIET)
    job = result.bind(begin.click, run, inputs, shown, stop, api_name="neighbours", **turns.LONG)
    result.stops(stop, shown, [job])
    return dict(zip(common.LOOK, look), styles=[style, *pictures], alpha=alpha, iterations=iterations, backbone=backbone)
