"""What all training scripts share, on accelerate: options, start, loop and saving, on a CPU, one GPU or several processes.

A step's random choices come from a generator seeded by the run's seed and the step's number, so a run that was interrupted
and goes on with --resume ends at the same weights as one that was not, whenever it was killed.

A run's folder holds config.json (the options as words, the command, when it began, with what), status.json (whether it is
running), and of each stage, in its own folder where there are several: log.jsonl, TensorBoard's records, losses.png,
pictures.png, state.pt to go on from, and the network as it was last saved, NAME.safetensors, and where the validation's
total was lowest, NAME-best.safetensors.
"""

import argparse
import collections
import hashlib
import math
import os
import platform
import re
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object, send_to_device
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from style_transfer import checkpoints, device
from style_transfer.errors import CheckpointError, InputError, StyleTransferError
from training import records
from training.data import Pictures, seeded
from training.muon import Muon

# Options that leave the weights as they are (device, compile: but for rounding), and may change when a run is resumed.
FREE = {"resume", "run_folder", "output", "save_every", "device", "compile", "name", "title", "credit", "license"}
STATE = "state.pt"
BEST = "-best"  # after the name of a network's file: as it was where the validation's total was lowest
STATE_KEYS = {"config", "precision", "modules", "optimizers", "local", "iteration", "seconds", "seen", "losses", "lowest"}
PRECISIONS = {"float32": "no", "bfloat16": "bf16"}  # and accelerate's names for them
LOOK = 20  # steps between two looks at the losses on a GPU, for which the processor has to wait


def cosine(step, steps, warm_up=100, end=0.01):
    """Up in `warm_up` steps, then down along half a cosine."""
    return min(1.0, (step + 1) / warm_up) * (end + (1 - end) * (1 + math.cos(math.pi * step / steps)) / 2)


def constant(step, steps):
    """1 (Johnson et al. 2016)."""
    return 1.0


