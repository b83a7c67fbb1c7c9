"""What a picture needs in memory while it is painted, and what is free: one that would not fit is refused before it begins."""

import math
from pathlib import Path
from typing import NamedTuple

import torch

from . import device as devices
from . import objective, tiles
from .errors import InputError

SMALLEST = 64  # pixels; a smaller result is not suggested
ROUND = 50  # pixels to which what is suggested is rounded down
# Of a control group, version 2 and 1: limit, use, and what of the use are files that can be read again.
GROUPS = ((Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
          (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))


class _Need(NamedTuple):
    """Bytes a pixel, in bfloat16, beside the photograph and the styles themselves."""

    whole: float  # of as many pixels as are taken at once
    rest: float  # of all pixels beyond
    kept: float = 0.0  # of all pixels, as long as it is no more than tiles.KEPT
    at_once: int = tiles.TILE


# Peaks of processes by `python -m benchmarks.memory`, rounded up. On a GPU, of whose memory the same is asked, not measured.
NEEDS = {"adain": _Need(300, 44, 28), "wct": _Need(300, 70, 28), "cascade": _Need(300, 32, 24), "fixed": _Need(300, 75),
         "gatys": _Need(1000, 300, at_once=objective.WHOLE), "neighbours": _Need(3100, 60, at_once=objective.WHOLE)}
FLOAT32 = 1.7  # times as much where the networks run in float32


def estimate(method, height, width, device="cpu"):
    """Bytes that a picture of this size takes while it is painted, beside itself; method: one of NEEDS."""
    need, pixels = NEEDS[method], height * width
    kept = need.kept * pixels
    once = min(pixels, need.at_once)
    own = need.whole * once + need.rest * (pixels - once) + (kept if kept <= tiles.KEPT else 0)
    return own * (FLOAT32 if devices.precision(device) == torch.float32 else 1)


def available(device="cpu"):
    """Free bytes for pictures on a device: of the machine or, where less is left of it, the container. inf: nobody knows."""
    if torch.device(device).type == "cuda":
        try:
            return torch.cuda.mem_get_info(device)[0]
        except RuntimeError:  # ZeroGPU lends the GPU to other processes than that which asks
            return math.inf
    return min(_of_machine(), *(_of_group(*group) for group in GROUPS))


def _of_machine():
    """What Linux says that can be had without swapping; inf elsewhere."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return math.inf


def _of_group(root, limit, use, cache):
    """What is left of the limits of this process's control group and those around it; inf where there are none."""
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        inner = next(path for _, kind, path in groups if kind == ("memory" if root.name == "memory" else ""))
    except (OSError, ValueError, StopIteration):
        return math.inf
    place, left = root / inner.lstrip("/"), math.inf
    for folder in (place, *place.parents):
        if folder.is_relative_to(root):
            left = min(left, _left(folder, limit, use, cache))
    return left


def _left(folder, limit, use, cache):
    """Bytes that a control group's own limit still allows."""
    try:
        files = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int((folder / limit).read_text()) - int((folder / use).read_text()) + int(files.get(cache, 0))
    except (OSError, ValueError):  # not there, or "max"
        return math.inf


def check(method, height, width, device="cpu"):
    """Refuse a picture that would not fit into the memory that is free. Raises InputError, which names a size that would.

    method: one of NEEDS; height, width: of the picture that is painted.
    """
    need, free = estimate(method, height, width, device), available(device)
    if need <= free:
        return
    side, longest = max(height, width), max(height, width)
    while side > SMALLEST and estimate(method, height * side // longest, width * side // longest, device) > free:
        side = (side - 1) // ROUND * ROUND
    advice = f"choose a long side of {side} pixels or less" if side > SMALLEST else "close other programs, or try again later"
    raise InputError(f"{width} x {height} pixels would need about {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are "
                     f"free: {advice}.")
