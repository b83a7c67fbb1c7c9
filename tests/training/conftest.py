"""Small pictures, and the training scripts as functions."""

import importlib
import sys

import pytest
import torch
from PIL import Image

from style_transfer import device
from style_transfer.networks.vgg import VGG, VGG19
from tests.conftest import EXAMPLES
from training import loop

WAVES = EXAMPLES / "styles/waves.jpg"
COMMON = ("--device", "cpu", "--precision", "float32")
STYLE = ("--style", WAVES, "--name", "waves")
# of each script, what makes it take seconds
SMALL = {"johnson": (*STYLE, "--width", 4, "--crop", 32, "--style-size", 96, "--batch", 2),
         "multimodal": (*STYLE, "--widths", 2, 2, 2, "--crop", 128, "--batch", 1),
         "distill": ("--layerwise-steps", 3, "--crop", 32, "--batch", 4),
         "decoders": ("--crop", 32, "--batch", 4),
         "adain": ("--crop", 32, "--batch", 4),
         "cyclegan": ("--name", "waves", "--width", 4, "--blocks", 1, "--crop", 32, "--batch", 2),
         "slim": ("--teacher", "udnie", "--width", 2, "--blocks", 1, "--crop", 32)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Example pictures at 64 px, one of them in a folder below, one file broken."""
    path = tmp_path_factory.mktemp("pictures")
    (path / "below").mkdir()
    sources = sorted(EXAMPLES.glob("*/*.jpg"))
    for number, source in enumerate(sources * (130 // len(sources) + 1)):
        with Image.open(source) as image:
            image.convert("RGB").resize((72, 64)).save(path / ("below" if number % 2 else "") / f"{number}.jpg")
    (path / "broken.jpg").write_bytes(b"no picture")
    return path


@pytest.fixture(scope="session")
def vgg19(tmp_path_factory):
    """The beginning of a VGG-19, with random weights: as deep as relu2_1."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teachers") / "vgg19.pth"
    torch.save(VGG(depths=(2, 1), widths=VGG19["widths"][:2]).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def compact_teacher(tmp_path_factory):
    """Collaborative Distillation's file layout with random weights."""
    from tests.training.test_teachers import compact_file
    return compact_file(tmp_path_factory.mktemp("teachers") / "compact.safetensors")


@pytest.fixture(autouse=True)
def precision(monkeypatch):
    """As in a new process: a training chooses the precision for all that comes after it."""
    monkeypatch.setattr(device, "_chosen", None)


@pytest.fixture
def script(monkeypatch):
    """script(name, *arguments): a training script from its command line to its end, in this process."""
    monkeypatch.setattr("training.adain.VALIDATION", (4, 64))  # seconds, not minutes

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"training.{name}", *map(str, arguments)])
        loop.execute(importlib.import_module(f"training.{name}").main)
    return call


@pytest.fixture
def inputs(folder, vgg19, compact_teacher):
    """{script: what it needs}."""
    return {"johnson": ("--photos", folder), "multimodal": ("--photos", folder),
            "distill": ("--pictures", folder, "--vgg19", vgg19, "--compact-teacher", compact_teacher),
            "decoders": ("--pictures", folder), "adain": ("--photos", folder, "--paintings", folder),
            "cyclegan": ("--photos", folder, "--paintings", EXAMPLES / "styles"), "slim": ("--photos", folder)}


def output(name, path):
    """Where a script writes to, and the file of it to look at."""
    files = {"johnson": "waves.safetensors", "multimodal": "waves.safetensors", "decoders": "wct-decoder-3.safetensors",
             "cyclegan": "waves-to-photo.safetensors", "slim": "udnie.safetensors"}
    return (path, path / files[name]) if name in files else (path / "a.safetensors", path / "a.safetensors")
