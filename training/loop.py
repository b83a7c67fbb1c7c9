"""What all training scripts share, on accelerate: options, start, loop and saving, on a CPU, one GPU or several processes.

A step's random choices come from a generator seeded by the run's seed and the step's number, so a run that was interrupted
and goes on with --resume ends at the same weights as one that was not.
"""

import argparse
import collections
import json
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from style_transfer import checkpoints, device, images
from style_transfer.errors import CheckpointError, InputError, StyleTransferError
from training.data import Pictures, seeded

# Options that leave the weights as they are (another device: but for rounding), and may change when a run is resumed.
FREE = {"resume", "run_folder", "output", "save_every", "device", "name", "title", "credit", "license"}
STATE = "state.pt"
PRECISIONS = {"float32": "no", "bfloat16": "bf16"}  # and accelerate's names for them


def number(kind=float, low=0.0, multiple=None):
    """An argparse type: a finite number from `low` on, and a multiple."""
    def parse(text):
        value = kind(text)
        if not low <= value < math.inf or (multiple and value % multiple):
            raise argparse.ArgumentTypeError(f"{text} is no {f'multiple of {multiple}' if multiple else 'number'} >= {low}")
        return value
    parse.__name__ = kind.__name__
    return parse


def parser(script, description, *, steps, learning_rate, batch, crop, run_folder=None, multiple=16, smallest=32):
    """A parser with the options that every script has; sides of crops are multiples of `multiple`, `smallest` or more."""
    program = f"python -m training.{script}"
    result = argparse.ArgumentParser(program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.set_defaults(program=program)
    add = result.add_argument
    add("--steps", type=number(int, 1), default=steps)
    add("--learning-rate", type=number(), default=learning_rate)
    add("--batch", type=number(int, 1), default=batch, help="pictures a step, over all processes")
    add("--crop", type=number(int, smallest, multiple), default=crop, help="side of the crops, pixels")
    add("--run-folder", type=Path, default=run_folder and Path(run_folder), metavar="FOLDER",
        help="folder for the state, TensorBoard's records and pictures")
    add("--resume", action="store_true", help="go on where the run in that folder stopped, with the same options")
    add("--save-every", type=number(int, 1), default=500, help="steps between two savings, each with a validation")
    add("--device", choices=("cpu", "cuda", "mps"), help="default: the best there is")
    add("--precision", choices=PRECISIONS, help="default: what suits the device")
    add("--seed", type=int, default=0)
    return result


def execute(main):
    """Call a script's main: errors are one sentence, exit code 2 for wrong input and 1 for other failures."""
    try:
        main()
    except (StyleTransferError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, (InputError, CheckpointError)) else 1)


def read_state(path, where="cpu"):
    """What `Run.train` saved in a state.pt. Raises InputError, one sentence, for a file that is truncated, empty or foreign."""
    try:
        state = torch.load(path, map_location=where, weights_only=True)
        if {"config", "precision", "modules", "optimizers", "iteration", "seconds", "seen"} <= state.keys():
            return state
    except Exception:  # unpickling what is no pickle fails in many ways
        pass
    raise InputError(f"{path} is missing, damaged or no state of this version's training: begin anew in another --run-folder.")


def load_state(target, state, path, **options):
    """target.load_state_dict(state). Raises InputError, one sentence that names the file, where it does not fit."""
    try:
        target.load_state_dict(state, **options)
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"{path} does not fit what is to be trained ({str(error).splitlines()[-1].strip()}).") from None


def cosine(step, steps, warm_up=100, end=0.01):
    """Factor of the learning rate: up in `warm_up` steps, then down along half a cosine."""
    return min(1.0, (step + 1) / warm_up) * (end + (1 - end) * (1 + math.cos(math.pi * step / steps)) / 2)


