"""Trainings that are killed at random moments: nothing they leave is unreadable, and they end as if nobody had killed them.

KILLS=10 python -m pytest tests/training/test_killed.py -s    kills more often than the suite has time for
"""

import json
import multiprocessing
import os
import random
import sys
import time

import pytest
import torch
from PIL import Image

from style_transfer import checkpoints
from tests.conftest import EXAMPLES
from tests.training.conftest import COMMON, SMALL
from training import loop, records

KILLS = int(os.environ.get("KILLS", 3))
PHOTOS = EXAMPLES / "photos"
SCRIPTS = {"johnson": ("--photos", PHOTOS), "multimodal": ("--photos", PHOTOS),
           "cyclegan": ("--photos", PHOTOS, "--paintings", EXAMPLES / "styles")}
STEPS = 8 * KILLS  # so that a life comes to some savings before its kill
# A server that has imported what a script needs, and forks: each life begins at once.
SERVER = multiprocessing.get_context("forkserver")


def trained(name, arguments):
    """In a process of its own: a script from its command line to its end."""
    sys.stdout = open(os.devnull, "w")
    sys.argv = [f"training.{name}", *map(str, arguments)]
    loop.execute(__import__(f"training.{name}", fromlist=["main"]).main)


def begun(name, folder, *more):
    arguments = (*SCRIPTS[name], *SMALL[name], *COMMON, "--steps", STEPS, "--save-every", 3, "--run-folder", folder / "run",
                 "-o", folder / "out", *more)
    process = SERVER.Process(target=trained, args=(name, arguments))
    process.start()
    return process


def training(process, folder):
    """Whether a process has come to its steps, awaited."""
    while process.is_alive():
        found = records.status(folder / "run")
        if found.get("pid") == process.pid and found["state"] == "running":
            return True
        time.sleep(0.005)
    return False


def check(folder):
    """All that a killed run leaves can be read; returns the step that it goes on from."""
    for path in folder.rglob("*.safetensors"):
        checkpoints.load(path)
    for path in (*folder.rglob("*.png"), *folder.rglob("*.jpg")):
        with Image.open(path) as image:
            image.load()
    state = folder / "run" / loop.STATE
    return loop.read_state(state)["iteration"] if state.exists() else 0


def log(folder):
    """What was recorded, without what depends on the clock."""
    clock = {"minutes": 0, "pictures_per_second": 0}
    return [json.loads(line) | clock for line in (folder / "run" / records.LOG).read_text().splitlines()]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(name, tmp_path):
    SERVER.set_forkserver_preload([f"training.{name}" for name in SCRIPTS])
    whole, killed, seed = tmp_path / "whole", tmp_path / "killed", random.getrandbits(32)
    process = begun(name, whole)
    assert training(process, whole)
    start = time.monotonic()
    process.join()
    assert process.exitcode == 0
    seconds, rng, kills, steps = time.monotonic() - start, random.Random(seed), 0, []
    for _ in range(KILLS):
        process = begun(name, killed, "--resume")
        if training(process, killed):
            process.join(rng.uniform(0, 1.5 * seconds / KILLS))
        process.kill()
        process.join()
        kills += process.exitcode == -9
        steps.append(check(killed))
    print(f"{name}, seed {seed}: killed {kills} times, gone on from the steps {steps}")
    process = begun(name, killed, "--resume")
    process.join()
    assert process.exitcode == 0 and kills > KILLS / 2
    for path in whole.rglob("*.safetensors"):
        one, two = (checkpoints.load(folder / path.relative_to(whole)).state_dict() for folder in (whole, killed))
        assert all(torch.equal(one[key], two[key]) for key in one), (path, seed)
    assert {checkpoints.describe(path)["steps"] for path in (killed / "out").glob("*.safetensors")} == {str(STEPS)}
    assert check(killed) == check(whole) == STEPS and log(killed) == log(whole)
    assert not list(killed.rglob("*.part")) and records.status(killed / "run")["state"] == "finished"
    assert len(records.read(killed / "run" / records.CONFIG)["resumed"]) == sum(step > 0 for step in steps)
