"""The tab for fixed styles: a gallery, each style a network of its own."""

import html
import time
from functools import partial
from pathlib import Path

import gradio as gr

from .. import checkpoints, hub, images, networks, weights
from ..fixed import OPTIONS, mix, outputs, stylize
from . import common, models, result, styles, turns

TITLE = "Fixed styles"
ABOUT = "Paintings that have a network of their own: the fastest, and each stroke in its place."
SIZE, MAX_SIZE = 768, 4096


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


def run(content, style, strength=1.0, size=SIZE, own_size=False, preserve_color="off", stroke=1.0, color_strength=1.0,
        texture_strength=1.0, mask=None, soft_edges=0.01, visit=None):
    """Paint a picture in a style that a network was trained for. Returns the picture as a PNG file first."""
    start = time.perf_counter()
    with common.as_gradio_errors(), common.job_folder() as folder:
        photograph, network = common.photograph(content, size, own_size), models.named(style, visit)
        image, pictures = yield from turns.compute(
            partial(result.working, more=1), paint, photograph.picture, network, strength, preserve_color,
            styles.masks(mask, 1, soft_edges), stroke, color_strength, texture_strength)
        status = result.status(_title(network), image, time.perf_counter() - start)
        several = len(pictures) > 1
        yield *result.show(folder, network.stem, photograph, image, status), gr.Gallery(
            _stages(pictures, folder) if several else [], visible=several)


def paint(content, network, strength, preserve_color, masks, stroke, color_strength, texture_strength):
    """(`fixed.stylize`'s picture, all outputs of the network): those it was made of where nothing asks for others."""
    if masks is None and stroke == 1:
        pictures = outputs(content, network)
        return mix(content, pictures[-1], strength, preserve_color, color_strength, texture_strength), pictures
    return stylize(content, network, strength, preserve_color, masks, stroke=stroke, color_strength=color_strength,
                   texture_strength=texture_strength), []


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
        title = html.escape(_title(models.named(style, options[-1])))
    gr.Info(f"{title} is chosen: now choose the photograph to be painted, or one of the examples.")
    yield *result.working(f"{title} is chosen: a photograph is missing")[:4], gr.Button(interactive=False), gr.skip()


def _gallery(sources):
    """([(tile, title)], [(title, label)] for the list of names, [label of each tile])."""
    tiles = {source.label: tile for source in sources if (tile := source.tile())}
    titles = {source.label: source.entry.title for source in sources}
    return ([(str(tile), titles[label]) for label, tile in tiles.items()], [(title, label) for label, title in titles.items()],
            list(tiles))


def _catalog(visit):
    """The gallery and the list of names, of what is here, in the repositories and, in the list, the visitor's own."""
    sources, problems = weights.catalog(*networks.FIXED)
    common.warn(problems)
    tiles, choices, labels = _gallery(_sorted(sources))
    return gr.Gallery(tiles), gr.Dropdown(models.own_choices(visit) + choices), labels


def build(page):
    """The tab's components and events."""
    tiles, choices, labels = _gallery(_sorted(weights.installed(*networks.FIXED)[0]))
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="pick"):
            gallery = common.gallery(tiles, "Paintings that have a network of their own", elem_classes=["styles", "strip"])
            shown = gr.State(labels)
            with gr.Row():
                style = gr.Dropdown(choices, value=choices[0][1] if choices else None, label="Style", allow_custom_value=True,
                                    min_width=140)
                strength = common.slider(OPTIONS["strength"], "Strength", info=None)
            start, stop = common.buttons("Paint")
        with gr.Column(elem_classes="result"):
            results = result.build()
            stages = gr.Gallery(label="The three outputs of Multimodal Transfer", columns=3, height="auto", format="png",
                                visible=False, buttons=["fullscreen", "download"])
        with gr.Column(elem_classes="more"):
            mask, soft_edges = styles.where(page.content)
            look = common.look(OPTIONS, SIZE, MAX_SIZE)

    inputs = [page.content, style, strength, *look, mask, soft_edges, page.visit]
    # asked when somebody opens the page or has added something: the app starts without the network
    gr.on(None, _catalog, page.visit, [gallery, style, shown], **common.QUIET)
    jobs = [result.bind(start.click, run, inputs, results, stop, [stages], api_name="fixed", **turns.FAST)]
    # a click on a style is enough once there is a photograph; of several quick ones the last one counts
    chosen = gallery.select(choose, shown, style, trigger_mode="multiple", **common.QUIET)
    jobs.append(result.bind(chosen.then, run_if_ready, inputs, results, stop, [stages], trigger_mode="always_last",
                            **turns.FAST))
    result.stops(stop, results, jobs)
