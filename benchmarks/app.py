"""Where the time of the app's own call goes: AdaIN, 512 px, warm, profiled from the files that come in to the PNG.

    python -m benchmarks.app [--method adain] [--size 512]

Shares of the call's time: in the networks (all of torch.nn.Module's calls), in transforms.py, in writing PNG files (Pillow's
`save`), in decoding and scaling the inputs (images.load), and the rest, which is what the app itself adds. The
profiler's own cost falls on what has many small calls, mostly the rest, so that the true rest is smaller.
"""

import argparse
import contextlib
import cProfile
import functools
import pstats
import statistics
import time
from pathlib import Path

import torch
from PIL import Image

from style_transfer import images, transforms
from style_transfer.ui import arbitrary, turns

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def call(photo, style, method, size):
    """The app's function, run to its end, as a click on the button does."""
    with contextlib.closing(arbitrary.run(str(photo), str(style), method=method, alpha=1.0, size=size)) as steps:
        for _ in steps:
            pass


def _inside(stats, belongs):
    """Seconds in functions (file, line, name) that belong to a group, without what the group calls of itself."""
    def within(caller):
        return belongs(*caller) or caller[0] == functools.__file__  # which stands between a property and who reads it

    return sum(total - sum(row[3] for caller, row in callers.items() if within(caller))
               for function, (*_, total, callers) in stats.items() if belongs(*function))


def shares(profile, seconds, *others):
    """{"networks", "transforms", "PNG", "decoding", "rest"}: parts of `seconds` that add up to 1; others: of other threads."""
    stats = pstats.Stats(profile, *others).stats
    module, pillow = torch.nn.modules.module.__file__, Image.__file__
    parts = {
        # cumulative times count a function that calls itself once, so this one is entered from outside for every network
        "networks": sum(row[3] for function, row in stats.items() if function[0::2] == (module, "_wrapped_call_impl")),
        "transforms": _inside(stats, lambda file, line, name: file == transforms.__file__),
        "PNG": _inside(stats, lambda file, line, name: (file, name) == (pillow, "save")),
        "decoding": _inside(stats, lambda file, line, name: (file, name) == (images.__file__, "load")),
    }
    parts = {name: part / seconds for name, part in parts.items()}
    return {**parts, "rest": 1 - sum(parts.values())}


def measure(method="adain", size=512, calls=20):
    """(median seconds of a call without the profiler, {part: share of the profiled calls})."""
    photo, style = EXAMPLES / "photos" / "pagoda.jpg", EXAMPLES / "styles" / "swirls.jpg"
    call(photo, style, method, size)
    times, profile, of_device = [], cProfile.Profile(), cProfile.Profile()
    for _ in range(calls):
        start = time.perf_counter()
        call(photo, style, method, size)
        times.append(time.perf_counter() - start)
    turns._DEVICE.submit(of_device.enable).result()
    start = time.perf_counter()
    profile.enable()
    for _ in range(calls):
        call(photo, style, method, size)
    profile.disable()
    seconds = time.perf_counter() - start
    turns._DEVICE.submit(of_device.disable).result()
    return statistics.median(times), shares(profile, seconds, of_device)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--method", default="adain")
    p.add_argument("--size", type=int, default=512, help="long side, pixels")
    p.add_argument("--calls", type=int, default=20)
    a = p.parse_args()
    seconds, parts = measure(a.method, a.size, a.calls)
    print(f"{a.method}, {a.size} px, {torch.get_num_threads()} threads: {1000 * seconds:.0f} ms a call, of which (profiled)")
    for name, part in parts.items():
        print(f"{name:12s} {part:6.1%}")
    print(f"outside networks, transforms and PNG: {parts['decoding'] + parts['rest']:.1%}")


if __name__ == "__main__":
    main()
