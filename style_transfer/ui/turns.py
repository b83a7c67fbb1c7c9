"""Who computes when: whoever computes has all cores for a moment, and nobody waits for another one's minutes.

What is computed is told while it goes on and ends within a second when nobody waits for it any more: Gradio closes a generator
when its visitor presses Stop or leaves, at its next yield, and so everything here yields about four times a second.
"""

import contextlib
import contextvars
import inspect
import time
from concurrent import futures
from typing import NamedTuple

import torch

from .. import progress
from .common import as_gradio_errors

try:
    from spaces import GPU as on_gpu  # ZeroGPU lends a GPU for a call's length; elsewhere this changes nothing
except ImportError:
    def on_gpu(duration):
        """Nothing to decorate with outside Spaces."""
        return lambda function: function

# How many calls may be under way with each kind of work, most of them waiting: what computes is bounded by _DEVICE.
FAST = dict(concurrency_id="fast", concurrency_limit=12)
MANY = dict(concurrency_id="many", concurrency_limit=2)
LONG = dict(concurrency_id="long", concurrency_limit=12)

EVERY = 0.25  # seconds between two yields
# A single thread, which does what it is given in the order in which it was asked for. On ZeroGPU it is not used in the app's
# process, but in each of those that have a GPU.
_DEVICE = futures.ThreadPoolExecutor(1, thread_name_prefix="device")
_JOBS = []  # those of _DEVICE: the first one works, the others wait
_PACES = {}  # {kind of work: seconds a pixel, of the last one}
_LINE = []  # long jobs: the first one works, the others wait


class _Stopped(BaseException):
    """Raised in the middle of work for which nobody waits any more."""


class _Progress(NamedTuple):
    """What is told of a job until it is done."""

    jobs: int  # pictures before it
    seconds: float | None  # until they are done, None where nobody knows
    share: float  # of its own work that is done


class _Result(NamedTuple):
    """What a function returned, the last that is told."""

    value: object


class _Job:
    """A piece of work for the device; pixels: how much it is, None for a step of a long job, which is no picture of its own."""

    def __init__(self, kind=None, pixels=None):
        self.kind, self.pixels, self.begun, self.share, self.stopped = kind, pixels, None, 0.0, False

    def hear(self, share):
        """Called in the middle of the work, as `progress.watched` says."""
        if self.stopped:
            raise _Stopped
        self.share = max(self.share, share)

    def run(self, function, *arguments, **options):
        """Called by the device."""
        self.begun = time.monotonic()
        with progress.watched(self.hear), as_gradio_errors():  # ZeroGPU's processes give no other errors back
            value = function(*arguments, **options)
        if self.pixels:
            _PACES[self.kind] = (time.monotonic() - self.begun) / self.pixels
        return value

    def left(self):
        """Seconds that it still takes, None where nobody knows."""
        elapsed = 0.0 if self.begun is None else time.monotonic() - self.begun
        if self.share > 0.1:
            return elapsed * (1 - self.share) / self.share
        pace = _PACES.get(self.kind)
        return None if pace is None else max(self.pixels * pace - elapsed, 0.0)

    def progress(self):
        """Its `_Progress`."""
        before = [job for job in _JOBS[:_JOBS.index(self)] if job.pixels]
        times = [job.left() for job in before]
        return _Progress(len(before), None if None in times else sum(times), self.share)


def _take(job, function, *arguments, **options):
    """What a function returns, computed by the device in its turn; a generator of `_Progress` for as long as that takes.

    When it is closed, the work ends at its next `progress.tick`, or never begins.
    """
    context = contextvars.copy_context()  # by which Gradio and ZeroGPU know their visitor
    _JOBS.append(job)
    try:
        future = _DEVICE.submit(context.run, job.run, function, *arguments, **options)
        try:
            while not futures.wait([future], EVERY).done:
                yield job.progress()
            return future.result()
        except GeneratorExit:  # not at its end: a step may have begun, in threads of its own, what the next one needs
            job.stopped = True
            future.cancel()
            raise
    finally:
        _JOBS.remove(job)


