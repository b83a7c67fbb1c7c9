"""The Gradio interface: one file a tab, what they share in common.py, how it looks in theme.py."""

import gradio as gr

from . import arbitrary, fixed, gatys
from .inputs import Blocks
from .theme import CSS, THEME

HEADER = """
# Neural style transfer
Give a photograph the hand of a painting.
"""

LAUNCH = dict(
    theme=THEME,
    css=CSS,
    max_file_size="20mb",
    run_history=False,  # it would leave people's pictures in the browsers of shared machines
    footer_links=["api", "settings"],
)


def build():
    """The whole application as Blocks, to be launched with `LAUNCH`."""
    with Blocks(title="Neural style transfer", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        gr.Markdown(HEADER, elem_id="header")
        with gr.Tabs():
            if fixed.any_style():
                with gr.Tab("Fixed styles", id="fixed"):
                    fixed.build()
            with gr.Tab("Arbitrary style", id="arbitrary"):
                arbitrary.build()
            with gr.Tab("Gatys", id="gatys"):
                gatys.build()
    # api_open: nobody skips the queue
    return blocks.queue(max_size=20, default_concurrency_limit=1, api_open=False)
