"""Small trainings over the values of one or two options, and one sheet of what their networks paint, to choose weights by.

    python -m training.sweep johnson --over style-weight=1,3,10 --over content-weight=0.5,1,2 \\
        -- --style PICTURE --photos FOLDER --steps 500

What stands behind -- goes to every run. The values of the first --over are the sheet's columns, those of a second one its
rows; a value of several words stands in quotes: --over "style-weight=1 1 1,5 5 5". Each combination is a training of its own
in its own folder below --runs. The same command goes on with a sweep that was stopped: what is finished is kept, so a sweep
may also get more values later. The sheet is drawn anew after each run.
"""

import argparse
import contextlib
import importlib
import io
import itertools
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from style_transfer import arbitrary, checkpoints, fixed, images
from style_transfer.errors import InputError, StyleTransferError
from training import loop
from training.styles import TILE

STYLE = loop.EXAMPLES / "styles" / "swirls.jpg"
OWN = ("--run-folder", "--output", "--resume")  # options that the sweep gives to every run
FINISHED = "finished.txt"  # in a run's folder, once it is: the options that it ran with
LONGEST = 400  # characters of a sentence
GAP, SHOWN = 12, 24  # pixels; characters of an axis's value that are shown
HEADING, LABEL, CAPTION = 15, 20, 15  # sizes of letters, pixels
LETTER, LINE = 0.45, 1.3  # width of a letter, rather too much than too little, and distance of lines, to the size of letters
INK, FADED, EMPTY = "#212529", "#868e96", "#f1f3f5"


class Script(NamedTuple):
    """A training whose networks paint."""

    output: str  # of its -o: a file, or nothing where that is a folder
    paint: Callable  # (photograph, path of the network, style picture) -> picture, all [1, 3, H, W]


class Axis(NamedTuple):
    """An option and its values, as they are typed."""

    option: str
    values: tuple[str, ...]


class Cell(NamedTuple):
    """What the sheet shows of a run: the pictures beside each other, or none, and a text."""

    pictures: list
    text: str


def _fixed(photo, path, _):
    return fixed.stylize(photo, path)


def _arbitrary(photo, path, style):
    return arbitrary.stylize(photo, [style], decoder=path)


SCRIPTS = {"johnson": Script("", _fixed), "multimodal": Script("", _fixed),
           "cyclegan": Script("", _fixed), "adain": Script("adain-decoder.safetensors", _arbitrary)}


def _script(text):
    if text not in SCRIPTS:
        raise argparse.ArgumentTypeError(f"{text} is no training whose networks paint: choose among {', '.join(SCRIPTS)}")
    return text


def _axis(text):
    option, _, values = text.partition("=")
    values = tuple(value.strip() for value in values.split(","))
    try:
        good = option and all(map(shlex.split, values))
    except ValueError:  # a quotation mark without its other one
        good = False
    if not good:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read: write OPTION=VALUE,VALUE, such as style-weight=1,3,10")
    return Axis(option, values)


def _look_at(script, words):
    """Let a script's parser look at options before anything runs. Raises InputError with what it says of them."""
    said, before = io.StringIO(), sys.argv
    sys.argv = [script, *words, "--help"]  # at which it ends, if it gets there
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            importlib.import_module(f"training.{script}").main()
    except SystemExit as end:
        if end.code:
            raise InputError(said.getvalue().strip().splitlines()[-1]) from None
    finally:
        sys.argv = before


def gpus(jobs):
    """CUDA_VISIBLE_DEVICES of each job: one of the GPUs in turn where there are several, else as it is (None)."""
    names = [n for n in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if n] or range(torch.cuda.device_count())
    return [str(names[i % len(names)]) if len(names) > 1 else None for i in range(jobs)]


