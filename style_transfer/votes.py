"""Blind votes between ways of painting: one JSON object a line of a file, and what all of them say.

    {"viewer": "ann", "picture": "lake__waves", "left": "adain-0.8", "right": "wct-0.6", "vote": "left"}
"""

import json
import math
import os
import threading
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from .errors import InputError

CHOICES = {"left": "Left is better", "right": "Right is better", "equal": "Equal"}
LONGEST = 200  # characters of a name
Z = 1.959964  # of the normal distribution, for intervals of 95 %
_LOCK = threading.Lock()


class Vote(NamedTuple):
    """Who saw which picture painted in which two ways, and what they chose of CHOICES."""

    viewer: str
    picture: str
    left: str
    right: str
    vote: str

    def pair(self):
        """What one viewer is asked once: (viewer, picture, the two ways in any order)."""
        return self.viewer, self.picture, frozenset((self.left, self.right))

    def winner(self):
        """The way that was preferred, None where both are equal."""
        return {"left": self.left, "right": self.right}.get(self.vote)


class Duel(NamedTuple):
    """How often each of two ways was preferred to the other one."""

    first: str
    second: str
    wins: int  # of the first
    losses: int
    equal: int


def check(found):
    """A `Vote` of what anybody may have written. Raises InputError, one sentence, where it is none."""
    if not isinstance(found, dict) or set(found) != set(Vote._fields):
        raise InputError(f"A vote must have {', '.join(Vote._fields)}, and nothing else.")
    for name, value in found.items():
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
            raise InputError(f"The {name} of a vote must be a text of 1 to {LONGEST} characters.")
    if found["vote"] not in CHOICES or found["left"] == found["right"]:
        raise InputError(f"A vote must be one of {', '.join(CHOICES)}, between two ways.")
    return Vote(**found)


def read(path):
    """(votes of a file, the number of lines left out), [] of a file that is not there yet.

    Left out is what is no vote, as the end of a line that was cut off, and what a viewer says of the same pair again.
    Raises InputError where the file cannot be read.
    """
    path, votes, lines = Path(path), {}, 0
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name a file of votes.") from None
    for line in filter(str.strip, text.split("\n")):
        lines += 1
        try:
            vote = check(json.loads(line))
        except (ValueError, RecursionError, InputError):
            continue
        votes.setdefault(vote.pair(), vote)
    return list(votes.values()), lines - len(votes)


def append(path, votes, most=None):
    """Write votes to the end of a file, on the disk when this returns; after a line that was cut off a new one begins.

    most: bytes that the file may have. Raises InputError where it would have more, or cannot be written.
    """
    data = "".join(json.dumps(check(vote._asdict())._asdict()) + "\n" for vote in votes).encode()
    try:
        with _LOCK, open(path, "ab+") as file:
            size = file.seek(0, os.SEEK_END)
            if most is not None and size + len(data) >= most:
                raise InputError(f"The file of votes is full: it may have {most / 1e6:g} MB.")
            file.seek(max(size - 1, 0))
            file.write(data if file.read(1) in (b"", b"\n") else b"\n" + data)  # at the end, wherever was read
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): name another file of votes.") from None


def duels(votes):
    """A `Duel` for every two ways between which there are votes, by name."""
    names = sorted({name for vote in votes for name in (vote.left, vote.right)})
    found = []
    for first, second in combinations(names, 2):
        winners = [vote.winner() for vote in votes if {vote.left, vote.right} == {first, second}]
        if winners:
            found.append(Duel(first, second, winners.count(first), winners.count(second), winners.count(None)))
    return found


def totals(votes):
    """{way: (how often it was preferred, how often another one was)}, the most often preferred first."""
    found = {}
    for duel in duels(votes):
        for name, wins, losses in ((duel.first, duel.wins, duel.losses), (duel.second, duel.losses, duel.wins)):
            before = found.get(name, (0, 0))
            found[name] = before[0] + wins, before[1] + losses
    return dict(sorted(found.items(), key=lambda item: -item[1][0] / max(sum(item[1]), 1)))


def wilson(wins, total):
    """(low, high) between which the share of wins lies with 95 %, without a vote (0, 1).

    Wilson 1927, "Probable Inference", the score interval: the p with |wins / n - p| <= z sqrt(p (1 - p) / n).
    """
    if not total:
        return 0.0, 1.0
    share, add = wins / total, Z * Z / total
    middle, half = (share + add / 2) / (1 + add), math.sqrt(add * (share * (1 - share) + add / 4)) / (1 + add)
    return max(0.0, middle - half), min(1.0, middle + half)


def sign_test(wins, losses):
    """The probability of a split at least so uneven where both are as good: two-sided, exact, equal votes left out.

    2 sum_{k <= min(wins, losses)} binomial(n, k) / 2^n, n = wins + losses; Dixon and Mood 1946.
    """
    n = wins + losses
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(wins, losses) + 1)) / 2 ** n)
