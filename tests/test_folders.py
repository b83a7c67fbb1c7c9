"""Folders of photographs: what is painted, several at once, and what is left when it ends too early."""

import contextlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import style_transfer as st
from style_transfer import folders
from style_transfer.errors import InputError, StyleTransferError
from tests.conftest import EXAMPLES

PHOTO = sorted((EXAMPLES / "photos").glob("*.jpg"))[0]
STYLE = sorted((EXAMPLES / "styles").glob("*.jpg"))[0]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(before)


def photographs(*names, size=(64, 48)):
    """Each another part of an example, so that none is mistaken for another."""
    with Image.open(PHOTO) as photo:
        for k, name in enumerate(names):
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
            photo.crop((k, 2 * k, k + 300, 2 * k + 225)).resize(size).save(name, format="PNG")


def names(folder="."):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def targets(content, output, **options):
    todo = folders.find(Path(content), Path(output), **options)
    assert all(job.source == Path(content, job.name) for job in todo.jobs)
    return {job.name: str(job.target) for job in todo.jobs}, " ".join(todo.notes)


def jobs(*sources):
    os.makedirs("out", exist_ok=True)
    return [folders.Job(Path(source), Path("out", f"{Path(source).stem}.png"), source) for source in sources]


def negative(picture, advance):
    return 1 - picture


def test_subfolders_and_what_is_no_photograph():
    photographs("in/b.jpg", "in/b.png", "in/2020/a.jpg", "in/2020/May/a.jpg", "in/2020/scan", "in/.hidden/a.jpg", "in/.b.jpg",
                "in/2020/out/earlier.png", "elsewhere/c.jpg")
    for name in ("in/notes.txt", "in/2020/Thumbs.db", "in/2020/other.TXT", "in/2020/README", "in/broken.jpg"):
        Path(name).write_text("no picture")
    os.mkfifo("in/pipe.jpg")
    os.symlink("../elsewhere/c.jpg", "in/linked.jpg")
    os.symlink("nowhere.jpg", "in/dangling.jpg")
    os.symlink("../elsewhere", "in/folder")
    os.symlink("..", "in/2020/loop")
    found, notes = targets("in", "in/2020/out")
    assert found == {"b.jpg": "in/2020/out/b.jpg.png", "b.png": "in/2020/out/b.png.png", "broken.jpg": "in/2020/out/broken.png",
                     "linked.jpg": "in/2020/out/linked.png", "2020/a.jpg": "in/2020/out/2020/a.png",
                     "2020/May/a.jpg": "in/2020/out/2020/May/a.png", "2020/scan": "in/2020/out/2020/scan.png"}
    assert notes == "Files that are no pictures of a known format are left out: 2 x .txt, 1 x README, 1 x .db."
    assert Path("in/2020/out/2020/May").is_dir()


def test_results_that_would_be_lost_or_become_photographs():
    photographs("in/a/x.jpg", "in/a/x.x.jpg", "in/b/x.jpg", "in/style.jpg")
    assert len(set(targets("in", "out")[0].values())) == 4
    for output in ("in", "in/a/..", "in/../in"):
        with pytest.raises(InputError, match="folder of the photographs"):
            folders.find(Path("in"), Path(output))
    assert targets("in", "in", overwrite=True)[0]["a/x.jpg"] == "in/a/x.png"
    photographs("out/b/x.png")
    with pytest.raises(InputError, match="out/b/x.png is one of the originals"):
        folders.find(Path("in"), Path("out"), [Path("out/b/x.png")])
    found, notes = targets("in", "out")
    assert "b/x.jpg" not in found and len(found) == 3 and notes.startswith("1 of 4 pictures are in out already")
    photographs("in/a/X.png", "in/a/x.jpg.jpg")
    with pytest.raises(InputError, match="a/x.jpg, a/x.jpg.jpg would have one name"):
        folders.find(Path("in"), Path("new"))
    Path("empty/below").mkdir(parents=True)
    Path("empty/below/notes.txt").touch()
    with pytest.raises(InputError, match="no picture in the folder empty"):
        folders.find(Path("empty"), Path("out"))


