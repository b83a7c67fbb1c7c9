"""The tab for AdaIN and WCT: any style at once."""

import time
from pathlib import Path

import gradio as gr

from .. import images, settings, weights
from ..arbitrary import CASCADE_LEVELS, METHODS, OPTIONS, grid, stylize
from ..errors import InputError
from . import batch, common, result, styles, turns

TITLE = "Arbitrary style"
ABOUT = "Any painting or pattern, at once. AdaIN is the fastest, WCT gives stronger textures."
SIZE, MAX_SIZE = 768, 4096
METHOD = "wct"
SHIPPED = "adain-decoder"
TILE = 256  # pixels of the long side of one of the 5 x 5 blends


def available():
    """Always: what it needs is shipped."""
    return True


def run(content, style, style_2=None, style_3=None, style_4=None, weight_1=1.0, weight_2=1.0, weight_3=1.0, weight_4=1.0,
        method=METHOD, alpha=1.0, size=SIZE, own_size=False, preserve_color="off", stroke=1.0, color_strength=1.0,
        texture_strength=1.0, wct_levels=CASCADE_LEVELS, decoder=SHIPPED, works=None, mask=None, soft_edges=0.01):
    """Give a picture one style or a blend of several, by AdaIN or WCT. Returns the picture as a PNG file first."""
    start = time.perf_counter()
    with common.as_gradio_errors(), common.job_folder() as folder:
        photograph = common.photograph(content, size, own_size)
        pictures, shares, files = styles.load((style, style_2, style_3, style_4), (weight_1, weight_2, weight_3, weight_4), 
                                              works, SIZE)
        other = weights.named(decoder, "adain") if method == "adain" and decoder != SHIPPED else None
        image = yield from turns.compute(
            result.working, stylize, photograph.picture, pictures, shares, method, alpha, preserve_color,
            styles.masks(mask, len(pictures), soft_edges), stroke=stroke, color_strength=color_strength,
            texture_strength=texture_strength, levels=wct_levels, decoder=other)
        record = settings.make(
            method, files, shares, mask, decoder if other else None, alpha=alpha, size=None if own_size else size,
            preserve_color=preserve_color, stroke=stroke, color_strength=color_strength, texture_strength=texture_strength,
            **({"levels": wct_levels} if "levels" in settings.OPTIONS[method] else {}))
        status = result.status(METHODS[method].title, image, time.perf_counter() - start)
        yield result.show(folder, method, photograph, image, status, record)


def run_grid(content, style, style_2, style_3, style_4, method, alpha, works):
    """All blends between four styles, 5 by 5, as one picture: (picture, download button)."""
    with common.as_gradio_errors(), common.job_folder() as folder:
        photograph = common.photograph(content, TILE)
        if not (style and style_2 and style_3 and style_4):
            raise InputError("The table goes from four styles in its corners: choose the ones that are missing.")
        pictures, *_ = styles.load((style, style_2, style_3, style_4), (1, 1, 1, 1), works, SIZE)
        image = yield from turns.compute(lambda status: (gr.skip(), gr.skip(), status), grid, photograph.picture, pictures,
                                         method, alpha)
        path = Path(folder, "blends.png")
        images.save(image, path)
        yield str(path), gr.DownloadButton(value=str(path), visible=True), "All blends of four styles"


def _decoders(_):
    """The list of AdaIN decoders, shown when there is a choice."""
    sources, problems = weights.catalog("adain")
    common.warn(problems)
    return gr.Dropdown([(f"{s.entry.title} ({s.label})", s.label) for s in sources], visible=len(sources) > 1)


def build(page):
    """The tab's components and events."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="pick"):
            gallery, found, style = styles.pick(page.opening.style)
            with styles.beside(style):
                method = common.choice(OPTIONS["method"], "Method", gr.Dropdown, value=METHOD, info=None)
                alpha = common.slider(OPTIONS["alpha"], "Strength (α)", info=None)
            start, stop = common.buttons("Paint")
        with gr.Column(elem_classes="result"):
            shown = result.build(*page.opening.arbitrary)
        with gr.Column(elem_classes="more"):
            pictures, shares, works, pad, slot = styles.blend()
            mask, soft_edges = styles.where()
            look = common.look(OPTIONS, SIZE, MAX_SIZE)
            with gr.Accordion("Advanced", open=False):
                levels = common.choice(OPTIONS["levels"], "Levels of WCT, level by level", gr.CheckboxGroup)
                decoder = gr.Dropdown([SHIPPED], value=SHIPPED, visible=False, label="AdaIN decoder", allow_custom_value=True,
                                      info="Those of other repositories are fetched when they are first used")
            with gr.Accordion("All blends of four paintings", open=False):
                start_grid = gr.Button("Paint the table of blends")
                table = gr.Image(label="5 x 5 blends", type="filepath", format="png", interactive=False, buttons=["fullscreen"])
                download = gr.DownloadButton("Download the table", visible=False)

            inputs = [page.content, style, *pictures, *shares, method, alpha, *look, levels, decoder, works, mask, soft_edges]
            batch.build(run, inputs)

    # asked when somebody opens the page or has added something: the app starts without the network, however slow that is
    gr.on(None, _decoders, page.visit, decoder, **common.QUIET)
    jobs = [result.bind(start.click, run, inputs, shown, stop, api_name="arbitrary", **turns.FAST)]
    chosen = gallery.select(styles.fill(found), [slot, style, *pictures], [style, *pictures], trigger_mode="multiple",
                            **common.QUIET)
    jobs.append(result.bind(chosen.then, run, inputs, shown, stop, trigger_mode="always_last", **turns.FAST))
    moved = pad.release(styles.corners, pad, shares, trigger_mode="always_last", **common.QUIET)
    jobs.append(result.bind(moved.then, run, inputs, shown, stop, trigger_mode="always_last", **turns.FAST))
    jobs.append(start_grid.click(run_grid, [page.content, style, *pictures, method, alpha, works], [table, download, shown[2]],
                                 show_progress_on=table, **turns.MANY, **common.PRIVATE))
    result.stops(stop, shown, jobs)
    return dict(zip(common.LOOK, look), styles=[style, *pictures], weights=shares, method=method, alpha=alpha, levels=levels,
                decoder=decoder)
