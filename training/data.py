"""Training pictures as random crops: decoded when they are first drawn, and kept in memory as uint8 while there is room."""

import copy
import random
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from style_transfer.errors import InputError
from style_transfer.images import FORMATS
from training import sources

SHORT_SIDE = 272  # pixels: crops of 144 to 256 come out of it at several scales, and thousands of pictures fit in memory
SMALLEST = 32  # pixels of a short side; below it a crop is enlarged blur, which teaches nothing
HELD_OUT = 110  # of the encoder's and its decoders' pictures; more than 50 of them are photographs
READERS = 4  # threads that decode, or draw the next steps' crops
TRIES = 100  # files drawn in a row without one that can be read


def seeded(seed, step):
    """The generator of a step's random choices."""
    return random.Random(f"{seed} {step}")


def _decode(read, short_side):
    """The picture in what `read` returns, upright, as uint8 [3, H, W]; None where it is broken or below SMALLEST."""
    try:
        with Image.open(read(), formats=FORMATS) as image:
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


def _ahead(function, items):
    """(item, function(item)) in their order, computed by threads a few items ahead."""
    with ThreadPoolExecutor(READERS) as pool:
        waiting = deque()
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > 2 * READERS:
                item, result = waiting.popleft()
                yield item, result.result()
        for item, result in waiting:
            yield item, result.result()


def _free(device):
    """Bytes of memory that nothing uses, where pictures would lie."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


class _Memory(dict):
    """Pictures by the number of their file: `room` bytes of them, or as long as half of what was free at first is free.

    What is free counts what the other processes of a training and its other sets of pictures take, too.
    """

    def __init__(self, device, room=None):
        self.device, self.room, self.lock = device, room, threading.Lock()
        self.spared = _free(device) / 2

    def keep(self, number, picture):
        """Whether there was room for it."""
        with self.lock:
            left = _free(self.device) - self.spared if self.room is None else self.room
            if number not in self and picture.nbytes <= left:
                self[number] = picture
                self.room = None if self.room is None else self.room - picture.nbytes
        return number in self


class Pictures:
    """All pictures of some sources (see `sources.find`), upright.

    short_side: larger pictures are reduced to it, pixels; memory: bytes that they may take (default: half of what is free), and
    what does not fit is read again from its file each time; device: where they lie; rank, world_size: number of this process
    and how many there are. Broken and tiny pictures are left out: as they are met, their number is told whenever it has
    doubled, and `skipped` holds their paths. A source that can be read only once, from beginning to end (a dataset, a
    compressed tar) is read here, and must fit. Raises InputError where it does not, and where there is no picture.
    """

    workers = READERS  # threads that a training should let draw ahead

    def __init__(self, *names, short_side=SHORT_SIDE, memory=None, device="cpu", rank=0, world_size=1):
        self.short_side, self.device, self.rank, self.world_size = short_side, torch.device(device), rank, world_size
        self.memory, self.skipped = _Memory(self.device, memory), set()
        found = [(name, sources.find(name)) for name in names]
        self.files = [file for _, source in found if not source.once for file in source.files]
        self.files.sort(key=lambda file: file.path.parts)
        for name, source in found:
            if source.once:
                self._read(name, source)
        self.chosen = range(len(self.files))  # numbers of the files that are in this set
        if not self.files:
            raise InputError(f"There is no picture that can be read in {', '.join(map(str, names))}: name another folder.")

    def _read(self, name, source):
        """Keep the pictures of a source that can be read only once."""
        first, left = len(self.files), source.limit
        self._tell(f"reading {name} into memory")

        def load(file):
            data = file.read()  # where this fails, it is not the picture that is broken
            return _decode(lambda: data, self.short_side)
        for file, picture in _ahead(load, source.files):
            if picture is None:
                self._skip(file.path)
                continue
            count, left = len(self.files) - first, left - picture.nbytes
            if left < 0:
                self._tell(f"of {name} the first {count} pictures are used, which take {source.limit / 1e9:g} GB: name another "
                           f"number by '{name}[:N]'")
                break
            if not self.memory.keep(len(self.files), picture.to(self.device)):
                raise InputError(f"Only {count} pictures of {name} fit in memory: take fewer of a dataset by '{name}[:N]', or "
                                 "make the archive a .zip or .tar, which are read as they are needed.")
            self.files.append(file._replace(read=None))
        self._tell(f"{len(self.files) - first} pictures of {name}")

    def _tell(self, text):
        if self.rank == 0:
            print(text, flush=True)

    def _skip(self, path):
        with self.memory.lock:
            known = len(self.skipped)
            self.skipped.add(path)
            count = len(self.skipped)
        if count > known and count & known == 0:  # 1, 2, 4, 8 ...
            self._tell(f"left out because they are broken or tiny: {count} so far, the last of them {str(path)!r}")

    def split(self, held_out, seed=0):
        """Two disjoint sets, the second with `held_out` pictures drawn at random, or a fifth where there are few.

        Those can be read; of the others it is not known yet.
        """
        order, test, rest = list(range(len(self))), [], []
        random.Random(seed).shuffle(order)
        held_out = min(held_out, max(1, len(order) // 5))
        for i, picture in _ahead(self.__getitem__, order):
            test += [] if picture is None else [i]
            if len(test) == held_out:
                rest = order[order.index(i) + 1:]
                break
        if not rest:  # hardly any can be read
            few = max(1, len(test) // 5)
            test, rest = test[:few], test[few:]
        if not rest:
            raise InputError(f"Of {len(order)} files {len(test)} can be read and used, which is not enough to train on: name a "
                             "folder with more.")
        parts = copy.copy(self), copy.copy(self)
        for part, chosen in zip(parts, (rest, test)):
            part.chosen = [self.chosen[i] for i in chosen]
        return parts

    def __len__(self):
        return len(self.chosen)

    def __getitem__(self, i):
        """The picture, uint8 [3, H, W]; None where it is broken or tiny."""
        number = self.chosen[i]
        file, picture = self.files[number], self.memory.get(number)
        if picture is None and file.path not in self.skipped:
            picture = _decode(file.read, self.short_side)
            if picture is None:
                self._skip(file.path)
            else:
                picture = picture.to(self.device)
                self.memory.keep(number, picture)
        return picture

    @property
    def paths(self):
        """Of the files, in the order of the numbers."""
        return [self.files[number].path for number in self.chosen]

    def _draw(self, rng):
        """A picture [3, H, W], uint8, drawn at random: the same whether it lies in memory already."""
        for _ in range(TRIES):
            i = rng.randrange(len(self))
            if (picture := self[i]) is not None:
                return picture
        raise InputError(f"{TRIES} files in a row were no pictures that can be used, the last of them "
                         f"{self.files[self.chosen[i]].path}: name another folder.")

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
