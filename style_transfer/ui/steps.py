"""What the tabs that optimise a picture share: its turn, the time left, previews, and what is said of them meanwhile."""

import contextlib
import math
import time

import gradio as gr

from .. import backbones
from . import turns

PREVIEW_SECONDS = 0.8


class Clock:
    """How long a job still takes: seconds an iteration as measured at each scale, and as they grew for the finer ones."""

    GROWTH = 3.0  # from a scale to the next one, four times its pixels, before two scales have been seen

    def __init__(self, long_side):
        self.long_side, self.start, self.begun, self.paces = long_side, time.perf_counter(), {}, {}

    def elapsed(self):
        return time.perf_counter() - self.start

    def left(self, step):
        """Seconds after a `Step`; None after the first one, which loads things and says nothing of others."""
        here, now = max(step.image.shape[2:]), self.elapsed()
        begin, first = self.begun.setdefault(here, (now, step.iteration))
        if step.iteration > first:
            self.paces[here] = (now - begin) / (step.iteration - first)
        if step.done or not self.paces:
            return 0.0 if step.done else None
        *_, before, last = [None, *self.paces]
        growth = self.paces[last] / self.paces[before] if before else self.GROWTH
        count = round(math.log2(self.long_side / min(self.begun))) + 1
        share, current = step.iterations / count, len(self.begun)
        todo = [current * share - step.iteration] + [share] * (count - current)
        return sum(max(n, 0) * self.paces[last] * growth ** (k + current - len(self.paces)) for k, n in enumerate(todo))


def _line(step, place):
    """A bar and a sentence."""
    height, width = step.image.shape[2:]
    if step.done:
        return f"Done: {step.iteration} iterations, {width} × {height} pixels, {turns.duration(place.elapsed)}"
    left = "" if place.left is None else f", about {turns.duration(place.left)} left"
    return turns.bar(place.elapsed / (place.elapsed + (place.left or math.inf)),
                     f"Iteration {step.iteration} of {step.iterations}, at {width} × {height}, "
                     f"{turns.duration(place.elapsed)} elapsed{left}")


def fetching(backbone, layers):
    """The status while a full backbone arrives, and once before."""
    yield ""
    if backbones.present(backbone, layers):
        return
    shown = 0.0
    with contextlib.closing(backbones.download(backbone, layers)) as parts:
        for done, total in parts:
            if time.perf_counter() - shown > PREVIEW_SECONDS:
                shown = time.perf_counter()
                yield turns.bar(done / total, f"Fetching {backbone}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")


def paint(optimize, picture, pictures, **options):
    """(status, step) for each step of a generator of the core, in a long job's turn; options: of it, `iterations` among them.

    Step is None while nothing is new, and status is None for a step that is too soon after the last one to be shown.
    """
    height, width = picture.shape[2:]
    with turns.Place(options["iterations"] * height * width) as place:
        while (before := place.ahead())[0]:
            yield turns.waiting(*before), None
            time.sleep(turns.EVERY)
        clock, shown = Clock(max(height, width)), -math.inf
        with contextlib.closing(turns.iterate(optimize, picture, pictures, **options)) as steps:
            for step in steps:
                if step is None:
                    yield gr.skip(), None
                    continue
                place.left, place.elapsed = clock.left(step), clock.elapsed()
                due = step.done or place.elapsed - shown >= PREVIEW_SECONDS
                yield _line(step, place) if due else None, step
                if due:
                    shown = clock.elapsed()  # a preview takes its time, too
