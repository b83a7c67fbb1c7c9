"""What each process runs in test_several.py: a training, and one that is stopped and resumed.

    torchrun --nproc_per_node 3 -m tests.training.several FOLDER
"""

import argparse
import os
import random
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from training import loop

STEPS, STOP, FROZEN = 24, 13, 16  # the step at which the last process is asked to stop, and from which statistics are fixed


class Buffer:
    """The numbers that this process was given."""

    def __init__(self):
        self.kept = []

    def state_dict(self):
        return {"kept": self.kept}

    def load_state_dict(self, state):
        self.kept = state["kept"]


def train(folder, batch=6, accumulate=2, resume=False, stop=None):
    """Learn a linear map, and another one with batch normalisation in a second phase: (modules, this process's buffer)."""
    run = loop.Run(argparse.Namespace(program="several", steps=STEPS, batch=batch, accumulate=accumulate, run_folder=folder,
                                      resume=resume, save_every=5, device="cpu", precision="float32", seed=0, compile=False))
    torch.manual_seed(0)
    plain, normed = nn.Linear(4, 1), nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    truth, buffer, asked = torch.tensor([[1.0], [-2.0], [0.5], [3.0]]), Buffer(), []

    def draw(rng):
        seeds = [rng.getrandbits(32) for _ in range(batch)][run.rank::run.world_size]
        return seeds, torch.stack([torch.randn(4, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    def plain_step(i, pictures, rng):
        seeds, x = pictures
        buffer.kept += seeds
        if i == stop and run.rank == run.world_size - 1 and not asked:
            asked.append(os.kill(os.getpid(), signal.SIGTERM))
        return {"total": (plain(x) - x @ truth).pow(2).mean()}

    def normed_step(i, pictures, rng):
        _, x = pictures
        normed.train(i < FROZEN)
        return {"total": (normed(x) - x @ truth + rng.random()).pow(2).mean()}

    phases = [loop.Phase(step, torch.optim.SGD(module.parameters(), 0.05, momentum=0.9), lambda i: loop.cosine(i, STEPS, 4))
              for step, module in ((plain_step, plain), (normed_step, normed))]
    modules = {"plain": plain, "normed": normed}
    run.train(draw, phases, modules, local={"buffer": buffer}, validate=lambda: ({"total": 1.0}, None), log_every=4,
              export=lambda result: (folder / f"exported by {run.rank}").write_text(str(random.random())))
    return modules, buffer


if __name__ == "__main__":
    place = Path(sys.argv[1])
    train(place / "whole")
    try:
        train(place / "halves", stop=STOP)
    except SystemExit as end:
        (place / f"{os.environ['RANK']}.txt").write_text(str(end))
    train(place / "halves", resume=True)
