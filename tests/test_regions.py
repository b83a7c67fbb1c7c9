"""Masks: from pictures, at any size, soft."""

import pytest
import torch
from PIL import Image

from style_transfer import fixed, regions
from style_transfer.errors import InputError


def picture(path, *colors):
    """A file of vertical stripes, 10 pixels each."""
    image = Image.new("RGBA" if len(colors[0]) == 4 else "RGB", (10 * len(colors), 20))
    for k, color in enumerate(colors):
        image.paste(color, (10 * k, 0, 10 * k + 10, 20))
    image.save(path)
    return path


def test_a_colour_for_each_style(tmp_path):
    path = picture(tmp_path / "m.png", (250, 10, 0), (0, 0, 0), (20, 200, 20), (255, 0, 0))
    red, green = regions.load([path], 2)
    assert [m.mean((2,))[0, 0, ::10].tolist() for m in (red, green)] == [[1, 0, 0, 1], [0, 0, 1, 0]]
    with pytest.raises(InputError, match="no blue in the picture.*red, green, blue"):
        regions.load([path], 3)
    with pytest.raises(InputError, match="6 styles at most"):
        regions.load([path], 7)


def test_a_mask_for_each_style(tmp_path):
    grey = picture(tmp_path / "grey.png", (255, 255, 255), (128, 128, 128), (0, 0, 0))
    clear = picture(tmp_path / "clear.png", (255, 255, 255, 0), (255, 255, 255, 255))
    first, second = regions.load([grey, clear], 2)
    assert first.shape == (1, 1, 20, 30) and torch.allclose(first[0, 0, 0, ::10], torch.tensor([1, 128 / 255, 0]), atol=1e-3)
    assert second[0, 0, 0, ::10].tolist() == [0, 1]
    assert torch.equal(regions.load([grey], 1)[0], first)
    with pytest.raises(InputError, match="mask for each style, 3,"):
        regions.load([grey, clear], 3)


def test_shares_never_exceed_the_picture():
    mask = torch.full((1, 1, 7, 9), 0.75)
    shares = regions.of_content([mask, mask, mask * 0.1], (30, 40))
    assert shares.shape == (3, 1, 30, 40) and torch.allclose(shares.sum(0), torch.ones(1, 30, 40))
    assert torch.allclose(regions.of_content([mask * 0.1], (30, 40)), torch.full((1, 1, 30, 40), 0.075))


def test_what_is_not_there_is_not_painted():
    image, asked = torch.rand(1, 3, 4, 6), []
    shares = torch.zeros(2, 1, 4, 6)
    shares[0, 0, :, :2] = 0.5
    out = regions.compose(shares, image, lambda k: asked.append(k) or torch.zeros_like(image))
    assert asked == [0] and not out[..., :2].any() and torch.equal(out[..., 2:], image[..., 2:])


def test_fixed_styles_in_regions(photo):
    left = torch.zeros(1, 1, *photo.shape[2:])
    left[..., :70] = 1
    out = fixed.stylize(photo, ["starry-night", "the-scream"], masks=[left, (1 - left) * 0.5])
    night, scream = (fixed.stylize(photo, name) for name in ("starry-night", "the-scream"))
    assert torch.allclose(out[..., :70], night[..., :70], atol=1e-5)
    assert torch.allclose(out[..., 70:], 0.5 * (scream + photo)[..., 70:], atol=1e-5)
    assert torch.allclose(fixed.stylize(photo, ["udnie"], masks=[left * 0]), photo)
    with pytest.raises(InputError, match="one mask: a list of 2"):
        fixed.stylize(photo, ["starry-night", "the-scream"], masks=[left])


def test_strokes_of_fixed_styles(photo):
    assert fixed.stylize(photo, "udnie", stroke=3.0).shape == photo.shape
    assert not torch.allclose(fixed.stylize(photo, "udnie", stroke=3.0), fixed.stylize(photo, "udnie"), atol=0.05)
    assert fixed.stylize(photo, "udnie", stroke=0.5).shape == photo.shape
    with pytest.raises(InputError, match="stroke"):
        fixed.stylize(photo, "udnie", stroke=9.0)
