"""A folder of photographs: which file becomes which result, and many of them painted at once in threads."""

import contextlib
import ctypes
import errno
import math
import os
import queue
import re
import secrets
import shutil
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from . import device as devices
from . import images
from .errors import InputError, StyleTransferError
from .options import Option

try:
    import fcntl
except ImportError:  # on Windows, where a file that is open cannot be removed
    fcntl = None

JOBS = Option(None, "Pictures of a folder that are painted at once, each with its part of the cores; default: one a core.",
              1, 64)
MOST = 16  # pictures at once, unless somebody asks for more
SHARE = 2 * 2 ** 20  # pixels a core: larger pictures take several, so that many at once need no more memory than small ones
READ = {*images.SUFFIXES, ".gif"}  # what is named so is meant to be a picture, and reported where it is none
OWNER = "owner"


class Job(NamedTuple):
    """One picture to be painted."""

    source: Path
    target: Path
    name: str  # the source's, below the folder that was named
    bits: int = 8  # a channel of the result
    settings: dict | None = None  # what the result carries, as `images.save` takes it


class Todo(NamedTuple):
    """What `find` has found."""

    folder: Path  # of the results, which may be in subfolders
    jobs: list  # of Job
    notes: list  # sentences on what is not among them


class Result(NamedTuple):
    """What became of one job."""

    job: int  # its number
    error: StyleTransferError | None = None
    messages: tuple = ()  # sentences that came while it was painted and are still to be shown


def find(content, output, styles=(), overwrite=False, bits=8):
    """What is to be painted of a photograph or a folder of them: a `Todo`, all checked, without the results that are there.

    content, output: Path; a folder's subfolders are painted into subfolders of the same names, which are made. Hidden files
    and folders, links to folders, the output and files that are no pictures are left out. styles: originals; bits: a
    channel of the results.
    Raises InputError where an original would be overwritten, results would lie among the photographs, or two have one name.
    """
    if not os.path.exists(content):
        raise InputError(f"There is no file or folder {content}: check its name.")
    notes = []
    if content.is_dir():
        names, notes = _photographs(content, output)
        if not names:
            raise InputError(f"There is no picture in the folder {content}: name one with photographs.")
        if not output.is_dir() and (output.exists() or output.suffix.lower() in images.SUFFIXES):
            raise InputError(f"{output} is a file, and {content} a folder: name a folder for the results.")
        stems = Counter(str(name.with_suffix("")).casefold() for name in names)  # a.jpg, a.png: a.jpg.png and a.png.png
        whole = {name for name in names if stems[str(name.with_suffix("")).casefold()] > 1}
        jobs = [Job(content / name, output / name.parent / f"{name.name if name in whole else name.stem}.png", str(name), bits)
                for name in names]
        folder, places = output, {os.path.realpath(job.source.parent) for job in jobs}
        if not overwrite and any(os.path.realpath(job.target.parent) in places for job in jobs):
            raise InputError(f"{output} is the folder of the photographs: name another one for the results, or --overwrite.")
    else:
        target = output / f"{content.stem}.png" if output.is_dir() else output
        folder, jobs = target.parent, [Job(content, target, content.name, bits)]
    names = Counter(str(job.target).casefold() for job in jobs)
    if clash := [job.name for job in jobs if names[str(job.target).casefold()] > 1]:
        raise InputError(f"The results of {', '.join(clash)} would have one name: rename one of them.")
    originals = {os.path.realpath(path) for path in (*styles, *(job.source for job in jobs))}
    for _, target, *_ in jobs:
        if os.path.realpath(target) in originals and not overwrite:
            raise InputError(f"{target} is one of the originals: name another output, or --overwrite it.")
        if target.suffix.lower() in images.SUFFIXES:
            with contextlib.suppress(OSError):  # of which the next line speaks
                target.parent.mkdir(parents=True, exist_ok=True)
        images.output_format(target, bits)
    if output.is_dir() and not overwrite:
        left = [job for job in jobs if not job.target.exists()]
        if len(left) < len(jobs):
            notes.append(f"{len(jobs) - len(left)} of {len(jobs)} pictures are in {output} already and are kept: --overwrite "
                         "paints them anew.")
        jobs = left
    return Todo(folder, jobs, notes)


def _photographs(folder, output):
    """Names below a folder of all pictures in it, and sentences on what else there is. Raises OSError for the folder itself."""
    found, others, notes, skipped = [], Counter(), [], os.path.realpath(output)

    def unreadable(error):
        if os.path.samefile(error.filename, folder):
            raise error
        notes.append(f"{error.filename} could not be read ({error.strerror}) and is left out: check its permissions.")

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith(".")
                            and os.path.realpath(os.path.join(place, name)) != skipped)
        for path in (Path(place, name) for name in sorted(files) if not name.startswith(".")):
            if _is_picture(path):
                found.append(path.relative_to(folder))
            elif path.is_file():
                others[path.suffix.lower() or path.name] += 1
    if others:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in others.most_common(10))
        notes.append(f"Files that are no pictures of a known format are left out: {kinds}{', ...' * (len(others) > 10)}.")
    return found, notes


def pictures(folder):
    """The pictures in a folder, by name, without those in its subfolders. Raises InputError where there is none."""
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and _is_picture(path)]
    if not found:
        raise InputError(f"There is no picture in the folder {folder}: name one with pictures.")
    return found


def _is_picture(path):
    """Whether a file is a picture, or named as one."""
    if not path.is_file():  # a pipe would wait for ever
        return False
    if path.suffix.lower() in READ:
        return True
    try:
        with Image.open(path, formats=images.FORMATS):
            return True
    except Exception:  # of any class
        return False


