"""Pictures that several tests use: small versions of the example photographs and styles."""

from pathlib import Path

import pytest

import style_transfer as st

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
