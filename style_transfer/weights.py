"""From a name to a weight file: a path, a name of checkpoints/, or owner/name/weights in one of STYLE_TRANSFER_REPO's."""

import os
from pathlib import Path
from typing import NamedTuple

from . import checkpoints, hub
from .errors import CheckpointError, HubError, InputError


class Source(NamedTuple):
    """A weight file that can be used: in checkpoints/, or in a repository of STYLE_TRANSFER_REPO."""

    entry: checkpoints.Entry
    repository: hub.Repository | None = None
    commit: str = ""

    @property
    def label(self):
        """Its name as `find` takes it, with the repository that it comes from."""
        return f"{self.repository.id}/{self.entry.name}" if self.repository else self.entry.name

    def path(self):
        """Where the file lies, once it is there, and its encoder with it. Raises HubError."""
        if self.repository is None:
            return checkpoints.FOLDER / self.entry.file
        for item in hub.index(self.repository._replace(revision=self.commit))[1]:
            if self.entry.encoder and item.fingerprint == self.entry.encoder:  # a decoder is nothing without its own
                hub.fetch(self.repository, self.commit, item)
        return hub.fetch(self.repository, self.commit, self.entry)

    def tile(self):
        """A small picture of the style, NAME.jpg beside the weights; None where there is none."""
        if self.repository:
            return hub.tile(self.repository, self.commit, self.entry)
        path = checkpoints.FOLDER / f"{self.entry.name}.jpg"
        return path if path.is_file() else None


def installed(*families):
    """What lies in checkpoints/, of these families or of all: (sources, sentences about files that cannot be read)."""
    sources, problems = [], []
    for path in sorted(checkpoints.FOLDER.glob("*.safetensors")):
        try:
            sources.append(Source(checkpoints.entry(path)))
        except CheckpointError as error:
            problems.append(str(error))
    return [s for s in sources if not families or s.entry.family in families], problems


def catalog(*families):
    """All weight files to be had, `installed` and those of the repositories: (sources, sentences about what is not)."""
    sources, problems = installed(*families)
    for repo in hub.repositories():
        try:
            sha, entries = hub.index(repo)
            sources += [Source(item, repo, sha) for item in entries if not families or item.family in families]
        except HubError as error:
            problems.append(str(error))
    return sources, problems


def named(name, *families):
    """The path of the weights with a name as `catalog` labels them, never a path; only the repository in it is asked.

    families: those that the sentence of a name that is not there offers instead; all by default.
    Raises InputError when there are none by this name, HubError when their repository cannot be read.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"Name the weights, as `python -m style_transfer weights list` does, instead of {name!r:.60}.")
    place, _, stem = name.rpartition("/")
    if checkpoints.NAME.fullmatch(stem):
        path = checkpoints.FOLDER / f"{stem}.safetensors"
        if not place and os.path.isfile(path):
            return path
        for repo in (r for r in hub.repositories() if r.id == place):
            sha, entries = hub.index(repo)
            for item in entries:
                if item.name == stem:
                    return Source(item, repo, sha).path()
    raise InputError(f"There are no weights by the name of {name!r:.60}: choose among "
                     f"{', '.join(s.label for s in installed(*families)[0]) or 'none, for checkpoints/ has none'}.")


def find(name, *families):
    """The path of a weight file: a path as it is (a Path, or text that ends with .safetensors or names a file), or `named`."""
    if isinstance(name, os.PathLike) or isinstance(name, str) and (name.endswith(".safetensors") or os.path.isfile(name)):
        return Path(name)
    return named(name, *families)


def decoders(names, device="cpu"):
    """(encoder, [decoder, ...]) on a device, by names or paths, refused unless all were trained on one encoder.

    Whether they were is read off their headers. Raises CheckpointError, and what `find` raises.
    """
    paths = [find(name) for name in names]
    if len({checkpoints.describe(path).get("encoder") for path in paths}) > 1:
        raise CheckpointError(f"{', '.join(p.stem for p in paths)} have different encoders: take all from one release.")
    return checkpoints.encoder_of(paths[0], device), [checkpoints.shared(path, device) for path in paths]
