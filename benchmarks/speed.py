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
from style_transfer import arbitrary, checkpoints, device, fixed, gatys, weights
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.vgg import VGG, VGG19
from style_transfer.transforms import adain


def compare(name, ours, other, repeats):
    """Median seconds of both, run alternately after a warm-up, printed with their ratio."""
    for f in (ours, other):
        f()
    times = ([], [])
    for _ in range(repeats):
        for f, seconds in zip((ours, other), times):
            start = time.perf_counter()
            f()
            seconds.append(time.perf_counter() - start)
    a, b = map(statistics.median, times)
    print(f"{name:44s} {a:8.3f} s {b:8.3f} s   {b / a:6.1f} times faster", flush=True)


@contextlib.contextmanager
def float32():
    """On both sides, as on a processor without bfloat16 instructions."""
    measured, device.bf16_is_faster = device.bf16_is_faster, lambda kind: False
    try:
        yield
    finally:
        device.bf16_is_faster = measured


def iterations(network, content, style, size):
    """A function that runs one more L-BFGS iteration of Gatys at one scale, the optimisation being under way."""
    steps = gatys.optimize(content, [style], network=network, scales=1, iterations=10 ** 6, size=size, device="cpu")
    return lambda: next(steps)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    p.add_argument("--reference", type=Path, help="folder of Collaborative Distillation's networks, to compare WCT with")
    p.add_argument("--repeats", type=int, default=5)
    a = p.parse_args()
    torch.manual_seed(0)
    full = VGG(**VGG19).requires_grad_(False).to(memory_format=torch.channels_last)
    full_decoder = Decoder(4, full.depths, full.widths).requires_grad_(False).to(memory_format=torch.channels_last)
    compact, papers = checkpoints.shared(weights.find("encoder")), Johnson().to(memory_format=torch.channels_last).eval()
    painted, several = (next((s for s in fixed.styles() if s.family == f), None) for f in ("johnson", "multimodal"))
    print(f"{torch.get_num_threads()} threads, bfloat16 {'used' if device.bf16_is_faster('cpu') else 'not used'} "
          f"by AdaIN and WCT on both sides where float32 is not named\n{'':44s} {'ours':>10s} {'other':>10s}")
    for size in a.sizes:
        content = torch.rand(1, 3, round(size / 3 * 2 / 16) * 16, size).contiguous(memory_format=torch.channels_last)
        style = torch.rand(1, 3, size, size)
        label = f"{size} x {content.shape[2]}"

        def small(method, content=content, style=style):
            return arbitrary.stylize(content, [style], method=method, levels=arbitrary.LEVELS, device="cpu")

        @torch.inference_mode()
        def large(content=content, style=style):
            with device.autocast("cpu"):
                f, s = (full(x, ["relu4_1"])["relu4_1"] for x in (content, style))
                return full_decoder({"relu4_1": adain(f, s)}).float().clamp(0, 1)

        compare(f"AdaIN, {label}, full VGG-19", lambda: small("adain"), large, a.repeats)
        with float32():
            compare(f"AdaIN, {label}, full VGG-19, float32", lambda: small("adain"), large, a.repeats)
        compare(f"Gatys, one step, {label}, full VGG-19", iterations(compact, content, style, size),
                iterations(full, content, style, size), a.repeats)
        photo = torch.rand(1, 3, size * 2 // 3, size).contiguous(memory_format=torch.channels_last)

        @torch.inference_mode()
        def full_width(photo=photo):
            return papers(photo).clamp(0, 1)

        def paint(photo=photo):
            return fixed.stylize(photo, painted.name, device="cpu")

        label = f"{size} x {photo.shape[2]}"
        compare(f"Fixed style, {label}, full width in float32", paint, full_width, a.repeats)
        with float32():
            compare(f"Fixed style, {label}, both in float32", paint, full_width, a.repeats)
        if size == max(a.sizes) and several:
            compare(f"Multimodal Transfer, {label}, the same", lambda photo=photo: fixed.stylize(photo, several.name),
                    full_width, a.repeats)
        if a.reference:
            reference = Reference(a.reference)

            @torch.inference_mode()
            def wct(content=content, style=style, reference=reference):
                with device.autocast("cpu"):
                    return reference.stylize(content, style)

            compare(f"WCT, {size} x {content.shape[2]}, reference networks", lambda: small("wct"), wct, a.repeats)


if __name__ == "__main__":
    main()
