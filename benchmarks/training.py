"""What a training step costs beside the training: pictures, progress bar, log, checkpoints, validation, as shares of a step.

    python -m benchmarks.training [--photos FOLDER] [--steps 40] [--repeats 5]

Johnson's script itself trains at 256 pixels, with its own settings: on a batch that is always the same, on crops of pictures
in memory, of pictures read from their files at every step, and with the bar. What is kept of a run is measured over steps that
compute next to nothing, where it can be seen. All take turns; of each share the median is told. "Wall" is what one waits;
"processor" is the work of all threads, that of drawing crops by itself, which other programs on the machine hardly change.
"""

import argparse
import contextlib
import functools
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.speed import conditions
from style_transfer import checkpoints
from training import johnson, loop
from training.data import Pictures

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NEVER = 10 ** 9  # steps
SETTLED = 5  # steps until caches and allocators have what they need
SHARES = {  # what: (with it, without it), and of which step the difference is told as a share
    "crops of pictures in memory": ("crops", "same batch", "crops"),
    "crops of pictures in files": ("files", "same batch", "files"),
    "progress bar": ("bar", "crops", "bar"),
    "log and checkpoints": ("kept", "bare", "crops"),
    "log, checkpoints and validation": ("validated", "bare", "crops"),
}


class Terminal(io.StringIO):
    """Takes what a terminal would be shown."""

    def isatty(self):
        return True


def measure(train, run, draw, phases, modules, photos, steps, validate, export, workers):
    """Yields for each round {what: seconds of a step [wall, processor, processor for its crops]}, as a script trains."""
    a, phase, stages = run.options, phases[0], iter(range(NEVER))
    parameters = [p for group in phase.optimizer.param_groups for p in group["params"]]
    read = functools.partial(Pictures(photos, memory=0).crops, a.batch, a.crop, scale=johnson.SCALE)
    batch, every = draw(loop.seeded(a.seed, 0)), a.save_every

    def seconds(draw, step=phase.step, steps=steps, save_every=NEVER, show=io.StringIO, **more):
        stamps, drawn = [], []

        def noted(*arguments):
            stamps.append((time.perf_counter(), time.process_time()))
            return step(*arguments)

        def drawing(rng):
            begun = time.thread_time()
            crops = draw(rng)
            drawn.append(time.thread_time() - begun)
            return crops
        a.save_every = save_every
        with contextlib.redirect_stdout(show()):
            train(run, drawing, [phase._replace(step=noted)], modules, steps=steps, workers=workers, stage=str(next(stages)),
                  **more)
        return np.array([*(np.array(stamps[-1]) - stamps[SETTLED]) / (len(stamps) - 1 - SETTLED), statistics.mean(drawn)])

    def same(_):
        return batch

    def nothing(*_):
        return {"total": sum(p.sum() for p in parameters) * 1e-9}
    idle = functools.partial(seconds, same, nothing, every + SETTLED + 1)  # in which there is one saving
    kept, silent = functools.partial(idle, save_every=every, export=export), {"log_every": NEVER}
    kinds = {"same batch": lambda: seconds(same, **silent), "crops": lambda: seconds(draw, **silent),
             "files": lambda: seconds(read, **silent), "bar": lambda: seconds(draw, show=Terminal, **silent),
             "bare": lambda: idle(**silent), "kept": kept, "validated": lambda: kept(validate=validate)}
    for i in range(steps):  # so that what can be in memory is
        draw(loop.seeded(a.seed, i))
    while True:
        yield {name: kind() for name, kind in kinds.items()}


def shares(photos, steps, repeats, *options):
    """{what: median shares of a step [wall, processor]}, and the seconds of a step [wall, processor, processor for its crops].

    options: further words for the script.
    """
    rounds, original = [], loop.Run.train

    def train(run, draw, phases, modules, *, validate, export, workers, **_):
        found = measure(original, run, draw, phases, modules, photos, steps, validate, export, workers)
        next(found)  # to warm up
        rounds.extend(next(found) for _ in range(repeats))
        return {"steps": 0, "minutes": 0, "losses": {}}
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(loop.Run, "train", train), mock.patch.object(
            sys, "argv", ["johnson", "--style", str(EXAMPLES / "styles/waves.jpg"), "--photos", str(photos), "--device", "cpu",
                          "--start", str(checkpoints.FOLDER / "udnie.safetensors"), "--output", folder, "--run-folder",
                          f"{folder}/run", *map(str, options)]):
        johnson.main()

    def share(what, more, less, step):
        """Of one round. The bar is drawn so many times a second, not a step: its work is a share of one processor's time."""
        work, whole = more[2] if "crops" in what else more[1] - less[1], step[0] if "bar" in what else step[1]
        return (more[0] - less[0]) / step[0], work / whole

    def median(pairs):
        return [statistics.median(values) for values in zip(*pairs)]
    return ({what: median(share(what, *(r[kind] for kind in kinds)) for r in rounds) for what, kinds in SHARES.items()},
            median(r["crops"] for r in rounds))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", type=Path, default=EXAMPLES / "photos")
    p.add_argument("--steps", type=int, default=40, help="of each measurement")
    p.add_argument("--repeats", type=int, default=5)
    a = p.parse_args()
    found, step = shares(a.photos, a.steps, a.repeats)
    print(f"{conditions()}; a step takes {step[0]:.3f} s, {step[1]:.3f} s of a processor")
    print(f"{'share of a step':34s}   wall  processor")
    for what, (wall, processor) in found.items():
        print(f"{what:34s} {wall:6.1%} {processor:10.1%}")


if __name__ == "__main__":
    main()
