"""The tab for AdaIN and WCT: any style at once."""

import time

import gradio as gr

from .. import weights
from ..arbitrary import METHODS, OPTIONS, WCT_LEVELS, stylize
from . import common, turns

TITLE = "Arbitrary style"
SIZE, MAX_SIZE = 768, 2048
METHOD, ALPHA = "wct", 0.6  # this keeps what a photograph shows and is a painting already
SHIPPED = "adain-decoder"


def available():
    """Always: what it needs is shipped."""
    return True


def run(content, style, style_2=None, style_3=None, style_4=None, weight_1=1.0, weight_2=1.0, weight_3=1.0, weight_4=1.0,
        method=METHOD, alpha=ALPHA, size=SIZE, preserve_color="off", wct_levels=WCT_LEVELS, decoder=SHIPPED):
    """Give a picture one style or a blend of several, by AdaIN or WCT. Returns the picture as a PNG file first."""
    start = time.perf_counter()
    with common.as_gradio_errors(), common.job_folder() as folder:
        content, styles, shares = common.load_pictures(
            content, (style, style_2, style_3, style_4), (weight_1, weight_2, weight_3, weight_4), size)
        other = weights.named(decoder, "adain") if method == "adain" and decoder != SHIPPED else None
        image = yield from turns.compute(common.telling, stylize, content, styles, shares, method, alpha, preserve_color,
                                         levels=wct_levels, decoder=other)
        yield common.show(folder, method, METHODS[method].title, content, image, time.perf_counter() - start)


def _decoders():
    """The list of AdaIN decoders, shown when there is a choice."""
    sources, problems = weights.catalog("adain")
    common.warn(problems)
    return gr.Dropdown([(f"{s.entry.title} ({s.label})", s.label) for s in sources], value=SHIPPED, visible=len(sources) > 1)


def build():
    """The tab's components and events."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                content = common.picture("Content")
                style = common.picture("Style")
            alpha = common.slider(OPTIONS["alpha"], "Strength α", value=ALPHA)
            method = common.choice(OPTIONS["method"], "Method", value=METHOD)
            preserve_color = common.choice(OPTIONS["preserve_color"], "Colours", gr.Dropdown)
            start = gr.Button("Stylise", variant="primary", size="lg")
            pictures, shares = common.more_styles()
            with gr.Accordion("Advanced", open=False):
                size = common.slider(OPTIONS["size"], "Long side, pixels", 128, MAX_SIZE, SIZE, 64)
                decoder = gr.Dropdown([SHIPPED], value=SHIPPED, visible=False, label="AdaIN decoder", allow_custom_value=True,
                                      info="Those of other repositories are fetched when they are first used")
                levels = common.choice(OPTIONS["levels"], "WCT levels", gr.CheckboxGroup)
        with gr.Column(scale=6, min_width=320):
            outputs = _, slider, _, _ = common.before_and_after()
    examples = common.examples(content, style)

    inputs = [content, style, *pictures, *shares, method, alpha, size, preserve_color, levels, decoder]
    # asked when somebody opens the page: the app starts without the network, however slow that is
    gr.on(None, _decoders, None, decoder, **common.QUIET)
    start.click(run, inputs, outputs, api_name="arbitrary", show_progress_on=slider, **turns.FAST)
    if examples:
        examples.load_input_event.then(run, inputs, outputs, show_progress_on=slider, **turns.FAST, **common.PRIVATE)