def test_each_picture_becomes_its_own_result_though_many_are_painted_at_once():
    sources = [f"in/{k}.png" for k in range(40)]
    photographs(*sources)
    Path("in/7.png").write_bytes(b"not a picture")
    advanced, before = [], threading.active_count()

    def work(picture, advance):
        advance()
        return 1 - picture

    found = list(folders.paint(Path("out"), jobs(*sources), work, lambda number, message="": advanced.append(number), 6))
    assert sorted(result.job for result in found) == list(range(40)) and sorted(advanced) == [k for k in range(40) if k != 7]
    assert [(result.job, type(result.error)) for result in found if result.error] == [(7, InputError)]
    assert names("out") == sorted(f"{k}.png" for k in range(40) if k != 7) and threading.active_count() == before
    for k in (0, 8, 39):
        assert torch.allclose(st.load(f"out/{k}.png"), 1 - st.load(f"in/{k}.png"), atol=1e-6)


@pytest.mark.parametrize("command", ["fixed in --style udnie", f"adain in {STYLE}", f"wct in {STYLE}",
                                     f"gatys in {STYLE} --iterations 3 --size 64"])
def test_many_at_once_are_what_each_is_alone(command, typed):
    photographs("in/0.png", "in/a/1.png", "in/a/2.png", size=(96, 72))
    torch.set_num_threads(2)
    assert typed(f"{command} -o out --jobs 3 --precision float32")[0] == 0
    assert torch.get_num_threads() == 2 and names("out") == ["0.png", "a/1.png", "a/2.png"]
    for name in names("out"):
        method, _, rest = command.partition(" in ")
        assert typed(f"{method} in/{name} {rest} -o alone.png --overwrite --precision float32")[0] == 0
        assert (st.load("alone.png") - st.load(f"out/{name}")).abs().max() < 2.5 / 255  # threads add up in another order


def test_cores_are_shared_and_a_large_picture_has_more_of_them(monkeypatch):
    monkeypatch.setattr(folders, "SHARE", 64 * 48)
    photographs("in/large.png", size=(128, 96))
    sources = [f"in/{k}.png" for k in range(12)]
    photographs(*sources)
    torch.set_num_threads(4)
    taken, most, lock = [], [], threading.Lock()

    def work(picture, advance):
        with lock:
            taken.append(torch.get_num_threads())
            most.append(sum(taken))
        assert torch.get_num_threads() == (4 if picture.shape[3] == 128 and not size else 1)
        time.sleep(0.02)
        with lock:
            taken.remove(torch.get_num_threads())
        return picture

    for size in (None, 32):
        results = list(folders.paint(Path("out"), jobs("in/large.png", *sources), work, together=8, size=size))
        assert not any(result.error for result in results)
    assert 1 < max(most) <= 4 and torch.get_num_threads() == 4


def test_a_gpu_paints_one_at_a_time(monkeypatch):
    monkeypatch.setattr(folders.devices, "pick", lambda device: torch.device("cuda"))
    sources = [f"in/{k}.png" for k in range(6)]
    photographs(*sources)
    painting = threading.Lock()

    def work(picture, advance):
        assert painting.acquire(blocking=False)
        time.sleep(0.02)
        painting.release()
        return picture

    assert not any(result.error for result in folders.paint(Path("out"), jobs(*sources), work, together=4))


@pytest.mark.parametrize("end", ["close", "mistake"])
def test_threads_end_at_once_and_leave_nothing(end):
    sources = [f"in/{k}.png" for k in range(10)]
    photographs(*sources)
    torch.set_num_threads(3)  # so that all three paint
    before = threading.active_count()
    started, ended, now = queue.SimpleQueue(), [], threading.Event()

    def work(picture, advance):
        if torch.equal(picture, first):
            return picture
        started.put(None)
        try:
            while True:
                if end == "mistake" and torch.equal(picture, second) and now.is_set():
                    raise ZeroDivisionError
                time.sleep(0.01)
        finally:
            ended.append(picture)

    first, second = st.load("in/0.png"), st.load("in/1.png")
    results = folders.paint(Path("out"), jobs(*sources), work, together=3)
    assert next(results) == folders.Result(0)
    start = time.monotonic()
    if end == "close":
        for _ in range(3):
            started.get(timeout=60)
        results.close()
    else:
        now.set()
        with pytest.raises(ZeroDivisionError):
            next(results)
    assert time.monotonic() - start < 5 and ended and threading.active_count() == before
    assert os.listdir("out") == ["0.png"]


