"""One photograph painted by all methods side by side: how it looks, how long it takes, how much memory, how near it comes."""

import contextlib
import ctypes
import os
import textwrap
import threading
import time
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont

from . import arbitrary, checkpoints, fixed, gatys, images, weights
from . import device as devices
from .distances import SIZE, measure
from .errors import InputError
from .images import fit, resize
from .options import Option, check

METHODS = {"adain": "AdaIN", "wct": "WCT", "fixed": "Fixed style", "gatys": "Gatys"}
MOST_ALPHAS = 6
OPTIONS = {
    "methods": Option(tuple(METHODS), "What paints the photograph.", choices=METHODS),
    "alphas": Option((0.6, 1.0), "Strengths at which AdaIN and WCT are shown: 1 takes the style on in full.", 0.0, 1.0),
    "iterations": Option(60, "Steps of Gatys's method: more are finer, and take longer.", 1, 1000),
    "size": Option(512, "Long side of the pictures in pixels.", 64, 4096),
}
WARM = 128  # pixels of the sides of a first picture that nobody sees: files are read and buffers made for it
STEPS_A_PICTURE = 2  # of Gatys's method, in the time of one that a network paints
SAMPLE = 0.003  # seconds between two looks at the memory
# Of the sheet: pixels, and colours as the app has them.
TILE, CELL, GAP, CAPTION, FOOT = 480, 340, 40, 118, 20
PAPER, INK, PALE, BEST = "#faf8f5", "#1c1a17", "#6b645c", "#4153b3"
COLUMNS = 4
FIGURES = (0, 0.2, 0.4, 0.69, 1)  # where they stand, in parts of a column
NOTE = ("Near to the painting: means and deviations of features, over relu1_1 to relu5_1. Near to the photograph: normalised "
        "features, relu3_4 and relu4_1. Both in the compact encoder at 512 pixels at most, without a unit: 0 is the same, "
        "lower is nearer. A fixed style has a painting of its own and is not measured against this one. Memory: what the "
        "process held at most beyond what it held before.")


class Result(NamedTuple):
    """What one method made of the photograph, and what that took."""

    method: str  # a key of METHODS
    title: str
    picture: torch.Tensor  # [1, 3, H, W] in [0, 1], on the CPU
    seconds: float  # of computing alone
    memory: int | None  # bytes at most beyond those before, of the process or the GPU; None where nobody can tell
    style: float | None  # distance to the style, of `distances.measure`; None for a fixed style, whose painting is another
    content: float  # distance to the photograph


class Step(NamedTuple):
    """Where `paint` is."""

    title: str  # of what is being painted
    share: float  # of all the work, 0 to 1, roughly
    result: Result | None = None  # when it is painted


class _Way(NamedTuple):
    method: str
    title: str
    steps: Callable  # (content, style) -> iterator of (share done, picture)
    work: float = 1.0  # in pictures of a network


def _once(function, *arguments, **options):
    yield 1.0, function(*arguments, **options)


def _optimize(content, style, iterations, seed, device):
    with contextlib.closing(gatys.optimize(content, [style], iterations=iterations, seed=seed, device=device)) as steps:
        for step in steps:
            yield step.iteration / iterations, step.image


def _ways(methods, alphas, fixed_style, iterations, seed, device):
    """What is to be painted, the slowest last. Raises what `weights.find` raises."""
    def any_style(method, alpha):
        return _Way(method, f"{METHODS[method]}, strength {alpha:g}", lambda content, style: _once(
            arbitrary.stylize, content, [style], method=method, alpha=alpha, device=device))

    found = [any_style(method, alpha) for method in arbitrary.METHODS if method in methods for alpha in alphas]
    if "fixed" in methods:
        path = weights.find(fixed_style or "")
        found.append(_Way("fixed", f"{METHODS['fixed']}: {checkpoints.describe(path).get('title') or path.stem}",
                          lambda content, style: _once(fixed.stylize, content, path, device=device)))
    if "gatys" in methods:
        found.append(_Way("gatys", f"{METHODS['gatys']}, {iterations} steps",
                          lambda content, style: _optimize(content, style, iterations, seed, device),
                          max(1.0, iterations / STEPS_A_PICTURE)))
    return found


