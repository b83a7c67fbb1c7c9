"""The Gradio interface: one file a tab, what they share in common.py, styles.py and result.py, who computes when in turns.py,
what a call may bring in inputs.py, where visitors' files lie in files.py, how it looks in theme.py and page.css, and what
keyboards and screen readers need beyond Gradio in page.js."""

from pathlib import Path

import gradio as gr

from . import arbitrary, camera, common, compare, files, fixed, gatys, models, neighbours, opening, recall, video
from .inputs import Blocks
from .theme import THEME

TABS = (arbitrary, fixed, gatys, neighbours, compare, video, models)
# each with TITLE, ABOUT, available() and build(page) -> controls by name
HEADER = """
# Neural style transfer
Give a photograph the hand of a painting.
"""

LAUNCH = dict(
    theme=THEME,
    css_paths=Path(__file__).with_name("page.css"),
    js=Path(__file__).with_name("page.js").read_text(),
    max_file_size="100mb",  # films; pictures have limits of their own
    state_session_capacity=50,  # Gradio keeps some hundred kilobytes for each, for an hour after they have left
    run_history=False,  # it would leave people's pictures in the browsers of shared machines
    footer_links=["api", "settings"],
    app_kwargs=camera.APP,
)


def build():
    """The whole application as Blocks, to be launched with `LAUNCH`."""
    files.prepare()
    first, samples = opening.pictures(), common.examples("photos")
    with Blocks(title="Neural style transfer", analytics_enabled=False, delete_cache=files.DELETED) as blocks:
        gr.Markdown(HEADER, elem_id="header")
        with gr.Row(elem_id="photograph"):
            content = common.picture("Photograph", height=150, value=first.content)
            if samples:
                gallery = common.gallery([(e.tile, e.name) for e in samples], "Photographs to try",
                                         elem_classes=["styles", "samples"])
                gallery.select(common.clicked(samples), None, content, trigger_mode="multiple", **common.QUIET)
        page = common.Page(content, first, gr.State(models.Visit()))
        controls = {}
        with gr.Tabs() as pages:
            for tab in TABS:
                if tab.available():
                    name = tab.__name__.rpartition(".")[2]
                    with gr.Tab(tab.TITLE, id=name, elem_id=f"tab-{name}"):
                        gr.Markdown(tab.ABOUT, elem_classes="about")
                        controls[name] = tab.build(page) or {}
        recall.build(page, pages, controls)
    return blocks.queue(max_size=20, default_concurrency_limit=1, api_open=False)  # nobody skips the queue