class Sweep:
    """The runs of a sweep: where they lie, with which options, and those that are running.

    axes: one or two `Axis`; options: words for every run; jobs: runs at a time. Raises InputError for options that are given
    twice or set by the sweep, for values that the script's parser refuses, and for two runs that would share a folder.
    """

    def __init__(self, script, axes, options, folder, jobs=1):
        self.script, self.axes, self.options, self.folder, self.jobs = script, axes, options, folder, jobs
        self.combinations = list(itertools.product(*(axis.values for axis in axes)))
        self.stopped, self._running, self._gpus = False, set(), queue.SimpleQueue()
        for gpu in gpus(jobs):
            self._gpus.put(gpu)
        given = [word.partition("=")[0] for word in options] + [f"--{axis.option}" for axis in axes]
        for name in given:
            if name.startswith("-o") or len(name) > 2 and any(own.startswith(name) for own in OWN):
                raise InputError(f"{name} is given to every run by the sweep: leave it out; --runs names the folder of all.")
        if twice := [f"--{axis.option}" for axis in axes if given.count(f"--{axis.option}") > 1]:
            raise InputError(f"{twice[0]} is given twice: once is enough, by --over or behind --.")
        for axis in axes:
            for value in axis.values:
                _look_at(script, [*options, f"--{axis.option}", *shlex.split(value)])
        if len({self.place(c) for c in self.combinations}) < len(self.combinations):
            raise InputError("Two of the runs would have one folder: give each value once.")

    def label(self, combination):
        return " ".join(f"{axis.option}={value}" for axis, value in zip(self.axes, combination))

    def place(self, combination):
        """A run's folder, whatever the order of the axes."""
        values = ((axis.option, re.sub(r"[^\w.+-]+", "_", value)[-100:]) for axis, value in zip(self.axes, combination))
        return self.folder / ",".join(f"{option}={value}" for option, value in sorted(values))

    def networks(self, combination):
        """The files that a run leaves at its end."""
        return sorted((self.place(combination) / "result").glob("*.safetensors"))

    def _words(self, combination):
        """A run's options, but for those that say where it lies."""
        values = sorted((axis.option, shlex.split(value)) for axis, value in zip(self.axes, combination))
        return [*self.options, *(word for option, value in values for word in (f"--{option}", *value))]

    def finished(self, combination):
        """Whether this run came to its end, with these options."""
        path = self.place(combination) / FINISHED
        return path.is_file() and path.read_text() == shlex.join(self._words(combination)) and bool(self.networks(combination))

    def _run(self, combination, watch):
        """Train one combination, or go on: (exit code, the last line that it printed)."""
        folder, words, last = self.place(combination), self._words(combination), ""
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", f"training.{self.script}", *words, "--run-folder", str(folder), "-o",
                   str(folder / "result" / SCRIPTS[self.script].output), "--resume"]
        gpu = self._gpus.get()
        # In a session of its own it does not hear the terminal's Ctrl-C, which `stop` hands on; and if the sweep is killed,
        # the pipe breaks at the next line that it prints.
        options = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                       env=os.environ | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}), start_new_session=True)
        with open(folder / "output.txt", "a", buffering=1) as log, subprocess.Popen(command, **options) as process:
            self._running.add(process)
            if self.stopped:  # while it began
                process.terminate()
            for line in process.stdout:
                log.write(line)
                if line.strip():
                    last = line.strip()
                    watch(f"{self.label(combination)}: {last}")
        self._running.discard(process)
        self._gpus.put(gpu)
        code = process.returncode
        if code < 0:
            last = f"killed by {signal.Signals(-code).name}" + ": is the memory enough?" * (code == -signal.SIGKILL)
        elif code == 0 and not self.networks(combination):
            code, last = 1, "it left no network"
        elif code == 0:
            with checkpoints.replacing(folder / FINISHED) as part:
                part.write_text(shlex.join(words))
        return code, last[-LONGEST:].replace("--run-folder", "--runs")

    def run(self, watch):
        """Train what is not finished: yields (combination, exit code, the last line that it printed) as each run ends.

        watch: called with each line that a run prints. After `stop` only those come that have ended well nevertheless.
        """
        waiting, running = [c for c in self.combinations if not self.finished(c)], {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                while running or waiting and not self.stopped:
                    while waiting and len(running) < self.jobs and not self.stopped:
                        combination = waiting.pop(0)
                        running[pool.submit(self._run, combination, watch)] = combination
                    for run in wait(running, return_when=FIRST_COMPLETED).done:
                        combination, (code, said) = running.pop(run), run.result()
                        if code == 0 or not self.stopped:
                            yield combination, code, said
            except BaseException:  # of whoever asked for the next one as well
                self.stop()
                raise

    def stop(self, *_):
        """Start no more runs, and let the running ones save and end; the second time they end at once."""
        self.stopped = True
        for process in list(self._running):
            process.terminate()

    @contextlib.contextmanager
    def stopping(self):
        """Ctrl-C and `kill` call `stop`."""
        before = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for item in before.items():
                signal.signal(*item)

    def cell(self, combination, photos, style):
        """What a finished run's networks make of the photographs, and their last losses."""
        paths = self.networks(combination)
        pictures = [SCRIPTS[self.script].paint(photo, path, style) for path in paths for photo in photos]
        losses = json.loads(checkpoints.describe(paths[0])["losses"])
        shown = {n: v for n, v in losses.items() if n.startswith(("content", "style"))} or losses
        return Cell(pictures, ", ".join(f"{name}: {value:.3g}" for name, value in shown.items()))


def _wrap(text, size, width):
    """A text in lines of about so many pixels at most."""
    return textwrap.wrap(text, int(width / (LETTER * size)))


def _beside(pictures):
    """Pictures [1, 3, H, W] as one PIL image, beside each other."""
    pictures = [images.to_pil(picture) for picture in pictures]
    result, x = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), "white"), 0
    for picture in pictures:
        result.paste(picture, (x, 0))
        x += picture.width
    return result


