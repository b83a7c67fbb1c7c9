"""Gradio's image input without its decoding. (Gradio writes a .pyi next to every module with a component.)"""

import gradio as gr


class Picture(gr.Image):
    """A picture's file as it was uploaded, unopened: `images.load` decodes it, and says what is wrong with it."""

    is_template = True

    def preprocess(self, payload):
        if payload is None or (payload.url or "").startswith("data:"):
            return super().preprocess(payload)
        return payload.path
