"""What all methods have in common on the command line: regions, strokes, colours, transparency, depth."""

import shutil

import pytest
import torch
from PIL import Image

import style_transfer as st
from tests.conftest import EXAMPLES

PHOTO = EXAMPLES / "photos/cat.jpg"
FIRST, SECOND = (EXAMPLES / f"styles/{name}.jpg" for name in ("waves", "mosaic"))
METHODS = {"adain": f"adain photo.png {FIRST} {SECOND}", "wct": f"wct photo.png {FIRST} {SECOND}",
           "fixed": "fixed photo.png --style udnie --style the-scream",
           "gatys": f"gatys photo.png {FIRST} {SECOND} --size 120 --iterations 3",
           "neighbours": f"neighbours photo.png {FIRST} {SECOND} --size 120 --iterations 3"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a photograph of 120 x 80 pixels, and masks: its left third, the next, and one with both in colours."""
    monkeypatch.chdir(tmp_path)
    photo = Image.open(PHOTO).convert("RGB").resize((120, 80))
    photo.save("photo.png")
    colors = Image.new("RGB", (120, 80))
    for k, color in enumerate(("red", "lime")):
        mask = Image.new("L", (120, 80))
        for image, value in ((mask, 255), (colors, color)):
            image.paste(value, (40 * k, 0, 40 * k + 40, 80))
        mask.save(f"{'left' if k == 0 else 'middle'}.png")
    colors.save("colors.png")
    photo.putalpha(Image.open("left.png"))
    photo.save("alpha.png")
    return tmp_path


@pytest.mark.parametrize("method", METHODS)
def test_regions_are_given_as_masks_or_as_colours(method, typed):
    photo, images = st.load("photo.png"), []
    for masks in ("left.png middle.png", "colors.png"):
        assert typed(f"{METHODS[method]} --masks {masks} -o out.png --overwrite")[0] == 0
        images.append(st.load("out.png"))
        left, middle, right = (images[-1] - photo).abs().mean((0, 1, 2)).split(40)
        assert right.max() < 1 / 200 and left.mean() > 0.02 and middle.mean() > 0.02
    assert torch.equal(*images)


def test_lists_of_files_end_at_the_next_option(typed):
    assert typed("adain photo.png --masks left.png --style-masks left.png --masks middle.png -o out.png "
                 f"{FIRST} {SECOND}")[0] == 2  # a style mask for two styles
    assert typed(f"adain --masks=left.png --masks middle.png -o out.png photo.png {FIRST} {SECOND}")[0] == 0


@pytest.mark.parametrize("line, words", [
    ("fixed photo.png --style udnie --style emaki", "do not come from one another"),
    ("fixed photo.png --style udnie --style the-scream --weights 1", "as many as the styles: 2"),
    ("fixed photo.png --style udnie --masks left.png middle.png", "a mask for each style, 1"),
    ("fixed photo.png --style udnie --style emaki --masks left.png", "no green in the picture"),
    ("fixed photo.png --style udnie --masks none.png", "no file 'none.png'"),
    ("fixed photo.png --style udnie --bits 12", "choose among 8, 16"),
    ("fixed photo.png --style udnie --stroke 9", "less than or equal to 8"),
    (f"adain photo.png {FIRST} --style-masks black.png", "black everywhere"),
    (f"adain photo.png {FIRST} --style-masks left.png middle.png", "one style mask: a list of 1"),
    ("adain photo.png empty", "no picture in the folder empty"),
])
def test_wrong_options_are_told_before_anything_is_painted(line, words, here, typed):
    (here / "empty").mkdir()
    Image.new("L", (8, 8)).save("black.png")
    code, said = typed(f"{line} -o out.png")
    assert code == 2 and words in " ".join(said.split()) and not (here / "out.png").exists()


@pytest.mark.parametrize("option", ["--masks", "--style-masks"])
def test_a_mask_is_not_overwritten(option, here, typed):
    before = (here / "left.png").read_bytes()
    code, said = typed(f"adain photo.png {FIRST} {option} left.png -o left.png")
    assert code == 2 and "one of the originals" in said and (here / "left.png").read_bytes() == before


def test_a_folder_is_one_style(here, typed):
    (here / "works").mkdir()
    for path in (FIRST, SECOND):
        shutil.copy(path, "works")
    (here / "works/notes.txt").write_text("none")
    assert typed("adain photo.png works -o out.png")[0] == 0
    styles = [[st.load(path, 512) for path in (SECOND, FIRST)]]
    assert (st.load("out.png") - st.arbitrary.stylize(st.load("photo.png"), styles)).abs().max() < 0.01


@pytest.mark.parametrize("suffix, bits", [("png", 8), ("png", 16), ("tif", 16), ("webp", 8)])
def test_transparency_and_depth(suffix, bits, here, typed):
    assert typed(f"fixed alpha.png --style udnie --bits {bits} -o out.{suffix}")[0] == 0
    _, alpha = st.images.read(f"out.{suffix}")
    assert alpha[..., :38].min() > 0.99 and alpha[..., 42:].max() < 0.01
    if suffix == "png":
        assert (here / "out.png").read_bytes()[24] == bits  # of the header
    assert typed(f"fixed photo.png --style udnie -o opaque.{suffix}")[0] == 0
    assert st.images.read(f"opaque.{suffix}")[1] is None


def test_texture_and_colour_apart(typed):
    photo = st.load("photo.png")
    for color, texture in ((0, 0), (1, 0), (0, 1)):
        assert typed(f"fixed photo.png --style the-scream --color-strength {color} --texture-strength {texture} -o out.png "
                     "--overwrite")[0] == 0
        image = st.load("out.png")
        apart = (image - photo).mean((2, 3)).abs().max()
        assert apart > 0.1 if color else apart < 0.03
        assert torch.allclose(image, photo, atol=1 / 200) is (not color and not texture)
