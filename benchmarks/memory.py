"""What a job needs beside what is in memory before it, measured in a process of its own, and what `memory.estimate` says.

    python -m benchmarks.memory                   all methods, 0.5 to 24 megapixels, Gatys to 4; minutes
    python -m benchmarks.memory adain gatys --megapixels 1 8 --precision float32

Linux only: it asks for the peak of the resident memory, which it resets before the job.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import style_transfer as st
from benchmarks.large import EXAMPLES, sides
from style_transfer import memory

METHODS = {**dict.fromkeys(st.arbitrary.METHODS), "johnson": "starry-night", "cyclegan": "emaki", "multimodal": "divisionism",
           "gatys": None, "neighbours": None}
ITERATIONS = 8  # of the methods that optimise, so that there are several sizes


def painter(method):
    """content -> picture, as the app and the command line ask for it: styles are encoded with the job."""
    style = st.load(EXAMPLES / "styles/waves.jpg", 512)
    if method in st.arbitrary.METHODS:
        return lambda content: st.arbitrary.stylize(content, [style], method=method)
    if optimize := {"gatys": st.gatys.optimize, "neighbours": st.neighbours.optimize}.get(method):
        return lambda content: [step.iteration for step in optimize(content, [style], iterations=ITERATIONS)]
    return lambda content: st.fixed.stylize(content, METHODS[method])


def _status(key):
    """Bytes of a line of /proc/self/status."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) * 1024


def child(method, height, width):
    """One measurement, printed."""
    paint, photo = painter(method), EXAMPLES / "photos/pagoda.jpg"
    paint(st.load(photo, 256))
    content = st.images.resize(st.load(photo), (height, width))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    before = _status("VmRSS")
    paint(content)
    print(json.dumps(_status("VmHWM") - before))


def measure(method, height, width, precision):
    """Bytes, in a process of its own."""
    code = f"from benchmarks import memory; memory.child({method!r}, {height}, {width})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env=os.environ | {"STYLE_TRANSFER_PRECISION": precision})
    return json.loads(done.stdout)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(METHODS))
    p.add_argument("--megapixels", nargs="*", type=float, default=[0.5, 1, 4, 12, 24])
    p.add_argument("--precision", choices=st.device.PRECISIONS, default="auto")
    a = p.parse_args()
    st.device.use_precision(a.precision)
    print("| method | megapixels | measured, MB | estimate, MB | measured over estimate |\n|---|---|---|---|---|")
    for method in a.methods or METHODS:
        for megapixels in a.megapixels:
            if method == "gatys" and megapixels > 4 and not a.methods:
                continue
            height, width = sides(megapixels)
            found = measure(method, height, width, a.precision)
            said = memory.estimate(method if method in memory.NEEDS else "fixed", height, width)
            print(f"| {method} | {megapixels:g} | {found / 1e6:.0f} | {said / 1e6:.0f} | {found / said:.2f} |", flush=True)


if __name__ == "__main__":
    main()
