"""The tab for films."""

from .. import hub, networks, weights
from . import film

TITLE = "Video and camera"
ABOUT = "A film in the hand of a painting, steady from frame to frame, with its sound."


def available():
    """Whether there is anything to paint with at once."""
    return bool(hub.repositories() or weights.installed(*networks.FIXED)[0])


def build(page):
    """The tab's components and events."""
    film.build(page)
