"""The app's memory while visitors come and go: its resident memory after each ten of many jobs of all kinds, some abandoned.

    python -m benchmarks.visitors [--jobs 200] [--size 512]

Every picture is another one, so that nothing comes out of a cache. Linux only.
"""

import argparse
import random
import secrets
import tempfile
import time
from pathlib import Path

import numpy as np
from gradio_client import Client, handle_file
from PIL import Image

from benchmarks.large import EXAMPLES
from tests.app.app_server import ROOT, running

WARM = 20  # jobs, after which networks, threads and caches are there
EVERY = 10


def resident(process):
    """Megabytes of a process."""
    lines = dict(line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024


def photograph(folder, number):
    """A file that no other is like."""
    with Image.open(sorted((EXAMPLES / "photos").glob("*.jpg"))[number % 3]) as image:
        pixels = np.array(image.convert("RGB").resize((900, 600)))
    pixels[0, :2] = np.frombuffer(secrets.token_bytes(6), np.uint8).reshape(2, 3)
    Image.fromarray(pixels).save(path := Path(folder, f"{number}.png"))
    return path


def call(server, folder, number, size):
    """One visitor's job, to its end or abandoned in the middle."""
    client = Client(server.url, verbose=False, download_files=folder)
    photo, style = handle_file(photograph(folder, number)), handle_file(sorted((EXAMPLES / "styles").glob("*.jpg"))[number % 5])
    name, given, options = [
        ("/fixed", (photo,), {}), ("/arbitrary", (photo, style), {"method": "adain"}),
        ("/arbitrary", (photo, style), {"method": "wct"}), ("/gatys", (photo, style), {"iterations": 20}),
        ("/arbitrary", (photo, style), {"method": "wct", "size": 2048})][number % 5]
    job = client.submit(*given, **{"size": size} | options, api_name=name)
    if number % 5 < 4:
        job.result(300)
        return
    time.sleep(random.uniform(0.5, 1.5))
    job.cancel()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--jobs", type=int, default=200)
    p.add_argument("--size", type=int, default=512)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as temp:
        with running(ROOT / "checkpoints", Path(temp)) as server:
            found = []
            print("| jobs | resident, MB |\n|---|---|")
            for number in range(a.jobs):
                call(server, folder, number, a.size)
                if (number + 1) % EVERY == 0:
                    found.append(resident(server.process))
                    print(f"| {number + 1} | {found[-1]:.0f} |", flush=True)
            # what the allocator holds at a moment goes up and down by some hundred megabytes
            warm = np.array_split(found[WARM // EVERY:], 2)
            growth = np.median(warm[1]) / np.median(warm[0]) - 1
            print(f"\nAfter the first {WARM}, median of the second half over that of the first: {100 * growth:+.1f} %; "
                  f"job folders left: {len(server.jobs())}")


if __name__ == "__main__":
    main()
