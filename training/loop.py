"""The training loop of all scripts, on accelerate: CPU, one GPU or several processes, bfloat16 where it is faster.

A step's random choices come from a generator seeded by the run's seed and the step's number, so a run that was interrupted
and goes on with --resume ends at the same weights as one that was not.
"""

import collections
import json
import math
import os
import random
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from style_transfer import device, images
from style_transfer.errors import StyleTransferError


def arguments(parser, *, steps, learning_rate, batch, crop, run):
    """The options that every script has."""
    add = parser.add_argument
    add("--steps", type=int, default=steps)
    add("--learning-rate", type=float, default=learning_rate)
    add("--batch", type=int, default=batch, help="pictures a step, over all processes")
    add("--crop", type=int, default=crop, help="side of the crops, pixels")
    add("--run-folder", dest="run", type=Path, default=run and Path(run), metavar="FOLDER",
        help="folder for the state, TensorBoard's records and pictures")
    add("--resume", action="store_true", help="go on where the run in that folder stopped")
    add("--save-every", type=int, default=500, help="steps between two savings, each with a validation")
    add("--device", choices=("cpu", "cuda", "mps"), help="default: the best there is")
    add("--precision", choices=("no", "bf16"), help="mixed precision; default: bf16 where it is faster")
    add("--seed", type=int, default=0)


def accelerator(run, options):
    """accelerate's Accelerator for a run with the options of `arguments`; `torchrun` makes several of it.

    On the device named, else on the best there is; in the precision named, else in that in which a run to be resumed began,
    else in bfloat16 where that is measured to be faster.
    """
    where, states, precision = device.pick(options.device), sorted(Path(run).rglob("state.pt")), options.precision
    if precision is None and options.resume and states:
        precision = torch.load(states[0], map_location="cpu", weights_only=True)["precision"]
    if precision is None:
        shared = where.type == "cpu" and int(os.environ.get("WORLD_SIZE", 1)) > 1  # each would measure something else
        precision = "bf16" if not shared and device.precision(where) == torch.bfloat16 else "no"
    result = Accelerator(cpu=where.type == "cpu", mixed_precision=precision, log_with="tensorboard", project_dir=run)
    if options.batch % result.num_processes:
        raise SystemExit(f"--batch {options.batch} cannot be shared by {result.num_processes} processes: use a multiple of it")
    return result


def run(main):
    """Call a script's main: the library's errors are sentences, not tracebacks."""
    try:
        main()
    except StyleTransferError as error:
        raise SystemExit(str(error)) from None


