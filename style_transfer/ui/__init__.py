"""The Gradio interface: one file a tab, what they share in common.py, who computes when in turns.py, what a call may bring in
inputs.py, where files lie in files.py, how it looks in theme.py and page.css, and what keyboards and screen readers need beyond
Gradio in page.js."""

from pathlib import Path

import gradio as gr

from . import arbitrary, files, fixed, gatys
from .inputs import Blocks
from .theme import THEME

TABS = (fixed, arbitrary, gatys)  # modules with TITLE, available() and build()
HEADER = """
# Neural style transfer
Give a photograph the hand of a painting.
"""

LAUNCH = dict(
    theme=THEME,
    css_paths=Path(__file__).with_name("page.css"),
    js=Path(__file__).with_name("page.js").read_text(),
    max_file_size="20mb",
    run_history=False,  # it would leave people's pictures in the browsers of shared machines
    footer_links=["api", "settings"],
)


def build():
    """The whole application as Blocks, to be launched with `LAUNCH`."""
    files.prepare()
    with Blocks(title="Neural style transfer", analytics_enabled=False, delete_cache=files.DELETED) as blocks:
        gr.Markdown(HEADER, elem_id="header")
        with gr.Tabs():
            for tab in TABS:
                if tab.available():
                    with gr.Tab(tab.TITLE):
                        tab.build()
    return blocks.queue(max_size=20, default_concurrency_limit=1, api_open=False)  # nobody skips the queue
