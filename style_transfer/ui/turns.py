"""Who computes when: whoever computes has all cores for a moment, and nobody waits for another one's minutes."""

import collections
import contextlib
import threading

from .common import as_gradio_errors

try:
    from spaces import GPU as on_gpu  # ZeroGPU lends a GPU for a call's length; elsewhere this changes nothing
except ImportError:
    def on_gpu(duration):
        """Nothing to decorate with outside Spaces."""
        return lambda function: function

# How many threads may be under way with each kind of work, most of them waiting: what computes is bounded by _TURN.
FAST = dict(concurrency_id="fast", concurrency_limit=2)  # one decodes or writes files while another one computes
MANY = dict(concurrency_id="many", concurrency_limit=2)
LONG = dict(concurrency_id="long", concurrency_limit=12)


class _Turn:
    """A lock that is given in the order in which it was asked for, so that a long job cannot take it again at once."""

    def __init__(self):
        self._guard, self._line = threading.Lock(), collections.deque()

    def __enter__(self):
        mine = threading.Event()
        with self._guard:
            self._line.append(mine)
            self._line[0].set()
        mine.wait()

    def __exit__(self, *_):
        with self._guard:
            self._line.popleft()
            if self._line:
                self._line[0].set()


_TURN = _Turn()
_LINE = []  # long jobs: the first one works, the others wait


# Errors become Gradio's inside of what runs on the GPU: ZeroGPU's processes give no others back.
@on_gpu(duration=30)
def _call(function, *arguments, **options):
    with as_gradio_errors():
        return function(*arguments, **options)


@on_gpu(duration=120)
def _iterate(function, *arguments, **options):
    with as_gradio_errors():
        yield from function(*arguments, **options)


def compute(show, function, *arguments, **options):
    """What a function of the core returns, computed in its turn."""
    yield show("Painting")
    with _TURN:
        return _call(function, *arguments, **options)


def iterate(function, *arguments, **options):
    """What a generator of the core yields, each step in a turn of its own."""
    with contextlib.closing(_iterate(function, *arguments, **options)) as steps:
        while True:
            with _TURN:
                step = next(steps, None)
            if step is None:
                return
            yield step


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