def seeded(seed, step):
    """The generator of a step's random choices."""
    return random.Random(f"{seed} {step}")


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
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _batches(draw, seed, start, steps, workers):
    """draw(rng) for every step; `workers` threads work on the next steps where pictures are read from files."""
    if not workers:
        yield from (draw(seeded(seed, i)) for i in range(start, steps))
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = collections.deque()
        for i in range(start, steps):
            waiting.append(pool.submit(draw, seeded(seed, i)))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def train(accelerator, draw, step, modules, optimizer, *, steps, run, schedule, seed=0, resume=False, validate=None,
          export=None, workers=0, save_every=500, log_every=100, clip=10.0):
    """Minimise step(i, draw(rng), rng)["total"] for a number of steps.

    draw: makes a step's pictures from its random generator, in `workers` threads ahead of the training; in several processes
    each gets the same generator and makes its share. step: called with the iteration, those pictures and the generator,
    returns {"total": tensor, other names: tensors}. modules: {name: nn.Module} to save;
    optimizer: over what of them learns; schedule: factor of the learning rate at an iteration. run: folder for state.pt,
    pictures.png and TensorBoard's records. validate: called at the start, at every saving and at the end, returns
    ({name: float}, pictures [N, 3, H, W] or None). export: called with {"steps", "minutes", "losses"} at every saving.
    Returns that. Raises SystemExit with a sentence when a loss is not finite, when the folder holds a run that was not to be
    resumed, or after Ctrl-C, which saves first.
    """
    run, main = Path(run), accelerator.is_main_process
    run.mkdir(parents=True, exist_ok=True)
    iteration, before, losses, seen = 0, 0.0, {}, {}  # seen: values of each loss since the last record
    rates = [group["lr"] for group in optimizer.param_groups]
    if (run / "state.pt").exists():
        if not resume:
            raise SystemExit(f"{run} holds a run: go on with it by --resume, or name another by --run-folder")
        state = torch.load(run / "state.pt", map_location=accelerator.device, weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state["modules"][name])
        optimizer.load_state_dict(state["optimizer"])
        iteration, before, seen = state["iteration"], state["seconds"], state["seen"]
        accelerator.print(f"going on from step {iteration}, {before / 60:.1f} minutes", flush=True)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    accelerator.init_trackers(os.path.relpath(run, accelerator.project_dir))
    data = _batches(draw, seed, iteration, steps, workers)
    started = time.monotonic()

    def minutes():
        return (before + time.monotonic() - started) / 60

    def record(values):
        accelerator.log(values, iteration)
        if main:
            with open(run / "log.jsonl", "a") as log:
                log.write(json.dumps({"step": iteration, "minutes": round(minutes(), 2), **values}) + "\n")
            bar.console.print(f"{iteration:7d} {minutes():6.1f} min  " + "  ".join(f"{k} {v:.4f}" for k, v in values.items()),
                              highlight=False, soft_wrap=True)

    def check():
        nonlocal losses
        if validate is None or not main:
            return
        with torch.no_grad(), accelerator.autocast():
            losses, pictures = validate()
        record({f"validation/{name}": value for name, value in losses.items()})
        if pictures is not None:
            pictures = pictures.float().clamp(0, 1).cpu()
            images.save(torch.cat(list(pictures), 2)[None], run / "pictures.png")
            accelerator.get_tracker("tensorboard").log_images({"pictures": pictures.numpy()}, iteration, dataformats="NCHW")

    def result():
        return {"steps": iteration, "minutes": round(minutes(), 1), "losses": {n: round(v, 5) for n, v in losses.items()}}

    def save():
        if not main:
            return
        torch.save({"modules": {n: m.state_dict() for n, m in modules.items()}, "optimizer": optimizer.state_dict(),
                    "iteration": iteration, "seconds": 60 * minutes(), "seen": seen,
                    "precision": accelerator.mixed_precision}, run / "state.part")
        os.replace(run / "state.part", run / "state.pt")
        if export:
            export(result())

    columns = (TextColumn("{task.completed:6d}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _stopping() as asked, Progress(*columns, disable=not (main and sys.stdout.isatty())) as bar:
        task = bar.add_task("", total=steps, completed=iteration)
        if iteration == 0:
            check()
        stop = 0.0
        while iteration < steps and not stop:
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * schedule(iteration)
            with accelerator.autocast():
                values = step(iteration, next(data), seeded(seed, f"{iteration} step"))
            accelerator.backward(values["total"])
            if accelerator.num_processes > 1:
                for p in parameters:
                    if p.grad is not None:  # the same ones in all processes
                        p.grad = accelerator.reduce(p.grad, "mean")
            norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
            names, numbers = list(values), [value.detach().float() for value in values.values()]
            numbers = torch.stack([*numbers, norm.float(), numbers[0].new_tensor(float(len(asked)))])
            *numbers, norm, stop = accelerator.reduce(numbers, "mean").tolist()  # so that all processes know the same
            if not all(map(math.isfinite, (*numbers, norm))):
                raise SystemExit(f"a loss or its gradient is not finite at step {iteration} ({dict(zip(names, numbers))}): go "
                                 f"on from what was last saved in {run}, by --resume with a lower --learning-rate")
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            iteration += 1
            bar.update(task, completed=iteration)
            for name, number in zip(names, numbers):
                seen.setdefault(name, []).append(number)
            if iteration % log_every == 0:
                record({n: sum(v) / len(v) for n, v in seen.items()})
                seen = {}
            if iteration % save_every == 0 and iteration < steps:
                check()
                save()
        if stop:
            save()
            raise SystemExit(f"stopped at step {iteration}; the same command with --resume goes on from {run}")
        check()
        losses = losses or {n: sum(v) / len(v) for n, v in seen.items()}
        save()
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers.clear()
    return result()
