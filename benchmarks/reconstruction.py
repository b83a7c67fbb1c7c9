"""PSNR of the WCT decoders on photographs that none of them was trained on, beside the reference's.

    python -m benchmarks.reconstruction --pictures PHOTOS PAINTINGS --reference FOLDER

--pictures as in the training, so that the same pictures are held out; the first 50 photographs of these are measured.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.reference import Reference
from style_transfer import weights
from training.data import Pictures
from training.decoders import HELD_OUT, psnr


@torch.inference_mode()
def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pictures", type=Path, nargs="+", required=True, help="the first folder is the photographs")
    p.add_argument("--reference", type=Path, help="folder of Collaborative Distillation's networks")
    p.add_argument("--count", type=int, default=50)
    a = p.parse_args()
    held_out = Pictures(*a.pictures).split(HELD_OUT)[1]
    photos = [x for x, path in zip(held_out, held_out.paths) if a.pictures[0] in path.parents][:a.count]
    photos = [x[None, :, :x.shape[1] // 16 * 16, :x.shape[2] // 16 * 16].float() / 255 for x in photos]
    encoder, decoders = weights.decoders([f"wct-decoder-{level}" for level in range(1, 6)])
    reference = Reference(a.reference) if a.reference else None
    print(f"{len(photos)} photographs, PSNR in dB")
    for level in range(1, 6):
        decoder = decoders[level - 1]
        own = sum(psnr(decoder(encoder(x, [f"relu{level}_1"])), x) for x in photos) / len(photos)
        line = f"relu{level}_1   {own:6.2f}"
        if reference:
            other = sum(psnr(reference.decode(reference.encode(x, level), level), x) for x in photos) / len(photos)
            line += f"   reference {other:6.2f}   difference {own - other:+.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
