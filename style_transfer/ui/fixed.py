"""The tab for fixed styles: a gallery, each style a network of its own."""

import html
import time
from pathlib import Path

import gradio as gr

from .. import checkpoints, hub, images, networks, weights
from ..errors import InputError, StyleTransferError
from ..fixed import OPTIONS, mix, outputs
from . import common, turns

TITLE = "Fixed styles"
SIZE, MAX_SIZE = 768, 2048
MAX_BATCH = 30


def _sorted(sources):
    return sorted(sources, key=lambda source: source.entry.title)


def available():
    """Whether there is anything to show."""
    return bool(hub.repositories() or weights.installed(*networks.FIXED)[0])


def _title(path):
    return checkpoints.describe(path).get("title") or path.stem


def _stages(pictures, folder):
    """What the subnets of Multimodal Transfer made, and what each changed: (file, caption) for a gallery."""
    names = ("Style", "Enhance", "Refine")
    shown = [(f"{name} subnet, {max(x.shape[2:])} pixels", x) for name, x in zip(names, pictures)]
    for name, before, after in zip(names[1:], pictures, pictures[1:]):
        change = after - images.resize(before, after.shape[2:])
        shown.append((f"What the {name.lower()} subnet changed, around grey", (0.5 + change).clamp(0, 1)))
    files = [Path(folder, f"{number}.png") for number in range(len(shown))]
    for file, (_, picture) in zip(files, shown):
        images.save(picture, file)
    return [(str(file), caption) for file, (caption, _) in zip(files, shown)]


def run(content, style, strength=1.0, size=SIZE, preserve_color="off"):
    """Paint a picture in a style that a network was trained for. Returns the picture as a PNG file first."""
    with common.as_gradio_errors(), common.job_folder() as folder:
        content, network = common.load_content(content, size), weights.named(style, *networks.FIXED)
        start = time.perf_counter()
        pictures = yield from turns.compute(lambda status: (*common.telling(status), gr.skip()), outputs, content, network)
        image = mix(content, pictures[-1], strength, preserve_color)
        shown = common.show(folder, network.stem, _title(network), content, image, time.perf_counter() - start)
        several = len(pictures) > 1
        yield *shown, gr.Gallery(_stages(pictures, folder) if several else [], visible=several)


def choose(event: gr.SelectData, labels):
    """The name of the style that was clicked in the gallery."""
    if type(event.index) is int and 0 <= event.index < len(labels):
        return labels[event.index]
    raise gr.Error("There is no such style in the gallery: choose another one.", print_exception=False)


def run_if_ready(content, style, *options):
    """`run` for a click on a style, which may come before there is a photograph."""
    if content:
        yield from run(content, style, *options)
        return
    with common.as_gradio_errors():
        title = html.escape(_title(weights.named(style, *networks.FIXED)))
    gr.Info(f"{title} is chosen: now choose the photograph to be painted, or one of the examples below.")
    yield gr.skip(), gr.skip(), f"{title} is chosen: a photograph is missing", gr.skip(), gr.skip()


def run_batch(files, style, strength, size, preserve_color):
    """The same for several pictures: each appears when it is ready; one that cannot be read is told and left out."""
    with common.as_gradio_errors(), common.job_folder() as folder:
        if not files:
            raise InputError("There are no photographs yet: choose several to be painted.")
        network, done, files = weights.named(style, *networks.FIXED), [], files[:MAX_BATCH]
        yield gr.Gallery([], visible=True), f"0 of {len(files)} pictures"
        for number, file in enumerate(files, 1):
            try:
                content = common.load(file, size)
                pictures = yield from turns.compute(lambda status: (gr.skip(), status), outputs, content, network)
                image = mix(content, pictures[-1], strength, preserve_color)
            except (StyleTransferError, gr.Error) as error:
                common.warn([f"{Path(file).name}: {error}"])
                continue
            target = Path(folder, f"{number:02d}-{Path(file).stem}.png")
            images.save(image, target)
            done.append((str(target), Path(file).stem))
            yield gr.Gallery(done), f"{len(done)} of {len(files)} pictures"


def _gallery(sources):
    """([(tile, title)], [(title, label)] for the list of names, [label of each tile])."""
    tiles = {source.label: tile for source in sources if (tile := source.tile())}
    titles = {source.label: source.entry.title for source in sources}
    return ([(str(tile), titles[label]) for label, tile in tiles.items()], [(title, label) for label, title in titles.items()],
            list(tiles))


def _catalog():
    """The gallery and the list of names, of what is here and in the repositories."""
    sources, problems = weights.catalog(*networks.FIXED)
    common.warn(problems)
    tiles, choices, labels = _gallery(_sorted(sources))
    return gr.Gallery(tiles), gr.Dropdown(choices), labels


def build():
    """The tab's components and events."""
    tiles, choices, labels = _gallery(_sorted(weights.installed(*networks.FIXED)[0]))
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            content = common.picture("Content")
            gallery = gr.Gallery(tiles, label="Styles", columns=4, height="auto", object_fit="cover", allow_preview=False,
                                 buttons=[], elem_classes="styles")
            shown = gr.State(labels)
            style = gr.Dropdown(choices, value=choices[0][1] if choices else None, label="Style", allow_custom_value=True,
                                info="Those of other repositories are fetched when they are first used")
            strength = common.slider(OPTIONS["strength"], "Strength")
            start = gr.Button("Paint", variant="primary", size="lg")
            with gr.Accordion("Advanced", open=False):
                size = common.slider(OPTIONS["size"], "Long side, pixels", 128, MAX_SIZE, SIZE, 64)
                preserve_color = common.choice(OPTIONS["preserve_color"], "Colours", gr.Dropdown)
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
    examples = common.examples(content)

    inputs = [content, style, strength, size, preserve_color]
    if hub.repositories():  # asked when somebody opens the page: the app starts without the network
        gr.on(None, _catalog, None, [gallery, style, shown], **common.QUIET)
    start.click(run, inputs, results, api_name="fixed", show_progress_on=slider, **turns.FAST)
    # a click on a style or on an example is enough once there is a photograph; of several quick ones the last one counts
    chosen = gallery.select(choose, shown, style, trigger_mode="multiple", **common.QUIET)
    chosen.then(run_if_ready, inputs, results, trigger_mode="always_last", show_progress_on=slider, **turns.FAST,
                **common.PRIVATE)
    if examples:
        examples.load_input_event.then(run, inputs, results, show_progress_on=slider, **turns.FAST, **common.PRIVATE)
    start_all.click(run_batch, [files, *inputs[1:]], [painted, status], show_progress_on=painted, **turns.MANY,
                    **common.PRIVATE)
