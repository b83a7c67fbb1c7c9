"""The tab for fixed styles: a gallery, each style a network of its own."""

import html
import inspect
import time
from pathlib import Path

import gradio as gr

from .. import hub, images, weights
from ..errors import InputError, StyleTransferError
from ..fixed import mix, outputs, stylize
from ..networks import FIXED
from . import common

MAX_SIZE = 2048
MAX_BATCH = 30
DEFAULTS = {name: p.default for name, p in inspect.signature(stylize).parameters.items()}
COLORS = [("The style's", "off"), ("The photograph's, by luminance", "luminance"), ("Matched to the photograph's", "match")]


def _catalog():
    sources, problems = weights.catalog()
    return sorted((s for s in sources if s.entry.family in FIXED), key=lambda s: s.entry.title), problems


def any_style():
    """Whether there is anything to show."""
    return bool(hub.repositories() or _installed())


def _installed():
    return sorted((s for s in weights.installed()[0] if s.entry.family in FIXED), key=lambda s: s.entry.title)


@common.on_gpu(duration=30)
def _outputs(content, network):
    with common.sentences():  # here, because only Gradio's own errors come back from ZeroGPU's processes
        return outputs(content, network)


def _stages(pictures, folder):
    """What Multimodal Transfer's three subnets made, and what each changed: (file, caption) for a gallery."""
    names = ("Style", "Enhance", "Refine")
    shown = [(f"{name} subnet, {max(x.shape[2:])} pixels", x) for name, x in zip(names, pictures)]
    for name, before, after in zip(names[1:], pictures, pictures[1:]):
        change = after - images.resize(before, after.shape[2:])
        shown.append((f"What the {name.lower()} subnet changed, around grey", (0.5 + change).clamp(0, 1)))
    files = [Path(folder, f"{number}.png") for number in range(len(shown))]
    for file, (_, picture) in zip(files, shown):
        images.save(picture, file)
    return [(str(file), caption) for file, (caption, _) in zip(files, shown)]


def run(content, style, strength=DEFAULTS["strength"], size=768, preserve_color="off",
        progress=gr.Progress(track_tqdm=True)):  # noqa: B008
    """Paint a picture in a style that a network was trained for. Returns the picture as a PNG file first."""
    with common.sentences(), common.job_folder() as folder:
        if not content:
            raise InputError("There is no content picture yet: choose the photograph to be painted.")
        content, network = images.load(content, int(size)), weights.named(style, *FIXED)
        start = time.perf_counter()
        pictures = _outputs(content, network)
        image = mix(content, pictures[-1], strength, preserve_color)
        seconds = time.perf_counter() - start
        before, after = Path(folder, "photograph.png"), Path(folder, f"{Path(network).stem}.png")
        images.save(content, before)
        images.save(image, after)
        height, width = image.shape[2:]
        several = len(pictures) > 1
        stages = gr.Gallery(_stages(pictures, folder) if several else [], visible=several)
        yield (str(after), (str(before), str(after)), f"{width} × {height} pixels, {seconds:.2f} s", gr.Row(visible=True),
               stages)


def run_if_ready(content, *others):
    """`run` for a click on a style, which may come before there is a photograph."""
    if content:
        yield from run(content, *others)
    else:
        yield [gr.skip()] * 5


def run_batch(files, style, strength, size, preserve_color):
    """The same for several pictures: each appears when it is ready; one that cannot be read is told and left out."""
    with common.sentences(), common.job_folder() as folder:
        if not files:
            raise InputError("There are no photographs yet: choose several to be painted.")
        network, done = weights.named(style, *FIXED), []
        for number, file in enumerate(files[:MAX_BATCH]):
            try:
                content = images.load(file, int(size))
                image = mix(content, _outputs(content, network)[-1], strength, preserve_color)
            except (StyleTransferError, gr.Error) as error:
                gr.Warning(html.escape(f"{Path(file).name}: {error}"))
                continue
            target = Path(folder, f"{number + 1:02d}-{Path(file).stem}.png")
            images.save(image, target)
            done.append((str(target), Path(file).stem))
            yield done, f"{len(done)} of {min(len(files), MAX_BATCH)} pictures"


def _gallery():
    """The gallery and the list of names, of what is here and in the repositories."""
    sources, problems = _catalog()
    for problem in problems:
        gr.Warning(html.escape(problem))
    tiles = [(str(tile), source.entry.title) for source in sources if (tile := source.tile())]
    choices = [(source.entry.title, source.label) for source in sources]
    return gr.Gallery(tiles), gr.Dropdown(choices), [source.label for source in sources if source.tile()]


def build():
    """The tab's components and events."""
    styles = _installed()
    labels = [s.label for s in styles]
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            content = common.picture("Content")
            gallery = gr.Gallery([(str(t), s.entry.title) for s in styles if (t := s.tile())], label="Styles", columns=4,
                                 height=300, object_fit="cover", allow_preview=False, buttons=[], elem_classes="styles")
            shown = gr.State([s.label for s in styles if s.tile()])
            style = gr.Dropdown([(s.entry.title, s.label) for s in styles], value=labels[0] if labels else None,
                                label="Style", allow_custom_value=True)
            strength = gr.Slider(0, 1, DEFAULTS["strength"], step=0.05, label="Strength",
                                 info="1 is the network's picture, 0 the photograph")
            start = gr.Button("Paint", variant="primary", size="lg")
            with gr.Accordion("Advanced", open=False):
                size = gr.Slider(128, MAX_SIZE, 768, step=64, label="Long side, pixels")
                preserve_color = gr.Dropdown(COLORS, value="off", label="Colours")
            with gr.Accordion("Several photographs", open=False):
                files = gr.File(file_count="multiple", file_types=["image"], height=120,
                                label=f"Photographs, {MAX_BATCH} at most")
                start_all = gr.Button("Paint all")
        with gr.Column(scale=6, min_width=320):
            results = _, slider, status, _ = common.before_and_after()
            results.append(gr.Gallery(label="The three outputs of Multimodal Transfer", columns=3, height="auto", format="png",
                                      visible=False, buttons=["fullscreen", "download"]))
            painted = gr.Gallery(label="Painted", columns=3, height="auto", format="png", visible=False,
                                 buttons=["download", "download_all"])
    examples = common.photographs(content)

    inputs = [content, style, strength, size, preserve_color]
    if hub.repositories():  # asked when somebody opens the page: the app starts without the network
        gr.on(None, _gallery, None, [gallery, style, shown], queue=False, show_progress="hidden", **common.PRIVATE)
    start.click(run, inputs, results, api_name="fixed", show_progress_on=slider, **common.HEAVY)

    def choose(labels, event: gr.SelectData):
        return labels[event.index]

    chosen = gallery.select(choose, shown, style, queue=False, show_progress="hidden", **common.PRIVATE)
    # a click on a style or on an example is enough, once there is a photograph
    chosen.then(run_if_ready, inputs, results, show_progress_on=slider, **common.HEAVY, **common.PRIVATE)
    if examples:
        examples.load_input_event.then(run, inputs, results, show_progress_on=slider, **common.HEAVY, **common.PRIVATE)
    opened = start_all.click(lambda: gr.Gallery(visible=True), None, painted, queue=False, show_progress="hidden",
                             **common.PRIVATE)
    opened.then(run_batch, [files, *inputs[1:]], [painted, status], show_progress_on=painted, **common.HEAVY, **common.PRIVATE)
