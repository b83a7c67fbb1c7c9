"""Training pictures: folders decoded once into memory as uint8, random crops made from them."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def _decode(path, short_side):
    try:
        with Image.open(path) as image:
            image.draft("RGB", (short_side, short_side))
            image = image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    scale = short_side / min(image.size)
    if scale < 1:
        image = image.resize((max(short_side, round(image.width * scale)), max(short_side, round(image.height * scale))),
                             Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class Pictures:
    """All pictures of some folders (searched recursively) in memory.

    folders: paths; short_side: larger pictures are reduced to it, pixels; broken files are skipped and counted.
    """

    def __init__(self, *folders, short_side=272):
        paths = sorted(p for folder in folders for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        with ThreadPoolExecutor() as pool:
            decoded = list(pool.map(lambda p: _decode(p, short_side), paths))
        self.items = [x for x in decoded if x is not None]
        self.paths = [p for p, x in zip(paths, decoded) if x is not None]
        self.broken = len(decoded) - len(self.items)
        if not self.items:
            raise SystemExit(f"no picture that can be read in {', '.join(map(str, folders))}")

    def split(self, held_out, seed=0):
        """Two disjoint sets, the second with `held_out` pictures drawn at random."""
        order = list(range(len(self.items)))
        random.Random(seed).shuffle(order)
        parts = []
        for chosen in (order[held_out:], order[:held_out]):
            part = object.__new__(Pictures)
            part.items, part.paths, part.broken = [self.items[i] for i in chosen], [self.paths[i] for i in chosen], 0
            parts.append(part)
        return parts

    def __len__(self):
        return len(self.items)

    def crops(self, count, size, rng, scale=(1.0, 1.8), jitter=0.0, device="cpu"):
        """[count, 3, size, size] in [0, 1]: random squares, `scale` times larger and reduced, mirrored half of the time.

        jitter: largest relative change of brightness, contrast and saturation.
        """
        out = []
        for _ in range(count):
            x = self.items[rng.randrange(len(self.items))].to(device)
            side = min(round(size * rng.uniform(*scale)), *x.shape[1:])
            top, left = rng.randint(0, x.shape[1] - side), rng.randint(0, x.shape[2] - side)
            x = x[None, :, top:top + side, left:left + side].float()
            if side != size:
                x = F.interpolate(x, (size, size), mode="bilinear", antialias=side > size, align_corners=False)
            out.append(x.flip(3) if rng.random() < 0.5 else x)
        x = torch.cat(out) / 255
        if jitter:
            def factors():
                return torch.tensor([rng.uniform(1 - jitter, 1 + jitter) for _ in range(count)],
                                    device=device).view(-1, 1, 1, 1)
            x = x * factors()
            x = (x - x.mean((1, 2, 3), keepdim=True)) * factors() + x.mean((1, 2, 3), keepdim=True)
            x = (x - x.mean(1, keepdim=True)) * factors() + x.mean(1, keepdim=True)
        return x.clamp(0, 1).contiguous(memory_format=torch.channels_last)