def staircase(step, steps, every=2000, factor=0.8):
    """Falls to 0.8 of itself every 2,000 steps (Wang et al. 2017, section 4)."""
    return factor ** (step // every)


def inverse(step, steps, decay=5e-5):
    """1 / (1 + 5e-5 steps) (Huang and Belongie's code)."""
    return 1 / (1 + decay * step)


def linear(step, steps, until=0.5):
    """1 for a part of the steps, then linearly down to 0 (Zhu et al. 2017, section 4)."""
    return min(1.0, (1 - step / steps) / (1 - until))


# Factors of the learning rate by the number of the step and of all steps.
SCHEDULES = {function.__name__: function for function in (cosine, constant, staircase, inverse, linear)}
OPTIMIZERS = ("adam", "muon")
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SMOKE_FOLDER = Path("runs", "smoke")
SMOKE = {"steps": 4, "save_every": 2, "batch": 2, "crop": 64}  # of every script with --smoke


def number(kind=float, low=0.0, multiple=None):
    """An argparse type: a finite number from `low` on, and a multiple."""
    def parse(text):
        value = kind(text)
        if not low <= value < math.inf or (multiple and value % multiple):
            raise argparse.ArgumentTypeError(f"{text} is no {f'multiple of {multiple}' if multiple else 'number'} >= {low}")
        return value
    parse.__name__ = kind.__name__
    return parse


def parser(script, description, *, steps, learning_rate, batch, crop, run_folder=None, multiple=16, smallest=32,
           optimizer="adam", schedule="cosine"):
    """A parser with the options that every script has; sides of crops are multiples of `multiple`, `smallest` or more."""
    program = f"python -m training.{script}"
    result = argparse.ArgumentParser(program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.set_defaults(program=program)
    add = result.add_argument
    add("--recipe", metavar="NAME", help="paper: the options of the paper, which are slower; those beside it count more")
    add("--smoke", action="store_true", help="a few steps on the example pictures, to see that all works")
    add("--steps", type=number(int, 1), default=steps)
    add("--optimizer", choices=OPTIMIZERS, default=optimizer)
    add("--schedule", choices=SCHEDULES, default=schedule, help="of the learning rate")
    add("--learning-rate", type=number(), default=learning_rate)
    add("--batch", type=number(int, 1), default=batch, help="pictures of a batch, over all processes")
    add("--crop", type=number(int, smallest, multiple), default=crop, help="side of the crops, pixels")
    add("--run-folder", type=Path, default=run_folder and Path(run_folder), metavar="FOLDER",
        help="folder for the state, TensorBoard's records and pictures")
    add("--resume", action="store_true", help="go on where the run in that folder stopped, with the same options")
    add("--save-every", type=number(int, 1), default=500, help="steps between two savings, each with a validation")
    add("--accumulate", type=number(int, 1), default=1, metavar="N", help="batches whose gradients are averaged for one step")
    add("--compile", action="store_true", help="compile what is trained, for a GPU: on a CPU Johnson's steps take longer so")
    add("--device", choices=("cpu", "cuda", "mps"), help="default: the best there is")
    add("--precision", choices=PRECISIONS, help="default: what suits the device")
    add("--seed", type=int, default=0)
    return result


def parse(parser, recipes=None, smoke=None):
    """Parse the command line, on which --recipe and --smoke stand for words in front of the others.

    recipes: {name: {option: value}}; smoke: {option: value} beside those that all scripts have in common. A smoke run has a
    folder of its own below runs/smoke, and what it makes lies there, in the file or folder that `smoke` calls output.
    """
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--recipe", choices=recipes or {})
    first.add_argument("--smoke", action="store_true")
    found, words = first.parse_known_args()[0], []
    chosen = dict((recipes or {}).get(found.recipe, {}))
    if found.smoke:
        folder = SMOKE_FOLDER / f"{parser.prog.rpartition('.')[2]}-{datetime.now():%Y%m%d-%H%M%S-%f}"
        chosen |= SMOKE | {"run_folder": folder} | (smoke or {})
        chosen["output"] = folder / chosen.get("output", "checkpoints")
    for name, value in chosen.items():
        words += _words(name, value)
    return parser.parse_args(words + sys.argv[1:])


def optimizer(options, parameters, rate=None, betas=(0.9, 0.999)):
    """The optimizer that --optimizer names; rate: default --learning-rate; betas: of Adam."""
    rate = options.learning_rate if rate is None else rate
    return Muon(parameters, rate) if options.optimizer == "muon" else torch.optim.Adam(list(parameters), rate, betas)


def schedule(options, steps=None):
    """iteration -> factor of the learning rate, as --schedule names it; steps: default --steps."""
    steps = options.steps if steps is None else steps
    return lambda iteration: SCHEDULES[options.schedule](iteration, steps)


def execute(main):
    """Call a script's main: errors are one sentence, exit code 2 for wrong input and 1 for other failures."""
    try:
        main()
    except (StyleTransferError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, (InputError, CheckpointError)) else 1)


def read_state(path):
    """What `Run.train` saved in a state.pt, on the CPU. Raises InputError for a file that is truncated, empty or foreign."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if STATE_KEYS <= state.keys():
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


def _batches(draw, seed, start, steps, workers, count):
    """`count` times draw(rng) for every step; `workers` threads work on the next steps where pictures come from files."""
    def batches(step):
        rng = seeded(seed, step)
        return [draw(rng) for _ in range(count)]

    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting = collections.deque()
        for i in range(start, steps + workers):
            if i < steps:
                waiting.append(pool.submit(batches, i))
            if i >= start + workers:
                yield waiting.popleft().result()


def _sweep(folder, stem=".*"):
    """Remove the files, of that stem, that a killed process left half-written in a folder."""
    for path in Path(folder).glob(".*.part"):
        if re.fullmatch(rf"\.({stem}\.)?[0-9a-f]{{16}}\.part", path.name):
            path.unlink(missing_ok=True)


def _compile(modules, where):
    """Compile what is called of {name: module}, in place: the names in its state stay. Raises InputError without a compiler."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(8, device=where))
    except Exception as error:  # of many kinds, from deep within
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"--compile found no compiler that works ({reason}): install g++ for a CPU, Triton for a GPU, or "
                         "leave it out.") from None
    for module in modules.values():
        for part in module.values() if isinstance(module, nn.ModuleDict) else [module]:
            part.compile()


