"""Pictures of any size: seconds a megapixel and the process's peak memory, each size in a process of its own.

    python -m benchmarks.large                    AdaIN, WCT and a fixed style at 2 and 24 megapixels
    python -m benchmarks.large --full             also AdaIN at 100, and Gatys at 8
    python -m benchmarks.large --difference       tiled against untiled at 2048 px, in levels of 255

Reading and writing the picture count for memory, not for seconds.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import style_transfer as st
from style_transfer import device as devices
from style_transfer import tiles

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FIXED = "starry-night"
ROUNDS = 2
ITERATIONS = 4  # of Gatys


def sides(megapixels):
    """(height, width) of a picture of so many megapixels, in the proportions of most cameras."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    return height, round(height * 1.5)


def painter(method):
    """content -> picture, with what is needed once a style done already."""
    style = st.load(EXAMPLES / "styles/waves.jpg", 512)
    if method in st.arbitrary.METHODS:
        style = st.arbitrary.encode(style, method)
        return lambda content: st.arbitrary.stylize(content, [style], method=method)
    if method == "gatys":  # each step counts, and not how many there are
        return lambda content: [step.image for step in
                                st.gatys.optimize(content, [style], iterations=ITERATIONS, scales=1)][-1]
    return lambda content: st.fixed.stylize(content, method)


def measure(method, megapixels):
    """{"seconds": a megapixel (of Gatys: a step), "peak": megabytes} of this process."""
    photo = EXAMPLES / "photos/pagoda.jpg"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "photo.jpg")
        st.save(st.images.resize(st.load(photo), sides(megapixels)), source)
        code = (f"from benchmarks import large; import sys; large.child({method!r}, {str(source)!r}, "
                f"{str(Path(folder, 'out.png'))!r})")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def child(method, source, target):
    """One measurement: read, paint, write."""
    paint = painter(method)
    paint(st.load(source, 256))
    content = st.load(source)
    start = time.perf_counter()
    image = paint(content)
    seconds = time.perf_counter() - start
    megapixels = content.shape[2] * content.shape[3] / 1e6
    del content
    st.save(image, target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    print(json.dumps({"seconds": seconds / (ITERATIONS if method == "gatys" else megapixels), "peak": peak}))


def difference(method):
    """(mean, largest) absolute difference of the tiled and the untiled picture of 2048 px."""
    content, paint = st.load(EXAMPLES / "photos/pagoda.jpg"), painter(method)
    content = st.images.resize(content, 2048)
    tiled, whole = paint(content), tiles.TILE
    tiles.TILE = content.numel()
    try:
        apart = (tiled - paint(content)).abs()
    finally:
        tiles.TILE = whole
    return float(apart.mean()) * 255, float(apart.max()) * 255


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--full", action="store_true", help="minutes more")
    p.add_argument("--difference", action="store_true")
    a = p.parse_args()
    print(f"precision: {str(devices.precision('cpu')).removeprefix('torch.')}")
    methods = ("adain", "wct", FIXED)
    if a.difference:
        print("| method | mean | largest |\n|---|---|---|")
        for method in methods:
            print("| {} | {:.3f} | {:.1f} |".format(method, *difference(method)))
        return
    print("| method | megapixels | seconds a megapixel | over 2 megapixels | peak, MB |\n|---|---|---|---|---|", flush=True)
    for method in methods:
        found = {2: [], 24: []}
        for _ in range(ROUNDS):
            for size, runs in found.items():
                runs.append(measure(method, size))
        fastest = {size: min(run["seconds"] for run in runs) for size, runs in found.items()}
        for size, runs in found.items():
            print(f"| {method} | {size} | {fastest[size]:.2f} | {fastest[size] / fastest[2]:.2f} | "
                  f"{max(run['peak'] for run in runs):.0f} |", flush=True)
    if a.full:
        run = measure("adain", 100)
        print(f"| adain | 100 | {run['seconds']:.2f} | | {run['peak']:.0f} |", flush=True)
        run = measure("gatys", 8)
        print(f"| gatys | 8 | {run['seconds']:.1f} s a step | | {run['peak']:.0f} |")


if __name__ == "__main__":
    main()