@contextlib.contextmanager
def scratch(folder, name=".{}.part"):
    """A folder, by default a hidden one beside the results, for what is not yet whole, removed at the end.

    What killed runs on this machine have left there is removed as well. A living one has its folder's OWNER locked.
    """
    for left in folder.glob(name.format("*")):
        if re.fullmatch(re.escape(name).replace(r"\{\}", "[0-9a-f]{16}"), left.name) and _abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    place = folder / name.format(secrets.token_hex(8))
    place.mkdir(0o700)
    try:
        with open(place / OWNER, "xb", buffering=0) as owner:
            if fcntl:
                with contextlib.suppress(OSError):  # a file system without locks, where nobody will get this one, either
                    fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owner.write(socket.gethostname().encode())  # last: without it nobody takes the folder for abandoned
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _abandoned(place):
    """Whether a folder is one of `scratch`, of this machine, and its process is gone."""
    try:
        with open(place / OWNER, "r+b") as owner:
            if owner.read() != socket.gethostname().encode():
                return False
            if fcntl:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not fcntl:
            os.remove(place / OWNER)
        return True
    except OSError:
        return False


def paint_one(job, place, work, advance):
    """Read, paint and write one picture, whole or not at all; work(picture, advance) -> picture.

    place: the folder of `scratch`. Raises StyleTransferError.
    """
    part = place / f"{secrets.token_hex(8)}{job.target.suffix}"
    try:
        picture, alpha = images.read(job.source)
        picture = work(picture, advance)
        images.save(picture, part, alpha=alpha, bits=job.bits, settings=job.settings)
        try:
            os.replace(part, job.target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # a subfolder that lies on another disk
            images.save(picture, job.target, alpha=alpha, bits=job.bits, settings=job.settings)
    except StyleTransferError as error:
        raise type(error)(str(error).replace(str(part), str(job.target)).replace(part.name, job.target.name)) from error
    except OSError as error:
        raise StyleTransferError(f"'{job.target}' could not be written ({error.strerror}): choose another place.") from error


class _Seats:
    """A number of seats, of which each thread takes as many as it needs and waits until so many are free.

    Made of queues because `_end` may come at any step: between two steps in Python, a lock would be lost with its thread.
    """

    def __init__(self, number):
        self.turn, self.free = queue.SimpleQueue(), queue.SimpleQueue()
        self.turn.put(None)
        for _ in range(number):
            self.free.put(None)

    @contextlib.contextmanager
    def taken(self, number):
        _wait(self.turn)  # one thread at a time, or several would wait for each other's seats
        for _ in range(number):
            _wait(self.free)
        self.turn.put(None)
        try:
            yield
        finally:
            for _ in range(number):
                self.free.put(None)


def _wait(tokens):
    """Take one of a queue."""
    while True:
        with contextlib.suppress(queue.Empty):
            return tokens.get(timeout=0.5)  # without a limit, `_end` would not reach the thread


def paint(folder, jobs, work, advance=lambda number, message="": None, together=None, size=None, device=None):
    """Paint pictures, several at once in threads; a generator of a `Result` for each as it is done.

    folder, jobs: of a `Todo`. work(picture, advance) -> picture; its advance(message or nothing) is called by the threads as
    advance(number, message). together: pictures at once, as `JOBS`; size: long side of the results, None for the pictures'.
    A picture alone has all cores. Of several, each has its part of them from its reading to its writing, which costs less
    than all the threads of one picture waiting for each other. On a GPU one is painted while others are read and written.
    When the generator is closed, the threads end as the main thread does by Ctrl-C, and what is being written is removed.
    """
    before, cpu = torch.get_num_threads(), devices.pick(device).type == "cpu"
    together = min(len(jobs), together or min(max(before, 1 if cpu else 2), MOST))
    least, seats = max(1, before // together), _Seats(before if cpu else 1)
    waiting, done = queue.SimpleQueue(), queue.SimpleQueue()
    for number in range(len(jobs)):
        waiting.put(number)

    def seated(picture, advance):
        height, width = picture.shape[2:]
        pixels = height * width * ((size or max(height, width)) / max(height, width)) ** 2
        cores = min(before, max(least, math.ceil(pixels / SHARE)))
        with seats.taken(cores if cpu else 1):
            torch.set_num_threads(cores)
            return work(picture, advance)

    def run():
        torch.set_num_threads(least)  # of this thread's operations
        with contextlib.suppress(queue.Empty, SystemExit):  # the latter from `_end`
            while True:
                number, error = waiting.get_nowait(), None
                try:
                    paint_one(jobs[number], place, seated, lambda message="", number=number: advance(number, message))
                except StyleTransferError as problem:
                    error = problem
                except Exception as problem:  # a mistake of ours, which is the main thread's to raise
                    done.put(problem)
                    return
                done.put(Result(number, error))

    with scratch(folder) as place:
        threads = [threading.Thread(target=run, daemon=True) for _ in range(together)]  # a second Ctrl-C waits for none
        try:
            for thread in threads:
                thread.start()
            for _ in jobs:
                result = done.get()
                if isinstance(result, Exception):
                    raise result
                yield result
            for thread in threads:
                thread.join()
        except BaseException:  # `scratch` ends when no thread writes any more
            _end(threads)
            raise
        finally:
            torch.set_num_threads(before)  # it is the next new thread's, too


def _end(threads):
    """Raise SystemExit in threads, at their next step in Python, and wait for their end."""
    while left := [thread for thread in threads if thread.is_alive()]:
        for thread in left:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
        for thread in left:
            thread.join(5)  # and once more, where a destructor has swallowed it
