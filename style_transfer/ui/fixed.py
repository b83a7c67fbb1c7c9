"""The tab for fixed styles: a gallery, each style a network of its own."""

import html
import time
from functools import partial
from pathlib import Path

import gradio as gr

from .. import checkpoints, hub, images, networks, settings, weights
from ..fixed import OPTIONS, mix, outputs, stylize
from ..options import Option
from . import batch, common, models, opening, result, styles, turns

TITLE = "Fixed styles"
ABOUT = "Paintings that have a network of their own: the fastest, and each stroke in its place."
SIZE, MAX_SIZE = 768, 4096
NONE = ("None", "")  # of the other style's choices
SHARE = Option(0.5, "Part of the other style.", 0.0, 1.0)


def by_title(sources):
    return sorted(sources, key=lambda source: source.entry.title)


def available():
    """Whether there is anything to show."""
    return bool(hub.repositories() or weights.installed(*networks.FIXED)[0])


def _title(path):
    return checkpoints.describe(path).get("title") or path.stem


def blended(style, other, share):
    """(names, weights) of a style, or of its blend with another."""
    share = SHARE.check("share", share) if other else 0.0
    return ([style, other], [1 - share, share]) if share else ([style], None)


def called(paths, weights):
    """What one style is called, or several with their shares."""
    titles = [_title(path) for path in paths]
    return " + ".join(f"{title} {weight:.0%}" for title, weight in zip(titles, weights)) if weights else titles[0]


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
        texture_strength=1.0, mask=None, soft_edges=0.01, other=None, share=0.5, visit=None):
    """Paint a picture in a style that a network was trained for, or in a blend with another. Returns the PNG file first."""
    start = time.perf_counter()
    with common.as_gradio_errors(), common.job_folder() as folder:
        names, weights = blended(style, other, share)
        photograph, several = common.photograph(content, size, own_size), [models.named(name, visit) for name in names]
        image, pictures = yield from turns.compute(
            partial(result.working, more=1), paint, photograph.picture, several, weights, strength, preserve_color,
            styles.masks(mask, 1, soft_edges), stroke, color_strength, texture_strength)
        status = result.status(called(several, weights), image, time.perf_counter() - start)
        record = settings.make("fixed", names, weights, mask, strength=strength, size=None if own_size else size,
                               preserve_color=preserve_color, stroke=stroke, color_strength=color_strength,
                               texture_strength=texture_strength)
        staged = len(pictures) > 1
        yield *result.show(folder, "-".join(path.stem for path in several), photograph, image, status, record), gr.Gallery(
            _stages(pictures, folder) if staged else [], visible=staged)


def paint(content, several, weights, strength, preserve_color, masks, stroke, color_strength, texture_strength):
    """(`fixed.stylize`'s picture, all outputs of the network): those it was made of where nothing asks for others."""
    if masks is None and stroke == 1:
        pictures = outputs(content, several, weights)
        return mix(content, pictures[-1], strength, preserve_color, color_strength, texture_strength), pictures
    return stylize(content, several, strength, preserve_color, masks, weights=weights, stroke=stroke,
                   color_strength=color_strength, texture_strength=texture_strength), []


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


def tiles_of(sources):
    """([(tile, title)], [(title, label)] for the list of names, [label of each tile])."""
    tiles = {source.label: tile for source in sources if (tile := source.tile())}
    titles = {source.label: source.entry.title for source in sources}
    return ([(str(tile), titles[label]) for label, tile in tiles.items()], [(title, label) for label, title in titles.items()],
            list(tiles))


def families_of(sources):
    """{label: (title, family)}, for `others`."""
    return {source.label: (source.entry.title, source.entry.family) for source in sources}


def _catalog(visit):
    """The gallery and the list of names, of what is here, in the repositories and, in the list, the visitor's own."""
    sources, problems = weights.catalog(*networks.FIXED)
    common.warn(problems)
    sources = by_title(sources)
    tiles, choices, labels = tiles_of(sources)
    own = models.own_choices(visit)
    families = {label: (title, checkpoints.entry(models.named(label, visit)).family) for title, label in own}
    return gr.Gallery(tiles), gr.Dropdown(own + choices), labels, families | families_of(sources)


def _others(style, families):
    family = families.get(style, (None, None))[1]
    return [(title, label) for label, (title, kind) in families.items() if kind == family and label != style]


def others(style, other, families):
    """The list of styles with which one can be blended, those of its family."""
    choices = _others(style, families)
    return gr.Dropdown([NONE, *choices], value=other if other in dict(choices).values() else NONE[1])


def blending(style=None, families=None):
    """The inputs for another style, of which `others` makes the list, and for its share."""
    with gr.Accordion("Blend with another style", open=False), gr.Row():
        return (gr.Dropdown([NONE, *_others(style, families or {})], value=NONE[1], label="Other style",
                            allow_custom_value=True, min_width=140), common.slider(SHARE, "Its share", info=None))


def build(page):
    """The tab's components and events."""
    tiles, choices, labels = tiles_of(by_title(weights.installed(*networks.FIXED)[0]))
    first = opening.FIXED if opening.FIXED in labels else labels[0] if labels else None
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="pick"):
            gallery = common.gallery(tiles, "Paintings that have a network of their own", elem_classes=["styles", "strip"])
            shown, families = gr.State(labels), gr.State({})
            with gr.Row():
                style = gr.Dropdown(choices, value=first, label="Style", allow_custom_value=True, min_width=140)
                strength = common.slider(OPTIONS["strength"], "Strength", info=None)
            start, stop = common.buttons("Paint")
        with gr.Column(elem_classes="result"):
            results = result.build(*page.opening.fixed)
            stages = gr.Gallery(label="The three outputs of Multimodal Transfer", columns=3, height="auto", format="png",
                                visible=False, buttons=["fullscreen", "download"])
        with gr.Column(elem_classes="more"):
            other, share = blending()
            mask, soft_edges = styles.where(several=False)
            look = common.look(OPTIONS, SIZE, MAX_SIZE)
            inputs = [page.content, style, strength, *look, mask, soft_edges, other, share, page.visit]
            batch.build(run, inputs)

    # asked when somebody opens the page or has added something: the app starts without the network
    offer = [others, [style, other, families], other]
    gr.on(None, _catalog, page.visit, [gallery, style, shown, families], **common.QUIET).then(*offer, **common.QUIET)
    style.change(*offer, **common.QUIET)
    jobs = [result.bind(start.click, run, inputs, results, stop, [stages], api_name="fixed", **turns.FAST)]
    # a click on a style is enough once there is a photograph; of several quick ones the last one counts
    chosen = gallery.select(choose, shown, style, trigger_mode="multiple", **common.QUIET)
    jobs.append(result.bind(chosen.then, run_if_ready, inputs, results, stop, [stages], trigger_mode="always_last",
                            **turns.FAST))
    result.stops(stop, results, jobs)
    return dict(zip(common.LOOK, look), style=style, strength=strength, other=other, share=share)
