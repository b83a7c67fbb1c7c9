"""How far long work is, told while it goes on to whoever watches it, and ended when they raise an exception.

The core calls `tick` where networks run, and `part` and `steps` where it knows how much there is to do.
"""

import contextlib
import contextvars

_WATCH = contextvars.ContextVar("watch", default=None)  # (callback, share done, start and end of the part that is under way)


@contextlib.contextmanager
def watched(callback):
    """Within it, callback(share) is told how far the work of this thread is, from 0 to 1, about twice a second or more often.

    It is called in the middle of the work and should take no time. What it raises comes out of the work, which keeps nothing
    that is half done. The share may fall back where several pieces of work follow each other.
    """
    outer = _WATCH.get()
    _WATCH.set((callback, 0.0, 0.0, 1.0))
    try:
        yield
    finally:
        _WATCH.set(outer)


def tick():
    """Tell those who watch, if any, that the work goes on."""
    if watch := _WATCH.get():
        callback, done, *_ = watch
        callback(done)


@contextlib.contextmanager
def part(start, end):
    """What is done within it is from `start` to `end` (0 to 1) of the piece of work around it."""
    outer = _WATCH.get()
    if outer is None:
        yield
        return
    callback, _, low, high = outer
    inner = [low + share * (high - low) for share in (start, end)]
    _WATCH.set((callback, inner[0], *inner))
    try:
        tick()
        yield
    finally:
        _WATCH.set((callback, inner[1], low, high))


def steps(items):
    """The items one after another, each an equal part of the piece of work around it."""
    items = list(items)
    for number, item in enumerate(items):
        with part(number / len(items), (number + 1) / len(items)):
            yield item
