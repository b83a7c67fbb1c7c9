"""The training loop of all scripts: Adam, cosine learning rate over a time budget, state that resumes."""

import json
import math
import os
import signal
import time
from pathlib import Path

import torch


def train(step, modules, *, minutes, learning_rate, run, validate=None, log_every=100, save_every=300.0, optimizer=None):
    """Minimise step(i, progress)["total"] for a number of minutes; go on from the state in `run` if there is one.

    step: called with the iteration and the part of the time that is over, returns {"total": tensor, other names: tensors}.
    modules: {name: nn.Module} to train and to save. run: folder for state.pt and log.jsonl.
    validate: called at the start, at every save and at the end, returns {name: float}.
    Returns {"steps", "minutes", "losses"}. Raises SystemExit when a loss stops being finite; Ctrl-C saves first.
    """
    run = Path(run)
    run.mkdir(parents=True, exist_ok=True)
    parameters = [p for m in modules.values() for p in m.parameters() if p.requires_grad]
    optimizer = optimizer or torch.optim.Adam(parameters, learning_rate, betas=(0.9, 0.99))
    iteration, before = 0, 0.0
    if (run / "state.pt").exists():
        state = torch.load(run / "state.pt", weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state["modules"][name])
        optimizer.load_state_dict(state["optimizer"])
        iteration, before = state["iteration"], state["seconds"]
        print(f"going on from iteration {iteration}, {before / 60:.1f} minutes", flush=True)
    started = saved = time.monotonic()
    seen = {}  # values of each loss since the last record; a step need not give every one

    def seconds():
        return before + time.monotonic() - started

    def save():
        torch.save({"modules": {n: m.state_dict() for n, m in modules.items()}, "optimizer": optimizer.state_dict(),
                    "iteration": iteration, "seconds": seconds()}, run / "state.part")
        os.replace(run / "state.part", run / "state.pt")

    def record(**entry):
        with open(run / "log.jsonl", "a") as log:
            log.write(json.dumps({"iteration": iteration, "minutes": round(seconds() / 60, 2), **entry}) + "\n")
        print(f"{iteration:7d} {seconds() / 60:6.1f} min  " + "  ".join(f"{k} {v:.4f}" for k, v in entry.items()), flush=True)

    losses = validate() if validate else {}
    record(**losses)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` saves as Ctrl-C does
    try:
        while seconds() < minutes * 60:
            progress = seconds() / (minutes * 60)
            warm = min(1.0, (iteration + 1) / 200)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
            values = step(iteration, progress)
            if not torch.isfinite(values["total"]):
                raise SystemExit(f"the loss is not finite at iteration {iteration}; the state before it is in {run}: "
                                 "start again with a lower learning rate")
            optimizer.zero_grad(set_to_none=True)
            values["total"].backward()
            torch.nn.utils.clip_grad_norm_(parameters, 10.0)
            optimizer.step()
            iteration += 1
            for name, value in values.items():
                seen.setdefault(name, []).append(float(value.detach()))
            if iteration % log_every == 0:
                record(**{n: sum(v) / len(v) for n, v in seen.items()})
                seen = {}
            if time.monotonic() - saved > save_every:
                save()
                saved = time.monotonic()
                if validate:
                    record(**validate())
    except KeyboardInterrupt:
        save()
        raise SystemExit(f"stopped; the same command goes on from {run}") from None
    save()
    losses = validate() if validate else {n: sum(v) / len(v) for n, v in seen.items()}
    record(**losses)
    return {"steps": iteration, "minutes": round(seconds() / 60, 1), "losses": {n: round(v, 5) for n, v in losses.items()}}