def _code():
    """12 hex digits over this project's sources: whether two runs were made by the same ones."""
    root, found = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted(path for package in ("style_transfer", "training") for path in (root / package).rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def _words(name, value):
    """An option as words of a command line; none for what was not given. Paths below the folder at hand are relative to it."""
    if value is None or value is False:
        return []
    values = value if isinstance(value, (list, tuple)) else [] if value is True else [value]
    values = [x.relative_to(Path.cwd()) if isinstance(x, Path) and x.is_relative_to(Path.cwd()) else x for x in values]
    return [f"--{name.replace('_', '-')}", *map(str, values)]


class Phase(NamedTuple):
    """One optimiser's part of every step; an adversarial training has two, which alternate.

    step: (iteration, pictures, random generator) -> {"total": tensor to be minimised, other names: tensors}. With
    --accumulate it is called for each of the step's batches before the next phase begins, so what a phase leaves for the next
    one lies in `pictures`, which both are given.
    """

    step: Callable
    optimizer: torch.optim.Optimizer  # of what this phase changes
    schedule: Callable  # iteration -> factor of the optimizer's learning rate


@dataclass
class Reached:
    """How far a stage has come, all of which is saved but `waiting`."""

    iteration: int = 0
    seconds: float = 0.0
    losses: dict = field(default_factory=dict)  # of the last validation
    lowest: float = math.inf  # total of a validation
    seen: dict = field(default_factory=dict)  # values of each loss since the last record
    waiting: list = field(default_factory=list)  # (iteration, names, tensor) that have not been fetched from the device


KEPT = [item.name for item in fields(Reached) if item.name != "waiting"]


class Run:
    """A training as its options want it: where it runs, its pictures, its loop, and the files that it leaves.

    options: what `parser` parsed; smallest: pictures of a batch that each process needs. `torchrun` makes several processes
    of it. It runs in the precision named, else in that in which a run to be resumed began, else in the one that suits the
    device. Raises InputError for a folder that holds a run which is not to be resumed, or not with these options, or that is
    still running.
    """

    def __init__(self, options, smallest=1):
        self.options, self.folder = options, Path(options.run_folder)
        where, states = device.pick(options.device), sorted(self.folder.rglob(STATE))
        if states and not options.resume:
            raise InputError(f"{self.folder} holds a run: go on with it by --resume, or name another by --run-folder.")
        other = records.status(self.folder)
        if other.get("state") == "running" and other["host"] == socket.gethostname() and other["pid"] != os.getpid():
            raise InputError(f"{self.folder} holds a run that process {other['pid']} is still at: wait for its end, stop "
                             "it, or name another by --run-folder.")
        states = {path: read_state(path) for path in states}
        self.precision = options.precision or (next(iter(states.values()))["precision"] if states
                                               else str(device.precision(where)).removeprefix("torch."))
        self.config = {name: _words(name, value) for name, value in (vars(options) | {"precision": self.precision}).items()}
        for path, state in states.items():
            self._check(path, state)
        device.use_precision(self.precision)
        AcceleratorState._reset_state()  # of a run before this one in the same process, maybe in another precision
        self.accelerator = Accelerator(cpu=where.type == "cpu", mixed_precision=PRECISIONS[self.precision],
                                       log_with="tensorboard", project_dir=self.folder)
        self.device, self.main = self.accelerator.device, self.accelerator.is_main_process
        self.look = 1 if self.device.type == "cpu" else LOOK
        self.rank, self.world_size = self.accelerator.process_index, self.accelerator.num_processes
        if options.batch % self.world_size or options.batch < smallest * self.world_size:
            raise InputError(f"--batch {options.batch} is not possible with {self.world_size} process(es): give a multiple of "
                             f"{self.world_size}, {smallest * self.world_size} or more.")
        torch.manual_seed(options.seed)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        begun = records.read(self.folder / records.CONFIG) if states else {}
        self.origin = {"command": self.command, "options": self.config, "began": begun.get("began", now),
                       "resumed": begun.get("resumed", []) + [now] if states else [], "code": _code(),
                       "torch": torch.__version__, "python": platform.python_version(), "device": str(self.device),
                       "processes": self.world_size}
        self.accelerator.wait_for_everyone()  # all have seen the folder as it was before one of them writes into it

    @property
    def command(self):
        """The command line that makes the same network again, every option written out."""
        words = (word for name, words in self.config.items() if name not in ("program", "resume") for word in words)
        return f"{self.options.program} {shlex.join(words)}"

    def _check(self, path, state):
        """Raise InputError where a state was saved by a run with other options, and name them."""
        changed = [f"{' '.join(before) or 'nothing'} and not {' '.join(now) or 'nothing'}" for name, now in self.config.items()
                   if name not in FREE and (before := state["config"].get(name, [])) != now]
        if changed:
            raise InputError(f"{path} was begun with other options ({', '.join(changed)}): give those, or name another "
                             "--run-folder.")

    def pictures(self, sources, held_out, **options):
        """`Pictures` of their sources: those to train on, and some that are held out by the run's seed to validate with."""
        pictures = Pictures(*sources, device=self.device, rank=self.rank, world_size=self.world_size, **options)
        return pictures.split(held_out, self.options.seed)

    def save(self, path, network, result, **metadata):
        """Write a network, in the main process; its header says how it came to be. result: what `train` returned."""
        if self.main:
            if self.options.resume:
                _sweep(Path(path).parent, re.escape(Path(path).stem))
            checkpoints.save(path, network, command=self.command, device=str(self.device), **metadata, **result)

    @contextmanager
    def _told(self, at, last, **stage):
        """While a stage is trained, config.json and status.json say so; afterwards, how it ended."""
        def tell(state, **more):
            if self.main:
                records.tell(self.folder, state, step=at.iteration, **stage, **more)
        if self.main:
            records.write(self.folder / records.CONFIG, self.origin)
        tell("running")
        try:
            yield
        except KeyboardInterrupt:
            tell("stopped")
            raise
        except SystemExit:  # of all processes
            tell("stopped")
            self.accelerator.wait_for_everyone()
            raise
        except BaseException as error:
            tell("failed", message=str(error) or type(error).__name__)
            raise
        tell("finished" if last else "running")
        self.accelerator.wait_for_everyone()  # what the main process wrote is there for all

    def _learn(self, phase, iteration, batches, rng, clip, at):
        """One step of one optimiser on the mean of some batches' gradients; its losses join those that wait."""
        found = {}
        for pictures in batches:
            with self.accelerator.autocast():
                losses = phase.step(iteration, pictures, rng)
            self.accelerator.backward(losses["total"] / len(batches))
            for name, value in losses.items():
                found.setdefault(name, []).append(value.detach().float())
        parameters = [p for group in phase.optimizer.param_groups for p in group["params"] if p.grad is not None]
        self._average([p.grad for p in parameters])
        norm = nn.utils.clip_grad_norm_(parameters, clip)
        numbers = torch.stack([*(torch.stack(values).mean() for values in found.values()), norm.float()])
        at.waiting.append((iteration, list(found), numbers))
        if self.look == 1:
            self._look(at)
        phase.optimizer.step()

    def _eager(self):
        """While this lasts, networks that are compiled for a training's pictures are not compiled anew for others."""
        return torch.compiler.set_stance("force_eager") if self.options.compile else nullcontext()

    def _average(self, tensors):
        """Let tensors be the mean of what they are in all processes, by one message."""
        if self.world_size > 1 and tensors:
            mean = self.accelerator.reduce(torch.cat([tensor.flatten() for tensor in tensors]), "mean")
            for tensor, part in zip(tensors, mean.split([tensor.numel() for tensor in tensors])):
                tensor.copy_(part.view_as(tensor))

    def _look(self, at):
        """Fetch the losses that wait, as means over the processes. Raises StyleTransferError where one is not finite.

        On a CPU that is before the weights are touched; on a GPU later, but before they are saved.
        """
        if not at.waiting:
            return
        numbers = iter(self.accelerator.reduce(torch.cat([numbers for *_, numbers in at.waiting]), "mean").tolist())
        for iteration, names, _ in at.waiting:
            losses, norm = {name: next(numbers) for name in names}, next(numbers)
            if not all(map(math.isfinite, (*losses.values(), norm))):
                raise StyleTransferError(
                    f"A loss or its gradient is not finite at step {iteration} ({losses}): begin anew with a lower "
                    f"--learning-rate in another --run-folder, by --start from what was last saved in {self.folder} where that "
                    "is a network.")
            for name, value in losses.items():
                at.seen.setdefault(name, []).append(value)
        at.waiting.clear()

    def _resume(self, path, modules, phases, local):
        """Load a stage's state into what it is of, and return what was reached. Raises InputError where it does not fit."""
        state = read_state(path)
        self._check(path, state)
        if local and len(state["local"]) != self.world_size:
            raise InputError(f"{path} was saved by {len(state['local'])} process(es), each with {', '.join(local)} of its own: "
                             f"go on with as many, not {self.world_size}.")
        for name, module in modules.items():
            load_state(module, state["modules"].get(name, {}), path)
        for name, owner in local.items():
            load_state(owner, state["local"][self.rank].get(name, {}), path)
        for phase, saved in zip(phases, state["optimizers"], strict=True):
            load_state(phase.optimizer, saved, path)
        return Reached(**{name: state[name] for name in KEPT})

    def train(self, draw, phases, modules, *, local=None, steps=None, stage=".", last=True, validate=None, export=None,
              best=None, workers=0, log_every=100, clip=10.0):
        """For a number of steps, let each phase in turn minimise its step(i, draw(rng), rng)["total"].

        draw: makes a batch from a step's random generator, in `workers` threads ahead of the training; in several processes
        each gets the same generator and makes its part. modules: {name: what has a state_dict}, all that is saved and resumed
        beside the optimisers, the same in all processes; local: the same for what the steps change in each process by itself,
        such as a buffer of pictures, and whose load_state_dict gets tensors on the CPU. steps: default --steps; stage: folder
        in the run's, where there are several trainings one after the other; last: whether this is the last of them.
        validate: called at the start, at every saving and at the end, returns ({name: float}, pictures [N, 3, H, W], a list of
        such rows of the sheet, or None). export, best: called with {"steps", "minutes", "losses"} at every saving, and at those
        where the validation's "total" is the lowest so far. clip: largest norm of a phase's gradient. Returns what `export`
        gets. Raises StyleTransferError where a loss is not finite, and SystemExit after Ctrl-C, which saves first.
        """
        options, folder, accelerator = self.options, self.folder / stage, self.accelerator
        folder.mkdir(parents=True, exist_ok=True)
        steps, local = options.steps if steps is None else steps, local or {}
        if options.compile:
            _compile(modules, self.device)
        # Each process sees its own part of the pictures, but all shall go on, and be saved, with the same statistics of them.
        statistics = [value for module in modules.values() if isinstance(module, nn.Module) for part in module.modules()
                      if isinstance(part, nn.modules.batchnorm._BatchNorm) for value in (part.running_mean, part.running_var)]
        rates = [[group["lr"] for group in phase.optimizer.param_groups] for phase in phases]
        resumed = (folder / STATE).exists()
        at = self._resume(folder / STATE, modules, phases, local) if resumed else Reached()
        if len(set(gather_object([at.iteration]))) > 1:
            raise InputError(f"{folder} is not the same for all processes: name a --run-folder that all machines share.")
        begun = at.iteration
        if resumed:
            accelerator.print(f"going on from step {begun}, {at.seconds / 60:.1f} minutes", flush=True)
        if self.main:
            _sweep(folder)
            _sweep(self.folder)
        watch = records.Watch(folder, accelerator, begun if resumed else -1)
        data = _batches(draw, options.seed, begun, steps, workers, options.accumulate)
        started = time.monotonic() - at.seconds

        def minutes():
            return (time.monotonic() - started) / 60

        def record(values):
            if self.main:
                watch.record(at.iteration, minutes(), values)
                line = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
                bar.console.print(f"{at.iteration:7d} {minutes():6.1f} min  {line}", highlight=False, soft_wrap=True)

        def means():
            return {name: sum(values) / len(values) for name, values in at.seen.items()}

        def learning_rates():
            now = [phase.optimizer.param_groups[0]["lr"] for phase in phases]
            return {"learning_rate" if len(now) == 1 else f"learning_rate/{i + 1}": rate for i, rate in enumerate(now)}

        def check():
            if not self.main:
                return False
            if validate is None:
                at.losses = means() or at.losses
                return False
            with torch.no_grad(), accelerator.autocast(), self._eager():
                at.losses, pictures = validate()
            record({f"{records.VALIDATION}{name}": value for name, value in at.losses.items()})
            if pictures is not None:
                watch.show(at.iteration, pictures)
            better = at.iteration > 0 and at.losses.get("total", math.inf) < at.lowest
            if better:
                at.lowest = at.losses["total"]
            return better

        def result():
            return {"steps": at.iteration, "minutes": round(minutes(), 1),
                    "losses": {name: round(value, 5) for name, value in at.losses.items()}}

        def save(better=False):
            everyones = gather_object([{name: send_to_device(owner.state_dict(), "cpu") for name, owner in local.items()}])
            if not self.main:
                return
            with self._eager():
                if export:
                    export(result())
                if best and better:
                    best(result())
            at.seconds = 60 * minutes()
            state = {"config": self.config, "precision": self.precision, "local": everyones,
                     "modules": {name: module.state_dict() for name, module in modules.items()},
                     "optimizers": [phase.optimizer.state_dict() for phase in phases],
                     **{name: getattr(at, name) for name in KEPT}}
            with checkpoints.replacing(folder / STATE) as part, open(part, "wb") as file:  # last: it says that all this is done
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            watch.plot()

        columns = (TextColumn("{task.completed:6d}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with (closing(watch), self._told(at, last, stage=str(stage), steps=steps), _stopping() as asked,
              Progress(*columns, refresh_per_second=2, disable=not (self.main and sys.stdout.isatty())) as bar):
            task = bar.add_task("", total=steps, completed=begun)
            if not resumed:
                check()
            stop, since, timed = False, time.monotonic(), begun
            while at.iteration < steps and not stop:
                batches, rng = next(data), seeded(options.seed, f"{at.iteration} step")
                for phase, full in zip(phases, rates):
                    for group, rate in zip(phase.optimizer.param_groups, full):
                        group["lr"] = rate * phase.schedule(at.iteration)
                    self._learn(phase, at.iteration, batches, rng, clip, at)
                    for other in phases:  # through whose weights this loss may have gone
                        other.optimizer.zero_grad(set_to_none=True)
                self._average(statistics)
                at.iteration += 1
                bar.update(task, completed=at.iteration)
                recording = at.iteration % log_every == 0
                saving = at.iteration % options.save_every == 0 or at.iteration == steps
                if recording or saving or at.iteration % self.look == 0:
                    self._look(at)
                    stop = bool(accelerator.reduce(torch.tensor(float(len(asked)), device=self.device)))  # of any process
                paused = time.monotonic()
                if recording:
                    pictures = options.batch * options.accumulate * (at.iteration - timed)
                    record(means() | learning_rates() | {"pictures_per_second": pictures / max(1e-9, paused - since)})
                    at.seen, timed, since = {}, at.iteration, paused
                if saving:
                    save(check())
                since += time.monotonic() - paused  # what is no training
            if stop:
                save()
                raise SystemExit(f"stopped at step {at.iteration}; the same command with --resume goes on from {self.folder}")
        return result()