def _pixels(arguments, options):
    """Pixels of all pictures among arguments, in lists too."""
    return sum(x.shape[-2] * x.shape[-1] for value in (*arguments, *options.values())
               for x in (value if isinstance(value, (list, tuple)) else [value]) if torch.is_tensor(x) and x.ndim == 4)


def _seconds(function, *arguments, **options):
    """For how long ZeroGPU is asked for a GPU: estimated with room, as what is asked for must be left of the visitor's minutes.

    A picture takes a part of a second; most of the time goes by until the networks are there.
    """
    if "frames" in options:  # of a film, each of which is steadied on the CPU
        return round(min(15 + 0.1 * options["frames"], 120))
    megapixels = _pixels(arguments, options) / 1e6
    iterations = options.get("iterations")
    return round(5 + 0.5 * megapixels if iterations is None else min(15 + iterations * (0.03 + 0.05 * megapixels), 120))


@on_gpu(duration=_seconds)
def _compute(function, *arguments, **options):
    given = inspect.signature(function).bind(*arguments, **options).arguments
    kind = (function.__name__, str(given.get("method", given.get("style"))))
    yield _Result((yield from _take(_Job(kind, max(_pixels(arguments, options), 1)), function, *arguments, **options)))


@on_gpu(duration=_seconds)
def _iterate(function, *arguments, **options):
    steps = function(*arguments, **options)
    try:
        while (step := (yield from _take(_Job(), next, steps, None))) is not None:
            yield step
    finally:
        _DEVICE.submit(steps.close)  # where it may be in the middle of a step


def compute(show, function, *arguments, **options):
    """What a function of the core returns, computed in its turn: `image = yield from compute(show, function, ...)`.

    What takes longer than a moment is told: show(a sentence as HTML) gives what the event is to yield meanwhile.
    """
    value = None
    with contextlib.closing(_compute(function, *arguments, **options)) as told:
        for word in told:
            if isinstance(word, _Result):
                value = word.value
            else:
                jobs, seconds, share = word
                yield show(waiting(jobs, seconds) if jobs else bar(share, f"Painting, {100 * share:.0f} %"))
    return value


def iterate(function, *arguments, **options):
    """What a generator of the core yields, each step in a turn of its own, and None about four times a second in between.

    At a None the event has to yield something, so that it can be stopped there.
    """
    with contextlib.closing(_iterate(function, *arguments, **options)) as steps:
        for step in steps:
            yield None if isinstance(step, _Progress) else step


def bar(share, text):
    """A status line as HTML: a progress bar (share: 0 to 1) and a text."""
    return f'<progress aria-label="Progress" value="{share:.3f}"></progress>{text}'


def waiting(jobs, seconds):
    """What those who wait for so many pictures are told; seconds: until it is their turn, None where nobody knows."""
    how_long = "" if seconds is None else f", about {duration(max(seconds, 1))}"
    return f"Waiting: {'one picture is' if jobs == 1 else f'{jobs} pictures are'} painted before this one{how_long}"


def duration(seconds):
    """Seconds as people say them."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


class Place:
    """A long job's place in the line, to be taken by `with`; work: how much it is, in a unit that all jobs share."""

    def __init__(self, work):
        self.work, self.elapsed, self.left = work, 0.0, None  # seconds; None: nobody knows yet

    def __enter__(self):
        _LINE.append(self)
        return self

    def __exit__(self, *_):
        _LINE.remove(self)

    def ahead(self):
        """(how many jobs come first, after how many seconds it is one's turn, or None where that cannot be said)."""
        first, *others = before = _LINE[:_LINE.index(self)] or [self]
        if first is self or first.left is None:
            return (0, 0.0) if first is self else (len(before), None)
        pace = (first.elapsed + first.left) / first.work
        return len(before), first.left + pace * sum(job.work for job in others)
