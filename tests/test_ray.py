"""Folders on Ray's local cluster: what is there at the end when workers, machines and people break off."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image

import style_transfer as st
from style_transfer import cluster, folders
from style_transfer.errors import InputError, StyleTransferError
from tests.conftest import EXAMPLES

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
STYLE = sorted((EXAMPLES / "styles").glob("*.jpg"))[0]
HEAD = """
import ray, sys
found = ray.init(address="local", include_dashboard=False, object_store_memory=10 ** 8, logging_level="ERROR")
print(found.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""
LOCALHOST = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it writes a token into the home folder
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 2}')  # the size of its cluster
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    monkeypatch.chdir(tmp_path)


def photographs(number, size):
    os.mkdir("in")
    with Image.open(sorted((EXAMPLES / "photos").glob("*.jpg"))[0]) as photo:
        for k in range(number):
            photo.crop((k, k // 2, k + 200, k // 2 + 150)).resize(size).save(f"in/{k:03}.png")


def started(*arguments):
    return subprocess.Popen([sys.executable, "-m", "style_transfer", *map(str, arguments)], stderr=subprocess.PIPE, text=True)


def stamps():
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in Path("out").glob("*.png")}


def painting(process):
    """The workers that paint at this moment."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "_paint" in "".join(child.cmdline()):
                found.append(child)
    return found


def test_500_pictures_once_each_though_a_worker_is_killed():
    photographs(500, (40, 30))
    Path("in/broken.jpg").write_bytes(b"not a picture")
    process, seen, killed = started("fixed", "in", "--style", "udnie", "-o", "out", "--ray", "local"), {}, []
    while process.poll() is None:
        seen = stamps() | seen
        if len(seen) > 100 and not killed and (workers := painting(process)):
            if sys.platform == "linux":  # others tell only root
                ours = {p.pid for p in psutil.Process(process.pid).children(recursive=True)}
                ports = [c for c in psutil.net_connections("tcp") if c.pid in ours and c.status == psutil.CONN_LISTEN]
                assert ports and all(port.laddr.ip in LOCALHOST for port in ports)
            workers[0].kill()
            killed = stamps()
        time.sleep(0.1)
    text = process.stderr.read()
    assert process.returncode == 1 and "broken.jpg is empty" in text and text.endswith("1 of 501 pictures could not be "
                                                                                       "stylised.\n"), text
    assert 100 < len(killed) < 500 and "Traceback" not in text
    after = stamps()
    assert sorted(os.listdir("out")) == sorted(after) == [f"{k:03}.png" for k in range(500)]
    assert seen.items() <= after.items()
    for k in range(500):
        painted = st.load(f"out/{k:03}.png")
        assert painted.shape == (1, 3, 30, 40)
        if k % 100 == 0:
            alone = st.fixed.stylize(st.load(f"in/{k:03}.png"), "udnie")
            assert (painted - alone).abs().mean() < 1 / 255  # rounding differs with the number of threads


def test_ctrl_c_keeps_what_is_done_and_the_rest_is_painted_later(typed):
    photographs(40, (160, 120))
    line = f"wct in {STYLE} -o out --precision float32"
    process = started(*line.split(), "--ray", "local")
    while len(stamps()) < 4:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=60)[1]
    done = stamps()
    assert process.returncode == 130 and "Traceback" not in text, text
    assert 4 <= len(done) < 40 and sorted(os.listdir("out")) == sorted(done)
    code, text = typed(line)
    assert code == 0 and f"{len(done)} of 40" in text
    assert len(stamps()) == 40 and done.items() <= stamps().items()
    name = next(iter(done))
    code, _ = typed(f"wct in/{name} {STYLE} -o alone.png --precision float32")
    assert code == 0 and (st.load("alone.png") - st.load(f"out/{name}")).abs().mean() < 1 / 255


def test_what_workers_say_and_what_kills_them(monkeypatch):
    """A picture that kills its workers is given up; those beside it, which replace their originals, are painted once."""
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 2, "GPU": 1}')  # Ray only counts them, and this `work` needs none
    photographs(8, (40, 30))
    paths = sorted(Path("in").iterdir())
    before = [st.load(path) for path in paths]
    deadly, wrong = before[3], before[5]

    def prepare(device):
        def work(picture, tell):
            if torch.equal(picture, deadly):
                os.kill(os.getpid(), signal.SIGKILL)
            if torch.equal(picture, wrong):
                raise InputError("Not this one.")
            tell()
            tell(f"{st.device.precision('cpu')} on {device}")
            return 1 - picture
        return work

    jobs = [folders.Job(path, path, path.name) for path in paths]
    found = sorted(cluster.paint(Path("in"), jobs, prepare, "local", None, "float32"))
    assert [result.job for result in found] == list(range(8))
    for job, error, messages in found:
        if job == 3:
            assert type(error) is StyleTransferError and "3 workers died" in str(error) and not messages
        elif job == 5:
            assert type(error) is InputError and str(error) == "Not this one." and not messages
        else:
            assert error is None and messages == ("torch.float32 on cuda",)
        expected = before[job] if job in (3, 5) else 1 - before[job]
        assert torch.allclose(st.load(paths[job]), expected, atol=1e-3)
    assert sorted(Path("in").iterdir()) == paths


def test_a_machine_that_cannot_paint_ends_the_run_on_a_cluster_that_runs_already(monkeypatch):
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # on 127.0.0.1
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = subprocess.Popen([sys.executable, "-c", HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    driver = os.getpid()

    def prepare(device):
        if os.getpid() != driver:
            raise InputError("There are no weights here.")

    try:
        photographs(3, (40, 30))
        os.mkdir("out")
        jobs = [folders.Job(path, Path("out") / path.name, path.name) for path in Path("in").iterdir()]
        with pytest.raises(StyleTransferError, match="^The machine .* cannot paint: There are no weights here.$"):
            list(cluster.paint(Path("out"), jobs, prepare, head.stdout.readline().strip()))
    finally:
        head.communicate()
    assert not os.listdir("out")


def test_a_cluster_that_does_not_answer(typed, monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS", 1)
    photographs(1, (40, 30))
    code, text = typed("fixed in --style udnie -o out --ray 127.0.0.1:9")
    assert code == 1 and "127.0.0.1:9 cannot be used (no answer in 1 s)" in text and not os.listdir("out")
