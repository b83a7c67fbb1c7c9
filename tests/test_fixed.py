"""Fixed styles: one network, one style."""

import json
from pathlib import Path

import pytest
import torch

import style_transfer as st
from style_transfer import backbones, checkpoints, fixed
from style_transfer.errors import CheckpointError, InputError
from style_transfer.losses import gram_matrix
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.multimodal import Multimodal
from style_transfer.transforms import mean_and_deviation

SHIPPED = [style.name for style in fixed.styles()]
# `losses` of what each network made of `photo` when it was released: whoever replaces a network measures again.
STORED = json.loads((Path(__file__).parent / "data/fixed-styles.json").read_text())


def losses(name, photo):
    """(content, style) of a picture of `photo`: to the photograph, and to the style's own tile, in the compact encoder."""
    encoder, layers = backbones.load("compact"), ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]
    image, tile = fixed.stylize(photo, name), st.load(checkpoints.FOLDER / f"{name}.jpg")
    of_image, of_photo, of_tile = (encoder(x, layers) for x in (image, photo, tile))

    def normalized(f):
        mean, deviation = mean_and_deviation(f)
        return (f - mean) / deviation
    content = (normalized(of_image["relu4_1"]) - normalized(of_photo["relu4_1"])).pow(2).mean()
    style = sum((gram_matrix(of_image[n]) - (g := gram_matrix(of_tile[n]))).pow(2).sum() / g.pow(2).sum() for n in layers) / 4
    return float(content), float(style)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_style_paints(name, photo):
    """As it did when it was released."""
    assert losses(name, photo) == pytest.approx(STORED[name], rel=0.1)
    entry = checkpoints.entry(checkpoints.FOLDER / f"{name}.safetensors")
    assert entry.size < 10e6 and entry.credit and entry.license
    assert (checkpoints.FOLDER / f"{name}.jpg").exists()


def test_enough_styles_ship():
    families = [style.family for style in fixed.styles()]
    assert families.count("johnson") >= 6 and families.count("multimodal") >= 2
    assert sum(path.stat().st_size for path in checkpoints.FOLDER.glob("*.safetensors")) < 40e6


@pytest.fixture
def styles(tmp_path, monkeypatch):
    """Two styles with random weights in a folder of their own."""
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    for name in ("zebra", "apple"):
        checkpoints.save(tmp_path / f"{name}.safetensors", Johnson(width=4, blocks=1), name=name, title=name.title(),
                         family="johnson", credit=f"painter of {name}")
    return tmp_path


def test_styles_are_listed_by_title(styles):
    (styles / "broken.safetensors").write_bytes(b"nothing")
    found = fixed.styles()
    assert [(s.name, s.title, s.family, s.credit) for s in found] == [
        ("apple", "Apple", "johnson", "painter of apple"), ("zebra", "Zebra", "johnson", "painter of zebra")]


@pytest.mark.parametrize("size", [(64, 48), (33, 50), (17, 100)])
def test_the_result_has_the_contents_size_and_lies_in_0_1(styles, size):
    content = torch.rand(1, 3, *size)
    image = fixed.stylize(content, "zebra")
    assert image.shape == content.shape and image.min() >= 0 and image.max() <= 1
    assert (image - content).abs().mean() > 0.01
    assert torch.equal(image, fixed.stylize(content, styles / "zebra.safetensors"))


def test_strength_blends(styles, photo):
    full = fixed.stylize(photo, "zebra")
    assert torch.equal(fixed.stylize(photo, "zebra", 0.0), photo)
    assert torch.allclose(fixed.stylize(photo, "zebra", 0.25), 0.25 * full + 0.75 * photo, atol=1e-6)


def test_size_and_colours(styles, photo):
    assert max(fixed.stylize(photo, "zebra", size=96).shape[2:]) == 96
    plain, kept, matched = (fixed.stylize(photo, "zebra", preserve_color=k) for k in (False, "luminance", "match"))

    def color_distance(image):
        return float((image.mean((2, 3)) - photo.mean((2, 3))).abs().max())

    assert color_distance(matched) < color_distance(plain)
    assert not torch.allclose(kept, plain, atol=0.01)


def test_wrong_input_is_a_sentence(styles, photo):
    for arguments, words in (((photo, "nobody"), "choose among apple, zebra"), ((photo[0], "zebra"), "one picture"),
                             ((photo * float("nan"), "zebra"), "not numbers"), ((photo, "zebra", 2.0), "strength"),
                             ((photo[:, :, :1, :1], "zebra"), "1 x 1"), ((photo, "zebra", 1.0, "all"), "preserve_color")):
        with pytest.raises(InputError, match=words):
            fixed.stylize(*arguments)
    with pytest.raises(CheckpointError, match="missing"):
        fixed.stylize(photo, styles / "none.safetensors")
    network = Johnson(width=4, blocks=1)
    with torch.no_grad():
        network.last.bias.fill_(60000)
        network.last.weight.fill_(60000)
        network.up2.weight.fill_(60000)
        network.norm5.weight.fill_(60000)
    checkpoints.save(styles / "wild.safetensors", network, name="wild", family="johnson")
    assert torch.isfinite(fixed.stylize(photo, "wild")).all()  # whatever it paints, it is a picture


def test_an_encoder_is_no_style(styles, photo):
    from style_transfer.networks.vgg import VGG
    checkpoints.save(styles / "encoder.safetensors", VGG((1,), (4,)), name="encoder")
    with pytest.raises(InputError, match="no network of a fixed style"):
        fixed.stylize(photo, "encoder")


@pytest.mark.parametrize("size", [(64, 48), (33, 50), (17, 100)])
def test_multimodal_transfer_gives_three_pictures(styles, size):
    checkpoints.save(styles / "papyrus.safetensors", Multimodal((2, 2, 2)), name="papyrus")
    content = torch.rand(1, 3, *size)
    pictures = fixed.outputs(content, "papyrus")
    assert [tuple(x.shape[2:]) for x in pictures] == [tuple(-(-n // k) for n in size) for k in (4, 2, 1)]
    assert all(0 <= x.min() and x.max() <= 1 for x in pictures)
    assert torch.equal(fixed.stylize(content, "papyrus"), pictures[-1])


def test_the_margin_is_cut_off(styles, photo):
    """A network that copies its input gives the photograph back, at every size."""
    class Copy(torch.nn.Module):
        multiple, canvas = 4, False

        def forward(self, image, run):
            assert image.shape[2] % self.multiple == image.shape[3] % self.multiple == 0
            return image
    for content in (photo, photo[:, :, :33, :50], photo[:, :, :16, :17]):
        assert torch.equal(fixed._paint(Copy(), (1,), content)[0], content)
