"""The tab for films and for the live camera."""

import gradio as gr

from .. import hub, networks, weights
from . import camera, film

TITLE = "Video and camera"
ABOUT = "A film in the hand of a painting, steady from frame to frame; or your camera, live, in your own browser."


def available():
    """Whether there is anything to paint with at once."""
    return bool(hub.repositories() or weights.installed(*networks.FIXED)[0])


def build(page):
    """The tab's components and events."""
    with gr.Tabs():
        with gr.Tab("A film"):
            film.build(page)
        with gr.Tab("Camera"):
            camera.build()
