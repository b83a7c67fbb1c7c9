"""The tab for what moves."""

from . import camera

TITLE = "Video and camera"


def available():
    """Whether there is anything to show."""
    return bool(camera.styles())


def build():
    """The tab's components and events."""
    camera.build()
