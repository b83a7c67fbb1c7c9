"""The tab that paints one photograph by all methods, side by side, with what each takes and how near it comes."""

import html
import math
import time
from pathlib import Path

import gradio as gr

from .. import images, networks, weights
from ..compare import METHODS, OPTIONS, figures, paint, sheet
from . import common, result, styles, turns, voting

TITLE = "Compare"
ABOUT = "All methods side by side on your photograph: which one suits it, and what does it cost?"
SIZE, MAX_SIZE, MAX_ITERATIONS = 512, 1024, 300
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
PREVIEW_SECONDS = 0.8
MORE = 4  # outputs beyond those of every tab: table, figures, what can be voted on, the button that votes
HINT = "Painted when the app began, without Gatys. Compare paints your photograph by all methods, and measures each one."
EXPLAINED = """*From the painting* and *from the photograph* say how far each picture is from the two, as a small network
sees them: 0 is the same, and lower is nearer. A method that comes near to both has found a good balance. A fixed style has a
painting of its own, so it is not measured against yours. *Memory* is what the program needed beyond what it held before;
visitors who paint at the same time can raise it."""


def available():
    """Always: what it needs is shipped."""
    return True


def run(content, style, methods=OPTIONS["methods"].default, strengths=OPTIONS["alphas"].default, fixed_style=None,
        iterations=OPTIONS["iterations"].default, size=SIZE):
    """Paint a photograph by several methods and compare them: how they look, seconds, memory, distances to both pictures.

    Streams results as they are done. Returns one sheet with all of them as a PNG file first, then the single pictures with
    their titles, a status, and last the figures as a list: seconds, memory in MB, distance to the painting and to the
    photograph (in features of a compact network, lower is nearer, null where there is none).
    """
    with common.as_gradio_errors(), common.job_folder() as folder:
        photograph, painting = common.photograph(content, size).picture, styles.load([style], [1], None, SIZE)[0][0]
        path = weights.named(fixed_style, *networks.FIXED) if "fixed" in methods else None
        results, shown, painted = [], -math.inf, voting.Painted()
        yield result.working(turns.bar(0, "Waiting for its turn"), more=MORE)
        for step in turns.iterate(paint, photograph, painting, methods, strengths, path, iterations, size):
            if step is None:
                yield result.working(gr.skip(), more=MORE)
            elif step.result:
                results.append(step.result)
                painted = voting.paint(painted, step.result)
                yield (*_show(folder, photograph, painting, results, step.share), painted,
                       gr.Button(interactive=len(results) > 1))
            elif time.perf_counter() - shown > PREVIEW_SECONDS:
                shown = time.perf_counter()
                yield result.working(turns.bar(step.share, html.escape(step.title)), more=MORE)


def _show(folder, photograph, painting, results, share):
    """The results so far, for the outputs of `result.bind`."""
    number = len(results)
    images.save(results[-1].picture, Path(folder, f"{number}.png"))
    path = Path(folder, f"comparison-{number}.png")
    images.save(images.from_pil(sheet(photograph, painting, results)), path)
    pictures = [(str(Path(folder, f"{k}.png")), r.title) for k, r in enumerate(results, 1)]
    done = share == 1
    status = f"{number} pictures" if done else turns.bar(share, f"{number} painted so far")
    return (str(path), pictures, status, gr.Row(visible=True), gr.Button(interactive=not done), table(results),
            [{"title": r.title, "method": r.method, "seconds": round(r.seconds, 3),
              "memory_mb": None if r.memory is None else round(r.memory / 1e6, 1),
              "from_the_painting": None if r.style is None else round(r.style, 4),
              "from_the_photograph": round(r.content, 4)} for r in results])


def table(results):
    """The figures of some results as HTML, with headers that a screen reader says."""
    heads = "".join(f'<th scope="col">{text.capitalize()}</th>' for text in ("Method", *figures(results[0])))
    rows = "".join(f'<tr><th scope="row">{html.escape(r.title)}</th>'
                   + "".join(f"<td>{text}</td>" for text in figures(r).values()) + "</tr>" for r in results)
    return (f'<table class="figures"><caption>What each one takes, and how near it comes</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")


def build(page):
    """The tab's components and events."""
    sources = sorted(weights.installed(*networks.FIXED)[0], key=lambda source: source.entry.title)
    names = [(source.entry.title, source.label) for source in sources]
    offered = OPTIONS["methods"]._replace(choices={n: text for n, text in METHODS.items() if names or n != "fixed"})
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="pick"):
            gallery, found, style = styles.pick(page.opening.style)
            with styles.beside(style):
                methods = common.choice(offered, "Methods", gr.CheckboxGroup, list(offered.choices), info=None)
                fixed_style = gr.Dropdown(names, value=names[0][1] if names else None, label="Fixed style", min_width=140,
                                          visible=bool(names))
            begin, stop = common.buttons("Compare")
        with gr.Column(elem_classes="result"):
            shown = gr.Gallery(list(page.opening.compared) or None, label="Side by side", columns=3, height="auto",
                               object_fit="contain", format="png", buttons=["fullscreen", "download"], interactive=False,
                               elem_classes="compared")
            status = gr.HTML(HINT if page.opening.compared else "", elem_classes="status", label="Status", padding=False)
            with gr.Row(visible=False) as done:
                button = gr.DownloadButton("Download all on one sheet", min_width=140)
                vote = gr.Button("Vote blind", interactive=False, min_width=140)
            painted = gr.State(voting.Painted())
            numbers = gr.HTML("", label="Figures", padding=False)
            values = gr.JSON(visible=False, label="Figures")
            voting.build(painted, vote, begin, [shown, numbers])
        with gr.Column(elem_classes="more"):
            with gr.Accordion("Strengths, steps and size", open=False):
                strengths = gr.CheckboxGroup([(f"{value:g}", value) for value in STRENGTHS], label="Strengths of AdaIN and WCT",
                                             value=list(OPTIONS["alphas"].default), info="One picture for each")
                with gr.Row():
                    iterations = common.slider(OPTIONS["iterations"], "Steps of Gatys's method", 10, MAX_ITERATIONS, step=10,
                                               info="More are finer, and take longer")
                    size = common.slider(OPTIONS["size"], "Size: long side, pixels", 128, MAX_SIZE, SIZE, 64,
                                         info="More pixels take longer, in proportion")
            with gr.Accordion("What the figures say", open=False):
                gr.Markdown(EXPLAINED)

    inputs = [page.content, style, methods, strengths, fixed_style, iterations, size]
    gallery.select(common.clicked(found), None, style, trigger_mode="multiple", **common.QUIET)
    results = [button, shown, status, done]
    more = [numbers, values, painted, vote]
    job = result.bind(begin.click, run, inputs, results, stop, more, api_name="compare", **turns.MANY)
    result.stops(stop, results, [job])
