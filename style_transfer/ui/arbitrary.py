"""The tab for AdaIN and WCT: any style at once."""

import html
import time
from pathlib import Path

import gradio as gr

from .. import images
from ..arbitrary import LEVELS, WCT_LEVELS, stylize
from ..weights import catalog, named
from . import common

MAX_SIZE = 2048
METHODS = {"adain": "AdaIN", "wct": "WCT"}
SHIPPED = "adain-decoder"
ALPHA = 0.6  # WCT keeps what a photograph shows and is a painting already
COLORS = [("The style's", "off"), ("The photograph's, by luminance", "luminance"),
          ("Style matched to the photograph", "match")]


@common.on_gpu(duration=30)
def _stylize(*arguments, **options):
    with common.sentences():  # here, because only Gradio's own errors come back from ZeroGPU's processes
        return stylize(*arguments, **options)


def run(content, style, style_2=None, style_3=None, style_4=None, weight_1=1.0, weight_2=1.0, weight_3=1.0,
        weight_4=1.0, method="wct", alpha=ALPHA, size=768, preserve_color="off",
        wct_levels=WCT_LEVELS, decoder=SHIPPED, progress=gr.Progress(track_tqdm=True)):  # noqa: B008
    """Give a picture one style or a blend of several, by AdaIN or WCT. Returns the picture as a PNG file first."""
    start = time.perf_counter()
    with common.sentences(), common.job_folder() as folder:
        size = int(size)
        content, styles, weights = common.load_pictures(
            content, (style, style_2, style_3, style_4), (weight_1, weight_2, weight_3, weight_4), size)
        other = named(decoder, "adain") if method == "adain" and decoder != SHIPPED else None
        image = _stylize(content, styles, weights, method, alpha, preserve_color,
                         levels=wct_levels, decoder=other)
        before, after = Path(folder, "photograph.png"), Path(folder, f"{method}.png")
        images.save(content, before)
        images.save(image, after)
        height, width = image.shape[2:]
        status = f"{METHODS[method]}, {width} × {height} pixels, {time.perf_counter() - start:.1f} s"
        yield str(after), (str(before), str(after)), status, gr.Row(visible=True)


def _decoders():
    """The list of AdaIN decoders, shown when there is a choice."""
    sources, problems = catalog("adain")
    for problem in problems:
        gr.Warning(html.escape(problem))
    labels = [source.label for source in sources] or [SHIPPED]
    return gr.Dropdown([(f"{s.entry.title} ({s.label})", s.label) for s in sources], value=SHIPPED, visible=len(labels) > 1)


def build():
    """The tab's components and events."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                content = common.picture("Content")
                style = common.picture("Style")
            alpha = gr.Slider(0, 1, ALPHA, step=0.05, label="Strength α",
                              info="1 takes on the style in full, 0 only rebuilds the photograph")
            with gr.Row():
                method = gr.Radio([(title, name) for name, title in METHODS.items()], value="wct",
                                  label="Method", min_width=140)
                preserve_color = gr.Dropdown(COLORS, value="off", label="Colours", min_width=140)
            start = gr.Button("Stylise", variant="primary", size="lg")
            pictures, weights = common.more_styles()
            with gr.Accordion("Advanced", open=False):
                size = gr.Slider(128, MAX_SIZE, 768, step=64, label="Long side, pixels")
                decoder = gr.Dropdown([SHIPPED], value=SHIPPED, visible=False, label="AdaIN decoder", allow_custom_value=True,
                                      info="Those of other repositories are fetched when they are first used")
                levels = gr.CheckboxGroup([(f"relu{n}_1", n) for n in LEVELS], value=list(WCT_LEVELS), label="WCT levels",
                                          info="Deep levels carry composition, shallow ones colour and grain")
        with gr.Column(scale=6, min_width=320):
            outputs = _, slider, _, _ = common.before_and_after()
    examples = common.examples(content, style)

    inputs = [content, style, *pictures, *weights, method, alpha, size, preserve_color, levels, decoder]
    # asked when somebody opens the page: the app starts without the network, however slow that is
    gr.on(None, _decoders, None, decoder, queue=False, show_progress="hidden", **common.PRIVATE)
    start.click(run, inputs, outputs, api_name="arbitrary", show_progress_on=slider, **common.HEAVY)
    if examples:
        examples.load_input_event.then(run, inputs, outputs, show_progress_on=slider, **common.HEAVY,
                                       **common.PRIVATE)
