"""Training pictures: folders decoded into memory as uint8 where they fit, read as they are needed where they do not."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from PIL import Image

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
ASPECT = 1.4  # of a usual picture, for the estimate of these bytes


def _decode(path, short_side):
    try:
        with Image.open(path) as image:
            image.draft("RGB", (short_side, short_side))
            image = image.convert("RGB")
    except Exception:  # Pillow raises many kinds
        return None
    scale = short_side / min(image.size)
    if scale < 1:
        image = image.resize((max(short_side, round(image.width * scale)), max(short_side, round(image.height * scale))),
                             Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _room(device):
    """Half of the memory that is free where pictures would lie, bytes."""
    device = torch.device(device)
    return (torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available) / 2


class Pictures:
    """All pictures of some folders (searched recursively).

    folders: paths; short_side: larger pictures are reduced to it, pixels; memory: bytes that they may take (default: half
    of what is free), else they are read from their files each time. device: where the decoded ones lie.
    share: (number of this process, number of processes). Broken files are skipped and counted in `broken`.
    Raises SystemExit where there is no picture.
    """

    def __init__(self, *folders, short_side=272, memory=None, device="cpu", share=(0, 1)):
        self.short_side, self.device, self.share, self.broken = short_side, device, share, 0
        self.paths = sorted(p for folder in folders for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        self.items = None
        memory = _room(device) / share[1] if memory is None else memory
        if len(self.paths) * 3 * ASPECT * short_side ** 2 <= memory:
            with ThreadPoolExecutor() as pool:
                decoded = list(pool.map(lambda p: _decode(p, short_side), self.paths))
            self.paths = [p for p, x in zip(self.paths, decoded) if x is not None]
            self.items = [x.to(device) for x in decoded if x is not None]
            self.broken = len(decoded) - len(self.items)
            if self.broken and share[0] == 0:
                print(f"{self.broken} of {len(decoded)} files are no pictures that can be read, and are left out", flush=True)
        if not self.paths:
            raise SystemExit(f"no picture that can be read in {', '.join(map(str, folders))}")

    def split(self, held_out, seed=0):
        """Two disjoint sets, the second with `held_out` pictures drawn at random, or a fifth where there are few."""
        if len(self.paths) < 2:
            raise SystemExit("one picture is not enough to train on: give a folder with more")
        held_out = min(held_out, max(1, len(self.paths) // 5))
        order = list(range(len(self.paths)))
        random.Random(seed).shuffle(order)
        parts = []
        for chosen in (order[held_out:], order[:held_out]):
            part = object.__new__(Pictures)
            vars(part).update(vars(self), paths=[self.paths[i] for i in chosen],
                              items=self.items and [self.items[i] for i in chosen])
            parts.append(part)
        return parts

    def __len__(self):
        return len(self.paths)

    @property
    def workers(self):
        """Threads that reading takes: none for what lies in memory."""
        return 0 if self.items else 4

    def _draw(self, rng):
        """A picture [3, H, W], uint8, drawn at random."""
        for _ in range(100):
            index = rng.randrange(len(self))
            x = self.items[index] if self.items else _decode(self.paths[index], self.short_side)
            if x is not None:
                return x.to(self.device)
            self.broken += 1
        raise SystemExit(f"100 files in a row were no pictures, the last of them {self.paths[index]}")

    def crops(self, count, size, rng, scale=(1.0, 1.8), jitter=0.0, share=None):
        """[count, 3, size, size] in [0, 1]: random squares, `scale` times larger and reduced, mirrored half of the time.

        jitter: largest relative change of brightness, contrast and saturation. In several processes each gets its share.
        """
        number, processes = share or self.share
        seeds = [rng.getrandbits(64) for _ in range(count)][number::processes]
        return torch.cat([self._crop(size, random.Random(seed), scale, jitter) for seed in seeds]).clamp_(0, 1).contiguous(
            memory_format=torch.channels_last)

    def _crop(self, size, rng, scale, jitter):
        x = self._draw(rng)
        side = min(round(size * rng.uniform(*scale)), *x.shape[1:])
        top, left = rng.randint(0, x.shape[1] - side), rng.randint(0, x.shape[2] - side)
        x = x[None, :, top:top + side, left:left + side].float() / 255
        if side != size:
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=side > size, align_corners=False)
        x = x.flip(3) if rng.random() < 0.5 else x
        if jitter:
            x = x * rng.uniform(1 - jitter, 1 + jitter)
            x = (x - x.mean()) * rng.uniform(1 - jitter, 1 + jitter) + x.mean()
            x = (x - x.mean(1, keepdim=True)) * rng.uniform(1 - jitter, 1 + jitter) + x.mean(1, keepdim=True)
        return x
