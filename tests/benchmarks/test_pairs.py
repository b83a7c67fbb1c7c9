"""Pictures for measuring: every pair by name, blends, several alphas, interrupted runs."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import style_transfer as st
from benchmarks import pairs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folders(tmp_path, photo, painting, painting_2):
    for name, pictures in (("contents", {"photo": photo}), ("styles", {"one": painting, "two": painting_2})):
        (tmp_path / name).mkdir()
        for stem, image in pictures.items():
            st.save(image, tmp_path / name / f"{stem}.png")
    (tmp_path / "styles" / "CREDITS.md").write_text("no picture")
    return tmp_path


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "benchmarks.pairs", *map(str, arguments)], cwd=ROOT, capture_output=True,
                          text=True)


def test_several_alphas_and_blends(folders):
    done = run(folders / "contents", folders / "styles", folders / "adain", "--alpha", 0.5, 1, "--size", 64, "--blend")
    assert done.returncode == 0, done.stderr
    for alpha in ("0.5", "1"):
        assert {path.name for path in (folders / f"adain-{alpha}").iterdir()} == {"photo__one+two.png", "photo__two+one.png"}
    content, *styles = (st.load(folders / path, 64) for path in ("contents/photo.png", "styles/one.png", "styles/two.png"))
    expected = st.arbitrary.stylize(content, styles, alpha=0.5)
    assert torch.allclose(st.load(folders / "adain-0.5" / "photo__one+two.png"), expected, atol=0.02)


def test_every_pair_by_name(folders):
    contents, styles = pairs.pictures(folders / "contents"), pairs.pictures(folders / "styles")
    _, made = pairs.make(pairs.every(contents, styles), folders / "out", pairs.painter("unchanged"), 64)
    assert made == 2 and {path.name for path in (folders / "out").iterdir()} == {"photo__one.png", "photo__two.png"}
    assert torch.allclose(st.load(folders / "out" / "photo__one.png"), st.load(contents[0], 64), atol=1e-6)
    (folders / "out" / "photo__one.png").unlink()
    assert pairs.make(pairs.every(contents, styles), folders / "out", pairs.painter("unchanged"), 64, keep=True)[1] == 1


@pytest.mark.parametrize("wrong, sentence", [
    (("--method", "reference"), "--reference"), (("--method", "fixed", "--blend"), "one style"), (("--diagonal",), "twelve"),
    (("--alpha", "2"), "alpha")])
def test_wrong_options(folders, wrong, sentence):
    done = run(folders / "contents", folders / "styles", folders / "out", *wrong)
    assert done.returncode in (1, 2) and sentence in done.stderr and "Traceback" not in done.stderr
