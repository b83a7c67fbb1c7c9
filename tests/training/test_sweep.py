"""Sweeps of real trainings, a few steps long: what the sheet shows, what is kept, what a killed or wrong one leaves."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont

from style_transfer import arbitrary, checkpoints, fixed, images
from tests.conftest import EXAMPLES
from tests.training.conftest import COMMON, SMALL, STYLE, WAVES
from training import loop, sweep

SIZE = 256
PHOTO = EXAMPLES / "photos/cat.jpg"
TINY = (*SMALL["johnson"], *COMMON, "--steps", 6)
WIDTHS = ("--width", 4)  # of SMALL, which the sweeps here choose


def typed(script, overs, runs, options, *own):
    """The words of a command line after `python -m training.sweep`."""
    overs = [word for over in overs for word in ("--over", over)]
    return [str(word) for word in (script, *overs, "--runs", runs, "--content", PHOTO, "--size", SIZE, *own, "--", *options)]


def call(monkeypatch, capfd, words):
    """A sweep in this process: (exit code, what it printed, what it printed as an error)."""
    monkeypatch.setattr(sys, "argv", ["sweep", *words])
    code = 0
    try:
        loop.execute(sweep.main)
    except SystemExit as end:
        code = end.code
    return code, *capfd.readouterr()


def places(sheet, part):
    """Where a picture lies in another one, but for rounding in another number of threads: [(x, y)]."""
    sheet, part = np.asarray(sheet).astype(int), np.asarray(part).astype(int)
    (height, width), (full_height, full_width) = part.shape[:2], sheet.shape[:2]
    y, x = divmod(int(part.sum(2).argmin()), width)  # its darkest pixel: text has many that are white
    window = sheet[y:full_height - height + y + 1, x:full_width - width + x + 1]
    return [(left, top) for top, left in np.argwhere((abs(window - part[y, x]) <= 4).all(2))
            if abs(sheet[top:top + height, left:left + width] - part).mean() < 0.5]


def written(text, size, color=sweep.INK, ground="#ffffff"):
    """A text as Pillow draws it, cut to its ink."""
    image = Image.new("RGB", (600, 40), ground)
    ImageDraw.Draw(image).text((4, 4), text, color, ImageFont.load_default(size))
    ink = np.argwhere((np.asarray(image) != np.asarray(image)[0, 0]).any(2))
    (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
    return image.crop((left, top, right, bottom))


def without(options, words):
    """Options without some of them."""
    at = options.index(words[0])
    return (*options[:at], *options[at + len(words):])


def test_a_grid_is_trained_drawn_kept_and_extended(folder, tmp_path, monkeypatch, capfd):
    options = ("--photos", folder, *without(TINY, WIDTHS))
    overs = ["style-weight=1,50", "width=2,4"]
    code, said, error = call(monkeypatch, capfd, typed("johnson", overs, tmp_path, options, "--jobs", 2))
    assert code == 0, error
    photo, sheet = images.load(PHOTO, SIZE), Image.open(tmp_path / "sheet.png")
    assert len(places(sheet, images.to_pil(photo))) == 1
    files = {(weight, width): tmp_path / f"style-weight={weight},width={width}/result/waves.safetensors"
             for weight in (1, 50) for width in (2, 4)}
    at = {}
    for (weight, width), path in files.items():
        (at[weight, width],) = places(sheet, images.to_pil(fixed.stylize(photo, path)))
        losses = json.loads(checkpoints.describe(path)["losses"])
        caption = f"content: {losses['content']:.3g}, style: {losses['style']:.3g}"
        assert f"style-weight={weight} width={width}: {caption}" in said
        below = [(x, y) for x, y in places(sheet, written(caption, sweep.CAPTION)) if y > at[weight, width][1] + photo.shape[2]]
        assert any(abs(x - at[weight, width][0]) < 4 for x, _ in below)
        command = checkpoints.describe(path)["command"]
        assert f"--style-weight {weight}.0 " in command and f"--width {width} " in command
    assert at[1, 2][0] == at[1, 4][0] < at[50, 2][0] == at[50, 4][0]  # the first option goes across
    assert at[1, 2][1] == at[50, 2][1] < at[1, 4][1] == at[50, 4][1]
    for text in ("style-weight = 1", "style-weight = 50", "= 2", "= 4"):
        assert places(sheet, written(text, sweep.LABEL)), text
    names = [path.name for path in tmp_path.iterdir()]
    assert sorted(names) == ["sheet.png", *(f"style-weight={w},width={n}" for w in (1, 50) for n in (2, 4))]

    # the axes exchanged, a value more, at which the loss overflows, in another file, of two photographs
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    words = typed("johnson", ["width=2", "style-weight=1,1e38"], tmp_path, options, "-o", tmp_path / "a.jpg")
    words[words.index("--size"):words.index("--size")] = [str(EXAMPLES / "photos/dogs.jpg")]
    code, said, error = call(monkeypatch, capfd, words)
    assert code == 1 and "1 of 2 runs failed" in error and "Traceback" not in error
    assert "width=2 style-weight=1e38: A loss or its gradient is not finite at step" in said and "1 of 2 runs" in said
    wider = Image.open(tmp_path / "a.jpg")
    assert wider.format == "JPEG" and wider.width > sheet.width
    grey = abs(np.asarray(wider).astype(int) - [int(sweep.EMPTY[i:i + 2], 16) for i in (1, 3, 5)]).max(2) < 4
    assert grey.sum() > SIZE * 200  # a cell without a picture

    code, _, error = call(monkeypatch, capfd, typed("johnson", overs, tmp_path, (*options, "--batch", 1)))
    assert code == 2 and "style-weight=1 width=2: " in error and "with other options (--batch 2 and not --batch 1)" in error
    assert "name another --runs" in error and "\n" not in error.strip()
    kept = {path: path.stat().st_mtime_ns for path in before if path.name != "output.txt"}
    assert all(before[path] == time for path, time in kept.items())


def test_a_killed_sweep_goes_on_and_one_that_is_stopped_saves(folder, tmp_path):
    options = ("--photos", folder, *TINY, "--steps", 40, "--save-every", 10)
    command = [sys.executable, "-m", "training.sweep", *typed("johnson", ["seed=0,1"], tmp_path, options)]
    first, second = (tmp_path / f"seed={n}" for n in (0, 1))

    def started_until(path):
        process = subprocess.Popen(command, cwd=EXAMPLES.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 300
        while not path.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        return process

    killed = started_until(first / "state.pt")
    (run,) = psutil.Process(killed.pid).children()
    killed.kill()
    killed.communicate()
    run.wait(60)  # it ends by itself, so that the next sweep has the folder for itself
    assert not (first / sweep.FINISHED).exists()

    stopped = started_until(second / "state.pt")
    stopped.send_signal(signal.SIGINT)
    said, error = stopped.communicate(timeout=120)
    assert stopped.returncode == 1 and "stopped with 1 of 2 runs finished; the same command goes on" in error
    assert "Traceback" not in error and "stopped at step" in (second / "output.txt").read_text()
    assert "seed=0: content" in said and "seed=1" not in said and not (second / sweep.FINISHED).exists()
    assert "going on from step" in (first / "output.txt").read_text()
    assert checkpoints.describe(first / "result/waves.safetensors")["steps"] == "40"
    with Image.open(tmp_path / "sheet.png") as sheet:
        photo = images.load(PHOTO, SIZE)
        assert places(sheet, images.to_pil(fixed.stylize(photo, first / "result/waves.safetensors")))
        assert places(sheet, written("not yet run", sweep.CAPTION, sweep.FADED, sweep.EMPTY))


def test_options_of_several_numbers_and_decoders_of_any_style(folder, tmp_path, monkeypatch, capfd):
    options = ("--photos", folder, *SMALL["multimodal"], "--crop", 64, *COMMON, "--steps", 1)
    code, said, error = call(monkeypatch, capfd, typed("multimodal", ["style-weight=1 2 3"], tmp_path / "1", options))
    assert code == 0 and "style 1024:" in said, error
    path, photo = tmp_path / "1/style-weight=1_2_3/result/waves.safetensors", images.load(PHOTO, SIZE)
    assert checkpoints.describe(path)["style_weight"] == "[1.0, 2.0, 3.0]"
    assert places(Image.open(tmp_path / "1/sheet.png"), images.to_pil(fixed.stylize(photo, path)))

    options = ("--photos", folder, "--paintings", folder, "--crop", 32, "--batch", 2, *COMMON, "--steps", 1)
    code, said, error = call(monkeypatch, capfd, typed("adain", ["gram-weight=0"], tmp_path / "2", options, "--style", WAVES))
    assert code == 0, error
    path = tmp_path / "2/gram-weight=0/result/adain-decoder.safetensors"
    painted = images.to_pil(arbitrary.stylize(photo, [images.load(WAVES)], decoder=path))
    assert places(Image.open(tmp_path / "2/sheet.png"), painted)


OVER = ["style-weight=1,5"]
WRONG = {  # script, --over, own options, options of the script, words of the sentence
    "distill is no training whose networks paint: choose among johnson": ("distill", OVER, (), ()),
    "required: --over": ("johnson", [], (), ()),
    "'style-weight' cannot be read: write OPTION=VALUE": ("johnson", ["style-weight"], (), ()),
    "'style-weight=1,,5' cannot be read": ("johnson", ["style-weight=1,,5"], (), ()),
    "style=it's": ("johnson", ["style=it's"], (), ()),
    "two axes": ("johnson", [*OVER, "seed=0,1", "batch=2,4"], (), ()),
    "argument --style-weight: invalid float value: 'much'": ("johnson", ["style-weight=1,much"], (), ()),
    "argument --crop: 20 is no": ("johnson", ["crop=32,20"], (), ()),
    "argument --style-weight: expected 3 arguments": ("multimodal", ["style-weight=1 1 1,5 5"], (), ()),
    "argument --steps: 0 is no number >= 1": ("johnson", OVER, (), ("--steps", 0)),
    "--run-folder is given to every run by the sweep": ("johnson", OVER, (), ("--run-folder=a",)),
    "-o is given to every run": ("johnson", OVER, (), ("-o", "checkpoints")),
    "--out is given to every run": ("johnson", OVER, (), ("--out", "checkpoints")),
    "--resume is given to every run": ("johnson", ["resume=1"], (), ()),
    "--style-weight is given twice": ("johnson", OVER, (), ("--style-weight", 5)),
    "--seed is given twice": ("johnson", ["seed=1", "seed=2"], (), ()),
    "Two of the runs would have one folder": ("johnson", ["style-weight=1,5,1"], (), ()),
    "There is no file 'none.jpg'": ("johnson", OVER, ("--content", "none.jpg"), ()),
    "--style is an option of johnson": ("johnson", OVER, ("--style", WAVES), ()),
    "unrecognized arguments: --photos": ("johnson", OVER, ("--photos", "a"), ()),
    "'sheet.txt' does not end in a known picture suffix": ("johnson", OVER, ("-o", "sheet.txt"), ()),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_input_is_told_before_anything_runs(words, tmp_path, monkeypatch, capfd):
    script, overs, own, options = WRONG[words]
    options = (*options, "--photos", tmp_path, *STYLE)
    code, _, error = call(monkeypatch, capfd, typed(script, overs, tmp_path / "runs", options, *own))
    assert code == 2 and words in error and "Traceback" not in error
    assert error.startswith("usage:") or "\n" not in error.strip()
    assert not list((tmp_path / "runs").glob("*"))


def test_what_the_first_run_refuses_ends_the_sweep(folder, tmp_path, monkeypatch, capfd):
    code, _, error = call(monkeypatch, capfd, typed("johnson", OVER, tmp_path, ("--photos", folder, *TINY, "--stile", 3)))
    assert code == 2 and "style-weight=1: " in error and "unrecognized arguments: --stile 3" in error
    assert [path.name for path in tmp_path.iterdir()] == ["style-weight=1"]


def test_several_gpus_are_shared_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert sweep.gpus(3) == ["4", "6", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    assert sweep.gpus(2) == [None, None]
