"""The command line as people run it: a subprocess on real pictures."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from tests.conftest import EXAMPLES

PHOTO = sorted((EXAMPLES / "photos").glob("*.jpg"))[0]
STYLES = sorted((EXAMPLES / "styles").glob("*.jpg"))[:2]


def run(*arguments, cwd=EXAMPLES.parent):
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent), "COLUMNS": "100"}
    return subprocess.run([sys.executable, "-m", "style_transfer", *map(str, arguments)], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [
    ("adain", PHOTO, STYLES[0], "--size", 128),
    ("wct", PHOTO, *STYLES, "--weights", "0.7,0.3", "--size", 128, "--levels", "4,2", "--preserve-color", "luminance"),
    ("gatys", PHOTO, STYLES[0], "--size", 96, "--iterations", 6, "--style-layers", "relu1_1,relu4_1=2"),
])
def test_a_picture_comes_out(arguments, tmp_path):
    result = run(*arguments, "-o", tmp_path / "new" / "out.png")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "new" / "out.png") as image, Image.open(PHOTO) as photo:
        assert max(image.size) == arguments[arguments.index("--size") + 1]
        assert image.width / image.height == pytest.approx(photo.width / photo.height, rel=0.05)
        assert len(image.getcolors(10 ** 6)) > 500


def test_a_folder_goes_through_and_a_broken_file_does_not_stop_it(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1, 2):
        Image.open(PHOTO).resize((80, 60)).save(folder / f"{number}.jpg")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    result = run("adain", folder, STYLES[0], "-o", tmp_path / "out")
    assert result.returncode == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["1.png", "2.png"]
    assert "broken.jpg" in result.stderr and "1 of 3" in result.stderr and "Traceback" not in result.stderr


def test_a_backbone_that_cannot_be_fetched(tmp_path, monkeypatch):
    for name, value in (("TORCH_HOME", tmp_path), ("HF_HOME", tmp_path), ("HF_ENDPOINT", "http://127.0.0.1:9")):
        monkeypatch.setenv(name, str(value))
    result = run("gatys", PHOTO, STYLES[0], "--backbone", "vgg19", "-o", tmp_path / "out.png")
    assert result.returncode == 1 and "does not answer" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("arguments, words", [
    (("adain", "none.jpg", STYLES[0]), "none.jpg"),
    (("adain", PHOTO, "none.jpg"), "none.jpg"),
    (("adain", PHOTO, STYLES[0], "--weights", "a,b"), "numbers"),
    (("adain", PHOTO, STYLES[0], "--weights", "1,2"), "weights"),
    (("adain", PHOTO, STYLES[0], "--alpha", "2"), "--alpha"),
    (("wct", PHOTO, STYLES[0], "--levels", "9"), "no level 9"),
    (("gatys", PHOTO, STYLES[0], "--content-layer", "relu9_9"), "relu9_9"),
    (("paint", PHOTO, STYLES[0]), "paint"),
])
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    result = run(*arguments, "-o", tmp_path / "out.png", cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert words in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_help_of_every_command():
    for command in ((), ("gatys",), ("adain",), ("wct",)):
        result = run(*command, "--help")
        assert result.returncode == 0 and "Usage" in result.stdout
