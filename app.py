"""The Space's entry: builds the interface and launches it."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nobody is told who paints what; before the packages that read it
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

try:
    import spaces  # noqa: F401  ZeroGPU: before torch
except ImportError:
    pass

from style_transfer import ui

demo = ui.build()

if __name__ == "__main__":
    demo.launch(**ui.LAUNCH)