class _Meter:
    """Seconds and memory of what is run through it, of which others in the same process may have a part."""

    def __init__(self, device):
        self.device, self.seconds = device, 0.0
        with contextlib.suppress(OSError, AttributeError, TypeError):  # glibc keeps what was freed
            ctypes.CDLL(None).malloc_trim(0)
        self.before = self.peak = self._now()

    def _now(self):
        """Bytes in use, or None."""
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        try:
            with open("/proc/self/statm", "rb") as file:
                _, resident, shared, *_ = map(int, file.read().split())
                return (resident - shared) * os.sysconf("SC_PAGE_SIZE")  # without files, which the system drops at will
        except (OSError, ValueError):  # not on Linux
            return None

    def _watch(self, stop):
        while not stop.wait(SAMPLE):
            self.peak = max(self.peak, self._now() or 0)

    def run(self, function):
        """function(), measured."""
        stop, on_cuda = threading.Event(), self.device.type == "cuda"
        watch = None if on_cuda or self.before is None else threading.Thread(target=self._watch, args=(stop,), daemon=True)
        if on_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        start = time.perf_counter()
        if watch:
            watch.start()
        try:
            return function()
        finally:
            self.seconds += time.perf_counter() - start
            stop.set()
            if watch:
                watch.join()
            if on_cuda:
                self.peak = max(self.peak, torch.cuda.max_memory_allocated(self.device))

    def memory(self):
        """Bytes at most beyond those before, or None."""
        return None if self.before is None else max(self.peak - self.before, 0)


def _to_measure(picture):
    """A picture at the size at which it is measured, a strip with enough pixels for the deepest layer."""
    height, width = fit(*picture.shape[2:], min(SIZE, max(picture.shape[2:])))
    return resize(picture, (max(height, gatys.SMALLEST), max(width, gatys.SMALLEST)))


def paint(content, style, methods=OPTIONS["methods"].default, alphas=OPTIONS["alphas"].default, fixed_style=None,
          iterations=OPTIONS["iterations"].default, size=OPTIONS["size"].default, seed=0, device=None):
    """Paint a photograph by several methods, each measured: a generator of a `Step` at each one's begin, progress and end.

    content, style: pictures [1, 3, H, W] in [0, 1]; methods: of METHODS; alphas: strengths of AdaIN and WCT, one result each;
    fixed_style: a name or path as `weights.find` takes it, needed for "fixed"; iterations: of Gatys's method; size: long side
    of the results. To be closed at any yield; what happens between two steps is not measured.
    Raises InputError for wrong arguments, CheckpointError for missing weights.
    """
    device = devices.pick(device)
    check(OPTIONS, iterations=iterations, size=size)
    if not all(isinstance(several, (list, tuple)) and several for several in (methods, alphas)):
        raise InputError("At least one method and one strength are needed: choose one.")
    methods = {OPTIONS["methods"].check("method", method) for method in methods}
    alphas = sorted({OPTIONS["alphas"].check("alpha", alpha) for alpha in alphas})
    if len(alphas) > MOST_ALPHAS:
        raise InputError(f"There are {len(alphas)} strengths: name {MOST_ALPHAS} at most.")
    content, style = images.check(content, "content").cpu(), images.check(style, "style", arbitrary.SMALLEST).cpu()
    content = images.check(resize(content, size), "content", gatys.SMALLEST)
    ways = _ways(methods, alphas, fixed_style, iterations, seed, device)
    seen, looked_at = _to_measure(content), _to_measure(style)
    warm = [resize(picture, (WARM, WARM)) for picture in (content, style)]
    total, done = sum(way.work for way in ways), 0.0
    for way in ways:
        yield Step(way.title, done / total)
        if way.method != "gatys":  # of whose minutes a warm start would be none
            for _ in way.steps(*warm):
                pass
        meter = _Meter(device)
        with contextlib.closing(way.steps(content, style)) as steps:
            while step := meter.run(lambda: next(steps, None)):  # noqa: B023
                share, picture = step
                yield Step(way.title, (done + share * way.work) / total)
        near = measure(resize(picture, seen.shape[2:]), seen, [looked_at], device)
        done += way.work
        yield Step(way.title, 1.0 if way is ways[-1] else done / total, Result(
            way.method, way.title, picture, meter.seconds, meter.memory(), None if way.method == "fixed" else near[0], near[1]))


