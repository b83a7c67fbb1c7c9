"""How fast a folder is painted, as a ratio to a loop of single calls measured in turn with it in the same process.

    OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 python -m benchmarks.folders [--pictures 1000] [--sizes 512 1024] [--style udnie]
    python -m benchmarks.folders --kill [--pictures 1000]

The loop reads, paints and writes one picture after the other with all cores; the folder is what `fixed FOLDER` does. Both take
turns at equal parts of the folder, and the medians of the parts are compared. The loop's results are compared with the
folder's. `--kill` runs the command line instead, kills it several times, and looks at what is there at the end.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import style_transfer as st
from style_transfer import checkpoints, folders

PHOTOS = Path(__file__).resolve().parent.parent / "examples" / "photos"


def photographs(folder, number, size, seed=0):
    """Crops of the example photographs as JPEG files of size x 2/3 size pixels, in subfolders of 100."""
    draw, photos = random.Random(seed), [st.load(path) for path in sorted(PHOTOS.glob("*.jpg"))]
    for k in range(number):
        photo = photos[k % len(photos)]
        height, width = photo.shape[2:]
        w = min(width, height * 3 // 2) * draw.uniform(0.7, 1)
        top, left = int(draw.uniform(0, height - w * 2 / 3)), int(draw.uniform(0, width - w))
        crop = photo[:, :, top:top + int(w * 2 / 3), left:left + int(w)]
        path = folder / f"{k // 100:02}" / f"{k:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        st.save(st.images.resize(crop, (size * 2 // 3, size)), path)


def loop(jobs, style):
    """Single calls, one after the other."""
    for job in jobs:
        st.save(st.fixed.stylize(st.load(job.source), style), job.target)


def together(folder, jobs, style, number):
    """What the command does with a folder."""
    for result in folders.paint(folder, jobs, lambda picture, advance: st.fixed.stylize(picture, style), together=number):
        if result.error:
            raise result.error


def measure(size, pictures, style, parts, number=None):
    """Pictures a second of both, {"loop": [one a part], "folder": [...]}, and the largest difference of their results."""
    with tempfile.TemporaryDirectory() as place:
        place, rates = Path(place), {"loop": [], "folder": []}
        photographs(place / "in", pictures, size)
        found = {name: folders.find(place / "in", place / name).jobs for name in rates}
        loop(found["loop"][:2], style)  # a warm-up
        together(place / "folder", found["folder"][:2], style, number)
        for part in range(parts):
            for name in sorted(rates, reverse=part % 2):
                jobs = found[name][part::parts]
                start = time.perf_counter()
                if name == "loop":
                    loop(jobs, style)
                else:
                    together(place / "folder", jobs, style, number)
                rates[name].append(len(jobs) / (time.perf_counter() - start))
        differences = [(st.load(a.target) - st.load(b.target)).abs() for a, b in zip(found["loop"], found["folder"])]
        return rates, max(d.max().item() for d in differences), statistics.fmean(d.mean().item() for d in differences)


def kill(size, pictures, style, kills):
    """Start the command again and again, kill -9 it several times; returns what is missing, broken and too much."""
    with tempfile.TemporaryDirectory() as place:
        place, before = Path(place), {}
        photographs(place / "in", pictures, size)
        command = [sys.executable, "-m", "style_transfer", "fixed", place / "in", "--style", style, "-o", place / "out"]
        for life in range(1, kills + 2):
            process = subprocess.Popen(command, cwd=PHOTOS.parent.parent)
            while process.poll() is None and (
                    life > kills or len(list((place / "out").glob("[0-9]*/*.png"))) < pictures * life // (kills + 1)):
                time.sleep(0.05)
            process.kill()
            code, done = process.wait(), {p: p.stat().st_mtime_ns for p in (place / "out").glob("[0-9]*/*.png")}
            left = [p.name for p in (place / "out").iterdir() if p.name.startswith(".")]
            lost = [p for p in before if done.get(p) != before[p]]
            print(f"life {life}: exit code {code}, {len(done)} results, {len(lost)} lost or painted twice, {len(left)} hidden "
                  "leftovers", flush=True)
            before = done
        wanted = {(place / "out" / p.relative_to(place / "in")).with_suffix(".png") for p in (place / "in").glob("*/*.jpg")}
        broken = [p for p in wanted & before.keys() if st.load(p).shape != (1, 3, size * 2 // 3, size)]
        everything = {p for p in (place / "out").rglob("*") if p.is_file()}
        return len(wanted - before.keys()), len(broken), len(everything - wanted)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pictures", type=int, default=1000)
    p.add_argument("--sizes", type=int, nargs="+", default=[512, 1024], help="long sides, pixels")
    p.add_argument("--style", default="udnie")
    p.add_argument("--parts", type=int, default=10)
    p.add_argument("--jobs", type=int, help=folders.JOBS.help)
    p.add_argument("--kill", type=int, nargs="?", const=3, metavar="TIMES")
    a = p.parse_args()
    if a.kill:
        print("{} missing, {} broken, {} too many".format(*kill(a.sizes[0], a.pictures, a.style, a.kill)))
        return
    print(f"{torch.get_num_threads()} threads, {st.device.precision('cpu')}, load {os.getloadavg()[0]:.1f}, "
          f"{checkpoints.FOLDER.name}/{a.style}")
    for size in a.sizes:
        rates, most, mean = measure(size, a.pictures, a.style, a.parts, a.jobs)
        slow, fast = (statistics.median(rates[name]) for name in ("loop", "folder"))
        ratios = [b / a for a, b in zip(rates["loop"], rates["folder"])]
        print(f"{size} x {size * 2 // 3}, {a.pictures} pictures: loop {slow:.2f} a second, folder {fast:.2f}, "
              f"{fast / slow:.2f} times ({min(ratios):.2f} to {max(ratios):.2f}, median {statistics.median(ratios):.2f}); "
              f"results differ by {255 * mean:.3f} of 255 on average, {255 * most:.0f} at most; "
              f"load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