def staircase(step, every=2000, factor=0.8):
    """Factor of the learning rate that falls to 0.8 of itself every 2,000 steps (Wang et al. 2017)."""
    return factor ** (step // every)


@contextmanager
def _stopping():
    """Ctrl-C and `kill` end the loop between two steps: yields a list that is filled when they come."""
    asked = []

    def handler(number, _):
        asked.append(number)
        signal.signal(number, signal.default_int_handler)  # the second time at once
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for item in before.items():
            signal.signal(*item)


def _batches(draw, seed, start, steps, workers):
    """draw(rng) for every step; `workers` threads work on the next steps where pictures are read from files."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting = collections.deque()
        for i in range(start, steps + workers):
            if i < steps:
                waiting.append(pool.submit(draw, seeded(seed, i)))
            if i >= start + workers:
                yield waiting.popleft().result()


def _words(name, value):
    """An option as words of a command line; none for what was not given."""
    values = value if isinstance(value, (list, tuple)) else [] if value is True else [value]
    return [] if value is None or value is False else [f"--{name.replace('_', '-')}", *map(str, values)]


class Phase(NamedTuple):
    """One optimiser's part of every step; an adversarial training has two, which alternate."""

    step: Callable  # (iteration, pictures, random generator) -> {"total": tensor to be minimised, other names: tensors}
    optimizer: torch.optim.Optimizer  # of what this phase changes
    schedule: Callable  # iteration -> factor of the optimizer's learning rate


class Run:
    """A training as its options want it: where it runs, its pictures, its loop, and the files that it leaves.

    options: what `parser` parsed; smallest: pictures of a batch that each process needs. `torchrun` makes several processes
    of it. It runs in the precision named, else in that in which a run to be resumed began, else in the one that suits the
    device. Raises InputError for a folder that holds a run which is not to be resumed, or not with these options.
    """

    def __init__(self, options, smallest=1):
        self.options, self.folder = options, Path(options.run_folder)
        where, states = device.pick(options.device), sorted(self.folder.rglob(STATE))
        if states and not options.resume:
            raise InputError(f"{self.folder} holds a run: go on with it by --resume, or name another by --run-folder.")
        self.precision = options.precision or (read_state(states[0])["precision"] if states
                                               else str(device.precision(where)).removeprefix("torch."))
        self.config = {name: _words(name, value) for name, value in (vars(options) | {"precision": self.precision}).items()}
        for path in states:
            self._saved(path)
        device.use_precision(self.precision)
        self.accelerator = Accelerator(cpu=where.type == "cpu", mixed_precision=PRECISIONS[self.precision],
                                       log_with="tensorboard", project_dir=self.folder)
        self.device, self.main = self.accelerator.device, self.accelerator.is_main_process
        self.rank, self.world_size = self.accelerator.process_index, self.accelerator.num_processes
        if options.batch % self.world_size or options.batch < smallest * self.world_size:
            raise InputError(f"--batch {options.batch} is not possible with {self.world_size} process(es): give a multiple of "
                             f"{self.world_size}, {smallest * self.world_size} or more.")
        torch.manual_seed(options.seed)

    @property
    def command(self):
        """The command line that makes the same network again, every option written out."""
        words = (word for name, words in self.config.items() if name not in ("program", "resume") for word in words)
        return f"{self.options.program} {shlex.join(words)}"

    def _saved(self, path, where="cpu"):
        """The state to go on from. Raises InputError where it was saved by a run with other options, and names them."""
        state = read_state(path, where)
        changed = [f"{' '.join(before) or 'nothing'} and not {' '.join(now) or 'nothing'}" for name, now in self.config.items()
                   if name not in FREE and (before := state["config"].get(name, [])) != now]
        if changed:
            raise InputError(f"{path} was begun with other options ({', '.join(changed)}): give those, or name another "
                             "--run-folder.")
        return state

    def pictures(self, sources, held_out, **options):
        """`Pictures` of their sources: those to train on, and some that are held out by the run's seed to validate with."""
        pictures = Pictures(*sources, device=self.device, rank=self.rank, world_size=self.world_size, **options)
        return pictures.split(held_out, self.options.seed)

    def save(self, path, network, result, **metadata):
        """Write a network, in the main process; its header says how it came to be. result: what `train` returned."""
        if self.main:
            checkpoints.save(path, network, command=self.command, device=str(self.device), **metadata, **result)

    def _learn(self, phase, iteration, pictures, rng, clip):
        """One step of one optimiser, undone before its weights are touched where a number is not finite: {loss: number}."""
        with self.accelerator.autocast():
            losses = phase.step(iteration, pictures, rng)
        self.accelerator.backward(losses["total"])
        parameters = [p for group in phase.optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.world_size > 1:
            for p in parameters:  # the same ones in all processes
                p.grad = self.accelerator.reduce(p.grad, "mean")
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
        numbers = torch.stack([*(value.detach().float() for value in losses.values()), norm.float()])
        *numbers, norm = self.accelerator.reduce(numbers, "mean").tolist()  # so that all processes know the same
        losses = dict(zip(losses, numbers))
        if not all(map(math.isfinite, (*numbers, norm))):
            raise StyleTransferError(
                f"A loss or its gradient is not finite at step {iteration} ({losses}): begin anew with a lower --learning-rate "
                f"in another --run-folder, by --start from what was last saved in {self.folder} where that is a network.")
        phase.optimizer.step()
        return losses

    def train(self, draw, phases, modules, *, steps=None, stage=".", validate=None, export=None, workers=0, log_every=100,
              clip=10.0):
        """For a number of steps, let each phase in turn minimise its step(i, draw(rng), rng)["total"].

        draw: makes a step's pictures from its random generator, in `workers` threads ahead of the training; in several
        processes each gets the same generator and makes its part. modules: {name: what has a state_dict}, all that is saved
        and resumed beside the optimisers. steps: default --steps; stage: folder in the run's, where there are several
        trainings one after the other, for state.pt, pictures.png and TensorBoard's records. validate: called at the start,
        at every saving and at the end, returns ({name: float}, pictures [N, 3, H, W] or None). export: called with
        {"steps", "minutes", "losses"} at every saving. clip: largest norm of a phase's gradient. Returns what `export` gets.
        Raises StyleTransferError where a loss is not finite, and SystemExit after Ctrl-C, which saves first.
        """
        options, folder, accelerator = self.options, self.folder / stage, self.accelerator
        folder.mkdir(parents=True, exist_ok=True)
        steps = options.steps if steps is None else steps
        iteration, before, losses, seen = 0, 0.0, {}, {}  # seen: values of each loss since the last record
        rates = [[group["lr"] for group in phase.optimizer.param_groups] for phase in phases]
        if (folder / STATE).exists():
            state = self._saved(folder / STATE, self.device)
            for name, module in modules.items():
                load_state(module, state["modules"][name], folder / STATE)
            for phase, saved in zip(phases, state["optimizers"], strict=True):
                load_state(phase.optimizer, saved, folder / STATE)
            iteration, before, seen = state["iteration"], state["seconds"], state["seen"]
            accelerator.print(f"going on from step {iteration}, {before / 60:.1f} minutes", flush=True)
        accelerator.init_trackers(os.path.relpath(folder, accelerator.project_dir))
        data = _batches(draw, options.seed, iteration, steps, workers)
        started = time.monotonic()

        def minutes():
            return (before + time.monotonic() - started) / 60

        def record(values):
            accelerator.log(values, iteration)
            if self.main:
                with open(folder / "log.jsonl", "a") as log:
                    log.write(json.dumps({"step": iteration, "minutes": round(minutes(), 2), **values}) + "\n")
                line = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
                bar.console.print(f"{iteration:7d} {minutes():6.1f} min  {line}", highlight=False, soft_wrap=True)

        def check():
            nonlocal losses
            if validate is None or not self.main:
                return
            with torch.no_grad(), accelerator.autocast():
                losses, pictures = validate()
            record({f"validation/{name}": value for name, value in losses.items()})
            if pictures is not None:
                pictures = pictures.float().clamp(0, 1).cpu()
                images.save(torch.cat(list(pictures), 2)[None], folder / "pictures.png")
                accelerator.get_tracker("tensorboard").log_images({"pictures": pictures.numpy()}, iteration, dataformats="NCHW")

        def result():
            return {"steps": iteration, "minutes": round(minutes(), 1), "losses": {n: round(v, 5) for n, v in losses.items()}}

        def save():
            if not self.main:
                return
            torch.save({"config": self.config, "precision": self.precision,
                        "modules": {n: m.state_dict() for n, m in modules.items()},
                        "optimizers": [phase.optimizer.state_dict() for phase in phases],
                        "iteration": iteration, "seconds": 60 * minutes(), "seen": seen}, folder / "state.part")
            os.replace(folder / "state.part", folder / STATE)
            if export:
                export(result())

        columns = (TextColumn("{task.completed:6d}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with _stopping() as asked, Progress(*columns, disable=not (self.main and sys.stdout.isatty())) as bar:
            task = bar.add_task("", total=steps, completed=iteration)
            if iteration == 0:
                check()
            stop = False
            while iteration < steps and not stop:
                pictures, rng = next(data), seeded(options.seed, f"{iteration} step")
                for phase, full in zip(phases, rates):
                    for group, rate in zip(phase.optimizer.param_groups, full):
                        group["lr"] = rate * phase.schedule(iteration)
                    for name, value in self._learn(phase, iteration, pictures, rng, clip).items():
                        seen.setdefault(name, []).append(value)
                    for other in phases:  # through whose weights this loss may have gone
                        other.optimizer.zero_grad(set_to_none=True)
                iteration += 1
                stop = bool(accelerator.reduce(torch.tensor(float(len(asked)), device=self.device)))  # of any process
                bar.update(task, completed=iteration)
                if iteration % log_every == 0:
                    record({n: sum(v) / len(v) for n, v in seen.items()})
                    seen = {}
                if iteration % options.save_every == 0 and iteration < steps:
                    check()
                    save()
            if stop:
                save()
                raise SystemExit(f"stopped at step {iteration}; the same command with --resume goes on from {self.folder}")
            check()
            losses = losses or {n: sum(v) / len(v) for n, v in seen.items()}
            save()
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers.clear()
        return result()