def figures(result):
    """A result's figures as people read them: {what: text}, with a dash where there is none."""
    return {"time": f"{result.seconds:.2f} s" if result.seconds < 10 else f"{result.seconds:.0f} s",
            "memory": "-" if result.memory is None else f"{result.memory / 1e6:.0f} MB",
            "from the painting": "-" if result.style is None else f"{result.style:.3f}",
            "from the photograph": f"{result.content:.3f}"}


def _best(results):
    """For each figure the least value, where there are several."""
    columns = zip(*((r.seconds, r.memory, r.style, r.content) for r in results))
    known = [[value for value in column if value is not None] for column in columns]
    return [min(column) if len(column) > 1 else None for column in known]


def _plain(text):
    """Text in the letters that Pillow's own font has."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _fitting(draw, text, width, sizes):
    """The largest of some fonts in which a text is not wider than that."""
    fonts = [ImageFont.load_default(size) for size in sizes]
    return next((font for font in fonts if draw.textlength(text, font) <= width), fonts[-1])


def _inside(picture, box):
    """A picture as large as it can be within (width, height), as a PIL image."""
    image = images.to_pil(picture)
    scale = min(box[0] / image.width, box[1] / image.height)
    return image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)


def sheet(content, style, results):
    """Photograph, style and a list of `Result` on one page, each picture above what it took: a PIL image, RGB.

    The least value of each figure is set off by its colour.
    """
    height, width = fit(*content.shape[2:], TILE)
    cell, best = max(width, CELL), _best(results)
    columns = min(COLUMNS, len(results) + 2)
    rows = -(-(len(results) + 2) // columns)
    total = GAP + columns * (cell + GAP)
    small = ImageFont.load_default(14)
    note = textwrap.wrap(NOTE, max(40, round((total - 2 * GAP) / small.getlength(NOTE) * len(NOTE))))
    page = Image.new("RGB", (total, GAP + rows * (height + CAPTION) + FOOT * len(note) + GAP), PAPER)
    draw = ImageDraw.Draw(page)
    shown = [("Photograph", content, None), ("Painting", style, None)] + [(_plain(r.title), r.picture, r) for r in results]
    for place, (title, picture, result) in enumerate(shown):
        left, top = GAP + place % columns * (cell + GAP), GAP + place // columns * (height + CAPTION)
        image = _inside(picture, (cell, height))
        page.paste(image, (left, top + height - image.height))  # all stand on one line
        top += height + 10
        draw.text((left, top), title, INK, _fitting(draw, title, cell, (22, 20, 18, 16, 14, 12)))
        if result is None:
            draw.text((left, top + 34), f"{picture.shape[3]} x {picture.shape[2]} pixels", PALE, small)
            continue
        values = (result.seconds, result.memory, result.style, result.content)
        for k, (what, text) in enumerate(figures(result).items()):
            x, room = left + round(FIGURES[k] * cell), (FIGURES[k + 1] - FIGURES[k]) * cell - 6
            least = values[k] is not None and values[k] == best[k]
            draw.text((x, top + 36), text, BEST if least else INK, _fitting(draw, text, room, (20, 18, 16, 14)))
            draw.text((x, top + 62), what, PALE, _fitting(draw, what, room, (14, 13, 12, 11, 10, 9)))
    for k, line in enumerate(note):
        draw.text((GAP, page.height - GAP // 2 - FOOT * (len(note) - k)), line, PALE, small)
    return page
