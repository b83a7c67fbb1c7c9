"""How fast the compact encoder and the slim fixed-style networks are, as ratios to full networks measured in the same run.

    python -m benchmarks.speed [--sizes 512 1024] [--reference FOLDER]

Full VGG-19 and Johnson's network of the paper's width have random weights here, which cost as much time as real ones, and
the latter runs in plain float32. Each pair of measurements is taken in turn, several times, and the medians are compared.
"""

import argparse
import contextlib
import statistics
import time
from pathlib import Path

import torch

from benchmarks.reference import Reference
from style_transfer import arbitrary, backbones, device, fixed, gatys, transforms
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.vgg import VGG, VGG19

SIZES = (512, 1024)  # long sides, pixels


def compare(what, ours, other, repeats):
    """Median seconds of both, run alternately after a warm-up."""
    for f in (ours, other):
        f()
    times = ([], [])
    for _ in range(repeats):
        for f, seconds in zip((ours, other), times):
            start = time.perf_counter()
            f()
            seconds.append(time.perf_counter() - start)
    a, b = map(statistics.median, times)
    return {"what": what, "ours": a, "other": b}


@contextlib.contextmanager
def float32():
    """On both sides, as on a processor without bfloat16 instructions."""
    before = device.precision("cpu")
    device.use_precision("float32")
    try:
        yield
    finally:
        device.use_precision(str(before).removeprefix("torch."))


def iterations(network, content, style, size):
    """A function that runs one more L-BFGS iteration of Gatys at one scale, the optimisation being under way."""
    steps = gatys.optimize(content, [style], network=network, scales=1, iterations=gatys.OPTIONS["iterations"].high or 10 ** 6,
                           size=size, device="cpu")
    return lambda: next(steps)


def measure(sizes=SIZES, reference=None, repeats=5):
    """Yields {"what", "ours", "other"}: median seconds of this project and of what it is compared with.

    reference: folder of Collaborative Distillation's networks, to compare WCT with.
    """
    torch.manual_seed(0)
    full = VGG(**VGG19).requires_grad_(False).to(memory_format=torch.channels_last)
    full_decoder = Decoder(4, full.depths, full.widths).requires_grad_(False).to(memory_format=torch.channels_last)
    compact, papers = backbones.load("compact"), Johnson().to(memory_format=torch.channels_last).eval()
    painted, several = (next((s for s in fixed.styles() if s.family == f), None) for f in ("johnson", "multimodal"))
    networks = Reference(reference) if reference else None
    for size in sizes:
        content = torch.rand(1, 3, round(size / 3 * 2 / 16) * 16, size).contiguous(memory_format=torch.channels_last)
        style = torch.rand(1, 3, size, size)
        photo = torch.rand(1, 3, size * 2 // 3, size).contiguous(memory_format=torch.channels_last)

        def small(method, content=content, style=style):
            return arbitrary.stylize(content, [style], method=method, levels=arbitrary.LEVELS, device="cpu")

        @torch.inference_mode()
        def large(content=content, style=style):
            f, s = (device.run(full, x, ["relu4_1"])["relu4_1"] for x in (content, style))
            f = transforms.apply(transforms.adain(transforms.statistics(f), transforms.statistics(s)), f)
            return device.run(full_decoder, {"relu4_1": f}).float().clamp(0, 1)

        @torch.inference_mode()
        def full_width(photo=photo):
            return papers(photo).clamp(0, 1)

        def paint(entry, photo=photo):
            return fixed.stylize(photo, entry.name, device="cpu")

        label = f"{size} x {content.shape[2]}"
        yield compare(f"AdaIN, {label}, full VGG-19", lambda: small("adain"), large, repeats)
        with float32():
            row = compare(f"AdaIN, {label}, full VGG-19, float32", lambda: small("adain"), large, repeats)
        yield row
        yield compare(f"Gatys, one step, {label}, full VGG-19", iterations(compact, content, style, size),
                      iterations(full, content, style, size), repeats)
        if networks:
            wct = torch.inference_mode()(lambda: device.run(networks.stylize, content, style))  # noqa: B023
            yield compare(f"WCT, {label}, reference networks", lambda: small("wct"), wct, repeats)
            yield compare(f"WCT, five levels, {label}, reference networks", lambda: small("cascade"), wct, repeats)
        label = f"{size} x {photo.shape[2]}"
        if painted:
            yield compare(f"Fixed style, {label}, full width in float32", lambda: paint(painted), full_width, repeats)
            with float32():
                row = compare(f"Fixed style, {label}, both in float32", lambda: paint(painted), full_width, repeats)
            yield row
        if size == max(sizes) and several:
            yield compare(f"Multimodal Transfer, {label}, full width in float32", lambda: paint(several), full_width, repeats)


def conditions():
    """What the figures depend on, in words."""
    used = "used" if device.precision("cpu") == torch.bfloat16 else "not used"
    return f"{torch.get_num_threads()} threads, bfloat16 {used} on both sides where float32 is not named"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    p.add_argument("--reference", type=Path, help="folder of Collaborative Distillation's networks, to compare WCT with")
    p.add_argument("--repeats", type=int, default=5)
    a = p.parse_args()
    print(f"{conditions()}\n{'':52s} {'ours':>10s} {'other':>10s}")
    for row in measure(a.sizes, a.reference, a.repeats):
        print(f"{row['what']:52s} {row['ours']:8.3f} s {row['other']:8.3f} s   "
              f"{row['other'] / row['ours']:6.1f} times faster", flush=True)


if __name__ == "__main__":
    main()
