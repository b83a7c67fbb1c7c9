"""What would not fit is refused before it begins, with a size that would, as much as the machine and its container have."""

import itertools
import math
import re
import time

import pytest
import torch

import style_transfer as st
from style_transfer import device, memory
from style_transfer.errors import InputError

GB = 1e9
FREE = {"adain": 1.2 * GB, "wct": 1.2 * GB, "cascade": 1.2 * GB, "fixed": 1.2 * GB, "gatys": 1.5 * GB, "neighbours": 1.5 * GB}


@pytest.fixture(autouse=True)
def precision(monkeypatch):
    monkeypatch.setattr(device, "_chosen", "bfloat16")


@pytest.mark.parametrize("method", memory.NEEDS)
def test_more_pixels_need_more_and_float32_too(method, monkeypatch):
    sizes = [memory.estimate(method, side, side) for side in (64, 512, 1024, 1500, 3000, 5000)]
    assert all(a < b for a, b in itertools.pairwise(sizes))
    monkeypatch.setattr(device, "_chosen", "float32")
    assert memory.estimate(method, 512, 512) > sizes[1]


@pytest.mark.parametrize("method", memory.NEEDS)
@pytest.mark.parametrize("height, width", [(9000, 13500), (14000, 2000)])
def test_the_size_that_is_named_fits(method, height, width, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: FREE[method])
    with pytest.raises(InputError) as refused:
        memory.check(method, height, width)
    words = str(refused.value)
    assert words.startswith(f"{width} x {height} pixels would need about ") and f"{FREE[method] / GB:.1f} GB are free" in words
    side = int(re.search(r"a long side of (\d+) pixels or less", words)[1])
    scale = side / max(height, width)
    memory.check(method, int(height * scale), int(width * scale))
    scale = (side + 2 * memory.ROUND) / max(height, width)
    with pytest.raises(InputError):
        memory.check(method, int(height * scale), int(width * scale))


def test_where_nothing_fits_no_size_is_named(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 1000.0)
    with pytest.raises(InputError, match=r"0.0 GB are free: close other programs, or try again later"):
        memory.check("adain", 512, 512)


@pytest.mark.parametrize("paint", [
    lambda photo, style: st.arbitrary.stylize(photo, [style]),
    lambda photo, style: st.arbitrary.stylize(photo, [style], method="wct"),
    lambda photo, style: st.fixed.stylize(photo, "starry-night"), lambda photo, style: next(st.gatys.optimize(photo, [style]))])
def test_all_methods_ask_before_they_begin(paint, photo, painting, monkeypatch):
    paint(photo, painting)
    monkeypatch.setattr(memory, "available", lambda device: 1e6)
    with pytest.raises(InputError, match="would need about"):
        paint(photo, painting)


def test_asking_costs_next_to_nothing():
    start = time.perf_counter()
    for _ in range(20):
        memory.check("adain", 512, 512)
    assert time.perf_counter() - start < 0.2


def group(folder, limit, use, cache):
    """A control group as the kernel shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in {"memory.max": limit, "memory.current": use, "memory.stat": f"anon 5\ninactive_file {cache}"}.items():
        (folder / name).write_text(f"{value}\n")


@pytest.mark.parametrize("outer, inner, left", [
    (("max", 700, 50), ("max", 500, 50), math.inf), (("max", 700, 50), (1000, 500, 50), 550),
    ((900, 700, 100), (1000, 500, 0), 300)])
def test_the_tightest_of_the_containers_counts(tmp_path, monkeypatch, outer, inner, left):
    group(tmp_path / "sys/outer", *outer)
    group(tmp_path / "sys/outer/inner", *inner)
    (tmp_path / "cgroup").write_text("0::/outer/inner\n")
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path / "cgroup" if name == "/proc/self/cgroup" else tmp_path / name)
    assert memory._of_group(tmp_path / "sys", *memory.GROUPS[0][1:]) == left


def test_where_nothing_is_known_all_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path / name.lstrip("/"))
    assert memory.available() == math.inf
    memory.check("gatys", 10 ** 5, 10 ** 5)


def test_a_gpu_is_asked_for_its_own_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (123, 456))
    assert memory.available("cuda") == 123

    def no_driver(device):
        raise RuntimeError("No CUDA GPUs are available")

    monkeypatch.setattr(torch.cuda, "mem_get_info", no_driver)
    assert memory.available("cuda") == math.inf