def draw(heading, axes, cells, photos, style=None):
    """The sheet as a PIL image: the photographs and the style, then a cell for each combination, its values on the axes.

    axes: those of the columns and, if there are two, of the rows; cells: {combination: Cell}, those not there are empty;
    photos: [1, 3, H, W] each; style: a picture or None.
    """
    originals, painted = _beside(photos), {c: _beside(cell.pictures) for c, cell in cells.items() if cell.pictures}
    width = max(picture.width for picture in (originals, *painted.values()))
    height = max(picture.height for picture in (originals, *painted.values()))
    captions = {combination: _wrap(cells[combination].text, CAPTION, width) for combination in painted}

    def names(axis):
        return [f"= {value if len(value) <= SHOWN else f'...{value[-SHOWN:]}'}" for value in axis.values]

    across, down = names(axes[0]), [[axes[1].option, name] for name in names(axes[1])] if len(axes) > 1 else [[]]
    left = GAP + max(round(ImageFont.load_default(LABEL).getlength(line)) + GAP for lines in down for line in lines or [""])
    total = left + max(len(across), 2) * (width + GAP)
    title = _wrap(heading, HEADING, total - left - GAP)
    top = GAP + len(title) * round(LINE * HEADING) + GAP
    first = top + height + round(LINE * CAPTION) + GAP + round(LINE * LABEL) + GAP
    row_height = height + max([1, *map(len, captions.values())]) * round(LINE * CAPTION) + GAP
    result = Image.new("RGB", (total, first + len(down) * row_height), "white")
    canvas = ImageDraw.Draw(result)

    def write(x, y, lines, size, color=INK):
        for number, line in enumerate(lines):
            canvas.text((x, y + number * round(LINE * size)), line, color, ImageFont.load_default(size))

    write(left, GAP, title, HEADING, FADED)
    references = {"photograph": originals}
    if style is not None:
        references["style"] = images.to_pil(style)
        references["style"].thumbnail((width, height), Image.Resampling.LANCZOS)
    for column, (name, picture) in enumerate(references.items()):
        result.paste(picture, (left + column * (width + GAP), top))
        write(left + column * (width + GAP), top + height + 4, [name], CAPTION, FADED)
    for column, name in enumerate(across):
        write(left + column * (width + GAP), first - round(LINE * LABEL) - 4, [f"{axes[0].option} {name}"], LABEL)
    for row, name in enumerate(down):
        write(GAP, first + row * row_height, name, LABEL)
    for number, combination in enumerate(itertools.product(*(axis.values for axis in axes))):
        column, row = divmod(number, len(down))
        x, y = left + column * (width + GAP), first + row * row_height
        if combination in painted:
            result.paste(painted[combination], (x, y))
            write(x, y + height + 4, captions[combination], CAPTION)
        else:
            canvas.rectangle((x, y, x + width - 1, y + height - 1), EMPTY)
            sentence = cells[combination].text if combination in cells else "not yet run"
            lines = _wrap(sentence, CAPTION, width - 2 * GAP)[:(height - 2 * GAP) // round(LINE * CAPTION)]
            write(x + GAP, y + GAP, lines, CAPTION, FADED)
    return result


def main():
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    p = argparse.ArgumentParser("python -m training.sweep", description=__doc__, allow_abbrev=False,
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                usage="%(prog)s SCRIPT --over OPTION=VALUE,... [options] -- OPTIONS OF THE SCRIPT")
    add = p.add_argument
    add("script", type=_script, metavar="SCRIPT", help=", ".join(SCRIPTS))
    add("--over", type=_axis, action="append", required=True, metavar="OPTION=VALUE,...", help="once or twice")
    add("--runs", type=Path, metavar="FOLDER", help="folder of the runs' folders; default: runs/sweep-SCRIPT")
    add("-o", "--output", type=Path, help="the sheet; default: sheet.png in that folder")
    add("--content", type=Path, nargs="+", default=[TILE], metavar="PICTURE", help="what the networks paint")
    add("--style", type=Path, help="adain: in this picture's style")
    add("--size", type=loop.number(int, 32), default=384, help="long side of the pictures on the sheet, pixels")
    add("--jobs", type=loop.number(int, 1), default=1, help="runs at a time; several GPUs are shared out among them")
    a = p.parse_args(words[:end])
    options = words[end + 1:]
    if len(a.over) > 2:
        raise InputError("A sheet has two axes: give --over once or twice, and a third option in another sweep.")
    if a.script != "adain":
        if a.style:
            p.error(f"--style is an option of {a.script}: write it behind --")
        q = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        q.add_argument("--style", type=Path)
        a.style = q.parse_known_args(options)[0].style  # drawn beside the photograph
    elif not a.style:
        a.style = STYLE
    folder = a.runs or Path("runs") / f"sweep-{a.script}"
    sweep = Sweep(a.script, a.over, options, folder, a.jobs)
    photos, style = [images.load(path, a.size) for path in a.content], a.style and images.load(a.style)
    folder.mkdir(parents=True, exist_ok=True)
    output = a.output or folder / "sheet.png"
    kind = images.output_format(output)
    cells, codes = {}, []  # codes: of the runs that failed

    def show(combination, code=0, said=""):
        """Put a run that has ended on the sheet, and say what it came to."""
        try:
            cells[combination] = Cell([], said) if code else sweep.cell(combination, photos, style)
        except StyleTransferError as error:
            cells[combination], code = Cell([], str(error)), 1
        codes.extend([code] if code else [])
        with checkpoints.replacing(output) as part:
            draw(f"training.{a.script} {shlex.join(options)}", a.over, cells, photos, style).save(part, kind, quality=92)
        said = f"{sweep.label(combination)}: {cells[combination].text}"
        bar.console.print(said, highlight=False, markup=False, soft_wrap=True)
        bar.update(task, completed=len(cells))

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)))
    hidden, whole = not sys.stdout.isatty(), float("inf")  # the time left is estimated from all runs
    with sweep.stopping(), Progress(*columns, disable=hidden, speed_estimate_period=whole) as bar, \
            contextlib.closing(sweep.run(lambda line: bar.update(task, description=line))) as runs:
        task = bar.add_task("", total=len(sweep.combinations))
        for combination in filter(sweep.finished, sweep.combinations):
            show(combination)
        bar.reset(task, completed=len(cells))
        for combination, code, said in runs:
            if code == 2 and len(cells) == len(codes):  # what is wrong with the first will be so with all
                raise InputError(f"{sweep.label(combination)}: {said}")
            show(combination, code, said)
    count = f"{len(cells) - len(codes)} of {len(sweep.combinations)} runs"
    if sweep.stopped:
        raise SystemExit(f"stopped with {count} finished; the same command goes on from {folder}")
    print(f"{output}: {count}")
    if codes:
        raise (InputError if set(codes) == {2} else StyleTransferError)(
            f"{len(codes)} of {len(sweep.combinations)} runs failed: the sheet says why, and output.txt in their folders.")


if __name__ == "__main__":
    loop.execute(main)
