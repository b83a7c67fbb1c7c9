"""Pictures that several tests use: small versions of the example photographs and styles."""

import shlex
import signal
import sys
from pathlib import Path

import pytest

import style_transfer as st
from style_transfer import __main__ as command_line

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(kind, number, size):
    files = sorted((EXAMPLES / kind).glob("*.jpg"))
    return st.load(files[number], size)


@pytest.fixture(scope="session")
def photo():
    return example("photos", 0, 160)


@pytest.fixture(scope="session")
def painting():
    return example("styles", 0, 160)


@pytest.fixture(scope="session")
def painting_2():
    return example("styles", 5, 160)


@pytest.fixture
def typed(monkeypatch, capsys):
    """The command line in this process: a function from what is typed to (exit code, what stands on stderr)."""
    def typed(line):
        monkeypatch.setattr(sys, "argv", ["style_transfer", *shlex.split(line)])
        with pytest.raises(SystemExit) as caught:
            command_line.main()
            sys.exit(0)
        return caught.value.code, capsys.readouterr().err

    before = signal.getsignal(signal.SIGTERM)
    yield typed
    signal.signal(signal.SIGTERM, before)