def test_what_fails_names_the_result_and_not_its_part():
    photographs("in/a.png", "in/b.png")
    paths = jobs("in/a.png", "in/b.png")
    paths[0].target.mkdir()  # in the meantime
    found = sorted(folders.paint(Path("out"), paths, negative))
    assert type(found[0].error) is StyleTransferError and str(found[0].error).startswith("'out/a.png' could not be written (")
    assert found[1].error is None and sorted(os.listdir("out")) == ["a.png", "b.png"]


@pytest.mark.skipif(not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev,
                    reason="needs two file systems")
def test_a_subfolder_on_another_disk(tmp_path_factory):
    photographs("in/a/1.png")
    other = Path("/dev/shm", f"style-transfer-{os.getpid()}")
    other.mkdir()
    try:
        Path("out").mkdir()
        Path("out/a").symlink_to(other)
        todo = folders.find(Path("in"), Path("out"))
        assert [result.error for result in folders.paint(todo.folder, todo.jobs, negative)] == [None]
        assert os.listdir(other) == ["1.png"] and os.listdir("out") == ["a"]
    finally:
        shutil.rmtree(other)


def test_only_what_killed_runs_left_is_removed():
    """Not what a living run, another machine or another program has there."""
    def left(name, owner=None):
        os.makedirs(name)
        Path(name, "half.png").touch()
        if owner is not None:
            Path(name, folders.OWNER).write_text(owner)

    os.mkdir("out")
    left("out/.0123456789abcdef.part", socket.gethostname())
    kept = ["out/.1123456789abcdef.part", "out/.2123456789abcdef.part", "out/.3123456789abcdef.part", "out/mine.part",
            "out/.x.part"]
    left(kept[0], "another machine")
    left(kept[1], "")  # which is only being made
    left(kept[2])
    left(kept[3], socket.gethostname())
    left(kept[4], socket.gethostname())
    with folders.scratch(Path("out")) as living:
        with folders.scratch(Path("out")) as second:
            assert living.is_dir() and second.is_dir() and living != second
        assert not second.exists() and not os.path.exists("out/.0123456789abcdef.part")
        assert all(os.path.exists(os.path.join(name, "half.png")) for name in kept)
    assert sorted(os.listdir("out")) == sorted(os.path.basename(name) for name in kept)


def test_killed_again_and_again_nothing_is_lost_or_half_written(here):
    sources = [f"in/{k % 3}/{k}.jpg" for k in range(60)]
    photographs(*sources, size=(192, 144))
    command = [sys.executable, "-m", "style_transfer", "fixed", "in", "--style", "udnie", "-o", "out"]
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    before, kills = {}, 0
    while True:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        while process.poll() is None and len(list(Path("out").rglob("*.png"))) < min(len(before) + 8, 60):
            time.sleep(0.01)
        if kills == 3:
            break
        process.kill()
        process.communicate()
        kills += 1
        done = {str(p): p.stat().st_mtime_ns for p in Path("out").glob("[0-9]/*.png")}
        assert before.items() <= done.items() and len(before) < len(done) < 60
        for name in done:
            assert st.load(name).shape == (1, 3, 144, 192)
        before = done
    text = process.communicate(timeout=120)[1]
    assert process.returncode == 0 and f"{len(before)} of 60 pictures" in text, text
    assert names("out") == sorted(f"{k % 3}/{k}.png" for k in range(60))
    assert before.items() <= {str(p): p.stat().st_mtime_ns for p in Path("out").rglob("*.png")}.items()


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_long_work_within_seconds(sent, code):
    """In the midst of pictures that take long."""
    photographs("in/0.png", "in/1.png", "in/2.png")
    command = [sys.executable, "-m", "style_transfer", "gatys", "in", STYLE, "-o", "out", "--size", "512", "--jobs", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)})
    with contextlib.suppress(subprocess.TimeoutExpired):
        while not list(Path("out").glob(".*")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.wait(3)
    start = time.monotonic()
    process.send_signal(sent)
    text = process.communicate(timeout=60)[1]
    assert process.returncode == code and "Traceback" not in text and time.monotonic() - start < 20, text
    assert not os.listdir("out")


def test_jobs_and_ray_exclude_each_other(typed):
    photographs("in/0.png")
    code, text = typed("fixed in --style udnie -o out --jobs 2 --ray local")
    assert code == 2 and "--jobs" in text and not os.path.exists("out")
