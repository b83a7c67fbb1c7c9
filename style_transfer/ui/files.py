"""Visitors' files: gone with their job, an hour after their upload, or, where the app was killed, at its next start."""

import atexit
import contextlib
import functools
import os
import tempfile
from pathlib import Path

from .. import folders

DELETED = (600, 3600)  # seconds: Gradio looks every so often for files of its own that are so old
NAME = "style-transfer-{}"


@functools.cache
def _folder():
    """The folder of this process, removed at its end; with it goes what killed ones have left."""
    place = contextlib.ExitStack()
    atexit.register(place.close)
    return place.enter_context(folders.scratch(Path(tempfile.gettempdir()), NAME))


def prepare():
    """Have Gradio keep its files in a folder of this process; to be called before there are components.

    Unless GRADIO_TEMP_DIR names another one: what is in that one is not ours to remove.
    """
    os.environ.setdefault("GRADIO_TEMP_DIR", str(_folder() / "gradio"))


def lasting(name):
    """A folder for files that are there for as long as the app runs."""
    folder = _folder() / name
    folder.mkdir(exist_ok=True)
    return folder


def job_folder():
    """A folder for a job's files, gone with the job: Gradio copies what it is given."""
    return tempfile.TemporaryDirectory(prefix="job-", dir=_folder())
