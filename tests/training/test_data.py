"""Training pictures: what is found, what is left out, and the crops."""

import random

import pytest
import torch
from PIL import Image

from style_transfer.errors import InputError
from training.data import Pictures


def test_pictures_are_found_below_and_broken_ones_counted(folder):
    pictures = Pictures(folder, short_side=32)
    assert len(pictures) >= 130 and pictures.skipped == {folder / "broken.jpg"}
    assert all(min(x.shape[1:]) == 32 and x.dtype == torch.uint8 for x in pictures.items)
    train, test = pictures.split(10)
    assert len(test) == 10 and not {*map(str, train.paths)} & {*map(str, test.paths)}
    with pytest.raises(InputError, match="no picture"):
        Pictures(folder / "none")


def test_crops(folder):
    pictures = Pictures(folder)
    crops = pictures.crops(5, 32, random.Random(0), jitter=0.2)
    assert crops.shape == (5, 3, 32, 32) and 0 <= crops.min() and crops.max() <= 1
    assert torch.equal(crops, pictures.crops(5, 32, random.Random(0), jitter=0.2))
    assert not torch.equal(crops, pictures.crops(5, 32, random.Random(1), jitter=0.2))


def test_streamed_pictures_give_the_same_crops(folder):
    held, streamed = Pictures(folder), Pictures(folder, memory=0)
    assert streamed.items is None and streamed.workers > 0 and held.workers == 0
    streamed.paths = held.paths  # those that can be read
    for seed in range(3):
        assert torch.equal(*(p.crops(4, 32, random.Random(seed), jitter=0.2) for p in (held, streamed)))
    broken = Pictures(folder, memory=0)
    broken.paths = [folder / "broken.jpg", held.paths[0]]
    broken.crops(20, 32, random.Random(0))
    assert broken.skipped == {folder / "broken.jpg"}
    broken.paths = broken.paths[:1]
    with pytest.raises(InputError, match="100 files in a row"):
        broken.crops(1, 32, random.Random(0))


def test_processes_share_a_batch(folder):
    whole = Pictures(folder).crops(6, 32, random.Random(5))
    parts = [Pictures(folder, rank=rank, world_size=2) for rank in range(2)]
    crops = [part.crops(6, 32, random.Random(5)) for part in parts]
    assert torch.equal(whole[0::2], crops[0]) and torch.equal(whole[1::2], crops[1])
    assert torch.equal(*(part.fixed(6, 32, 1) for part in parts))  # what is validated with is the same everywhere


@pytest.mark.parametrize("memory", [None, 0])
def test_pictures_are_upright(tmp_path, memory):
    """A red half on the left of an upright picture that is stored lying, as telephones do."""
    upright = Image.new("RGB", (64, 128), "blue")
    upright.paste("red", (0, 0, 32, 128))
    stored, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    for name in ("a.jpg", "b.png"):
        stored.save(tmp_path / name, exif=exif)
    pictures = Pictures(tmp_path, memory=memory)
    for seed in range(4):
        picture = pictures._draw(random.Random(seed)).float()
        assert picture.shape == (3, 128, 64)
        red, _, blue = picture
        assert red[:, :28].min() > 200 and red[:, 36:].max() < 60 and blue[:, 36:].min() > 200


def test_tiny_pictures_are_left_out_and_counted(tmp_path, capsys):
    for name, size in (("good.png", (40, 40)), ("other.png", (32, 900)), ("tiny.png", (31, 900)), ("dot.png", (1, 1))):
        Image.new("RGB", size).save(tmp_path / name)
    pictures = Pictures(tmp_path)
    assert [p.name for p in pictures.paths] == ["good.png", "other.png"]
    assert {p.name for p in pictures.skipped} == {"tiny.png", "dot.png"}
    assert "2 of 4 files are broken or tiny" in capsys.readouterr().out


def test_one_picture_is_refused(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match="One picture"):
        Pictures(tmp_path).split(1)
