"""Training pictures: folders decoded into memory as uint8 where they fit, read as they are needed where they do not."""

import copy
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from style_transfer.errors import InputError
from style_transfer.images import FORMATS

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SHORT_SIDE = 272  # pixels: crops of 144 to 256 come out of it at several scales, and thousands of pictures fit in memory
SMALLEST = 32  # pixels of a short side; below it a crop is enlarged blur, which teaches nothing
ASPECT = 1.4  # of a usual picture, for the estimate of these bytes
HELD_OUT = 110  # of the encoder's and its decoders' pictures; more than 50 of them are photographs
READERS = 4  # threads that decode while a step is computed
TRIES = 100  # files drawn in a row without one that can be read


def seeded(seed, step):
    """The generator of a step's random choices."""
    return random.Random(f"{seed} {step}")


def _decode(path, short_side):
    """A picture, upright, as uint8 [3, H, W]; None where it is broken or below SMALLEST."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.draft("RGB", (short_side, short_side))
            image = ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # Pillow raises many kinds
        return None
    if min(image.size) < SMALLEST:
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
    """All pictures of some folders (searched recursively), upright.

    folders: paths; short_side: larger pictures are reduced to it, pixels; memory: bytes that they may take (default: half
    of what is free), else they are read from their files each time; device: where the decoded ones lie; rank, world_size:
    number of this process and how many there are. Broken and tiny files are left out; `skipped` holds their paths, in
    the second case as they are met. Raises InputError where there is no picture.
    """

    def __init__(self, *folders, short_side=SHORT_SIDE, memory=None, device="cpu", rank=0, world_size=1):
        self.short_side, self.device, self.rank, self.world_size = short_side, device, rank, world_size
        self.paths = sorted(p for folder in folders for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        self.items, self.skipped = None, set()
        memory = _room(device) / world_size if memory is None else memory
        if len(self.paths) * 3 * ASPECT * short_side ** 2 <= memory:
            with ThreadPoolExecutor() as pool:
                decoded = dict(zip(self.paths, pool.map(lambda p: _decode(p, short_side), self.paths)))
            self.skipped = {p for p, x in decoded.items() if x is None}
            if self.skipped and rank == 0:
                print(f"{len(self.skipped)} of {len(decoded)} files are broken or tiny, and left out", flush=True)
            self.paths = [p for p in self.paths if p not in self.skipped]
            self.items = [decoded[p].to(device) for p in self.paths]
        if not self.paths:
            raise InputError(f"There is no picture that can be read in {', '.join(map(str, folders))}: name another folder.")

    def split(self, held_out, seed=0):
        """Two disjoint sets, the second with `held_out` pictures drawn at random, or a fifth where there are few."""
        if len(self.paths) < 2:
            raise InputError("One picture is not enough to train on: give a folder with more.")
        held_out = min(held_out, max(1, len(self.paths) // 5))
        order = list(range(len(self.paths)))
        random.Random(seed).shuffle(order)
        parts = copy.copy(self), copy.copy(self)
        for part, chosen in zip(parts, (order[held_out:], order[:held_out])):
            part.paths, part.items = [self.paths[i] for i in chosen], self.items and [self.items[i] for i in chosen]
        return parts

    def __len__(self):
        return len(self.paths)

    @property
    def workers(self):
        """Threads that reading takes: none for what lies in memory."""
        return 0 if self.items else READERS

    def _draw(self, rng):
        """A picture [3, H, W], uint8, drawn at random."""
        for _ in range(TRIES):
            index = rng.randrange(len(self))
            x = self.items[index] if self.items else _decode(self.paths[index], self.short_side)
            if x is not None:
                return x.to(self.device)
            self.skipped.add(self.paths[index])
        raise InputError(f"{TRIES} files in a row were no pictures that can be used, the last of them {self.paths[index]}: "
                         "name another folder.")

    def crops(self, count, size, rng, scale=(1.0, 1.8), jitter=0.0, whole=False):
        """[count, 3, size, size] in [0, 1]: random squares, `scale` times larger and reduced, mirrored half of the time.

        jitter: largest relative change of brightness, contrast and saturation. Of several processes each gets every
        world_size-th of them, all where `whole`.
        """
        seeds = [rng.getrandbits(64) for _ in range(count)]
        seeds = seeds if whole else seeds[self.rank::self.world_size]
        return torch.cat([self._crop(size, random.Random(seed), scale, jitter) for seed in seeds]).clamp_(0, 1).contiguous(
            memory_format=torch.channels_last)

    def fixed(self, count, size, number, **options):
        """As `crops`, the same in every process and every run, for validation and statistics; number: which of them."""
        return self.crops(count, size, seeded(number, 0), whole=True, **options)

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
