"""The Space's entry: builds the interface and launches it."""

try:
    import spaces  # noqa: F401  ZeroGPU: before torch
except ImportError:
    pass

from style_transfer import ui

demo = ui.build()

if __name__ == "__main__":
    demo.launch(**ui.LAUNCH)
