"""Runs in a folder: their state, and two of them compared."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.conftest import EXAMPLES
from training import loop, records, runs


def made(folder, state="finished", options=(), log=(), **more):
    """A run's folder with a log of {step: total}."""
    folder.mkdir(parents=True)
    records.write(folder / records.CONFIG, {"began": "2026-01-01T00:00:00+01:00", "options": dict(options), "code": "a" * 12,
                                            "torch": "2.8", "processes": 1})
    records.tell(folder, state, stage=".", step=0, steps=100, **more)
    with open(folder / records.LOG, "w") as file:
        for step, total in dict(log).items():
            file.write(json.dumps({"step": step, "minutes": step / 10, "validation/total": total, "learning_rate": 0.1}) + "\n")
    return folder


@pytest.fixture
def called(monkeypatch, capsys):
    """called(*arguments): exit code, and what is printed."""
    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["training.runs", *map(str, arguments)])
        code = 0
        try:
            loop.execute(runs.main)
        except SystemExit as end:
            code = end.code
        return code, "".join(capsys.readouterr())
    return called


def test_the_list_tells_what_runs_what_is_done_and_what_was_killed(tmp_path, called):
    made(tmp_path / "deep/down/done", log={50: 2.0, 100: 1.25})
    made(tmp_path / "asked", "stopped", log={20: 3.0})
    made(tmp_path / "diverged", "failed", message="A loss is not finite [red]: begin anew.")
    alive = made(tmp_path / "alive", "running", log={10: 4.0})
    process = subprocess.Popen(["sleep", "600"])
    try:
        told = {"pid": process.pid, "since": psutil.Process(process.pid).create_time()}
        records.write(alive / records.STATUS, records.status(alive) | told)
        code, text = called(tmp_path)
        line = {name: next(line for line in text.splitlines() if name in line) for name in ("done", "asked", "verged", "alive")}
        assert code == 0 and "finished" in line["done"] and "100 / 100" in line["done"] and "total 1.25" in line["done"]
        assert "stopped" in line["asked"] and "20 / 100" in line["asked"] and " 2.0 " in line["asked"]
        assert "failed" in line["verged"] and "not finite [red]" in line["verged"]
        assert "running" in line["alive"] and "10 / 100" in line["alive"]
        process.kill()  # and nobody waits for it: a zombie runs no more
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert "died" in called(alive)[1] and "running" not in called(tmp_path)[1]
        process.wait()
        assert "died" in called(alive)[1]
    finally:
        process.kill()


def test_a_run_on_another_machine_counts_as_dead_when_it_is_silent(tmp_path):
    folder = made(tmp_path / "far", "running", log={1: 1.0})
    records.write(folder / records.STATUS, records.status(folder) | {"state": "running", "host": "elsewhere"})
    assert records.status(folder)["state"] == "running"
    long_ago = time.time() - 2 * records.SILENT
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    assert records.status(folder)["state"] == "died"


def test_two_runs_are_compared_at_equal_steps(tmp_path, called):
    rate = {"learning_rate": ["--learning-rate", "0.1"], "seed": ["--seed", "0"], "run_folder": ["--run-folder", "a"]}
    one = made(tmp_path / "one", options=rate, log={step: 10 / step for step in range(10, 110, 10)})
    two = made(tmp_path / "two", options=rate | {"learning_rate": ["--learning-rate", "0.2"], "decay": ["--decay", "9"]},
               log={step: 20 / step for step in range(20, 120, 20)} | {90: 0.5, 110: 0.25})
    code, text = called(one, two)
    assert code == 0
    rows = {tuple(cell.strip() for cell in line.strip("│").split("│")) for line in text.splitlines() if line.startswith("│")}
    assert ("learning-rate", "--learning-rate 0.1", "--learning-rate 0.2") in rows and ("decay", "-", "--decay 9") in rows
    assert not any(row[0] in ("seed", "run-folder", "code") for row in rows)
    losses = {int(row[1]): row[2:] for row in rows if row[0] == "validation/total"}
    assert len(losses) == 5 and losses[100] == ("0.1", "0.2", "2.000") and set(losses) < {20, 40, 60, 80, 90, 100}
    picture = tmp_path / "one-two.png"
    assert str(picture) in text.replace("\n", "")
    with Image.open(picture) as image:
        assert image.width > 800


@pytest.mark.parametrize("arguments, words", [(["none"], "no folder none"), ([EXAMPLES], "no run in"),
                                              ([EXAMPLES, EXAMPLES], "no run's folder"), ([1, 2, 3], "no more than two"),
                                              ([1, 2, "-o", "a.jpg"], "ends in .png")])
def test_what_is_no_run_is_a_sentence(arguments, words, called):
    code, text = called(*arguments)
    assert code == 2 and words in text and "Traceback" not in text


def test_a_harmed_folder_is_a_sentence(tmp_path, called):
    folder = made(tmp_path / "run", log={1: 1.0})
    with open(folder / records.LOG, "a") as file:
        file.write('{"step": 2, "minu')
    assert "finished" in called(folder)[1] and len(records.read_log(folder)) == 1
    (folder / records.STATUS).write_text('{"state": "running", "pid": "no number"}')
    assert called(tmp_path)[0] == 2
    (folder / records.CONFIG).write_bytes(b"\xff\x00")
    code, text = called(folder, folder)
    assert code == 2 and "no run's folder" in text


def test_a_spike_leaves_the_rest_to_be_seen(tmp_path):
    """A plot of losses that fall from 1 to 0.1 uses a good part of its height for that, whatever one of them was."""
    log = [{"step": step, "total": 10 ** (-step / 100)} for step in range(101)]
    records.plot(tmp_path / "plain.png", {"run": log})
    log[50]["total"] = 1e4
    records.plot(tmp_path / "spike.png", {"run": log})

    def height(name):
        """Pixels between the rows in which the line begins and ends."""
        with Image.open(tmp_path / name) as image:
            picture = np.asarray(image.convert("RGB")).astype(int)[:, :image.width // 3]
        rows, columns = np.nonzero((picture[..., 2] > picture[..., 0] + 60) & (picture[..., 1] > picture[..., 0] + 30))
        return rows[columns.argmax()] - rows[columns.argmin()]
    assert height("spike.png") > 0.15 * height("plain.png") > 10


def test_losses_that_are_not_positive_are_drawn(tmp_path):
    records.plot(tmp_path / "a.png", {"run": [{"step": 1, "total": -3.0, "psnr": 20.0}, {"step": 2, "total": float("nan")}]})
    with Image.open(tmp_path / "a.png") as image:
        assert image.height > 100
