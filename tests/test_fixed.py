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


@pytest.fixture
def family(styles):
    """Networks that come from one another: a parent on a canvas, a child, and a child that learnt without a canvas."""
    torch.manual_seed(0)
    parent = Johnson(width=4, blocks=1, canvas=True)
    children = [Johnson(width=4, blocks=1, canvas=canvas) for canvas in (True, False)]
    for number, child in enumerate(children):
        child.load_state_dict({n: x + 0.1 * (number + 1) * x.std(correction=0) * torch.randn_like(x)
                               for n, x in parent.state_dict().items()})
    for name, network in zip(("parent", "child", "bare"), (parent, *children)):
        checkpoints.save(styles / f"{name}.safetensors", network, torch.float32, name=name, family="johnson")
    return styles


def test_a_blend_is_a_network_between_them(family, photo):
    states = [checkpoints.load(family / f"{name}.safetensors").state_dict() for name in ("parent", "child", "bare")]
    networks = [checkpoints.load(family / f"{name}.safetensors") for name in ("bare", "child", "parent")]
    between = fixed.blend(networks, [0.5, 0.3, 0.2])
    assert between.canvas and all(torch.allclose(x, 0.2 * states[0][n] + 0.3 * states[1][n] + 0.5 * states[2][n], atol=1e-6)
                                  for n, x in between.state_dict().items())
    ends = [fixed.stylize(photo, name) for name in ("parent", "child")]
    assert torch.equal(fixed.stylize(photo, ["parent", "child"], weights=[0, 2]), ends[1])
    middle = fixed.stylize(photo, ["parent", "child"])
    assert torch.allclose(middle, fixed.stylize(photo, ["child", "parent"], weights=[3, 3]), atol=2 / 255)
    apart = [(middle - end).abs().mean() for end in ends]
    assert min(apart) > 1e-3 and max(apart) < (ends[0] - ends[1]).abs().mean()


def test_a_blend_has_its_networks_share_of_the_canvas(family, photo, monkeypatch):
    grains, prime = [], fixed.canvas.prime
    monkeypatch.setattr(fixed.canvas, "prime", lambda x, network, grain: grains.append(grain) or prime(x, network, grain))
    fixed.stylize(photo, ["parent", "bare", "child"], weights=[1, 2, 1])
    assert grains == [0.5]


def test_a_blend_goes_where_one_mask_says(family, photo):
    mask = torch.zeros(1, 1, *photo.shape[2:])
    mask[..., :photo.shape[3] // 2] = 1
    part = fixed.stylize(photo, ["parent", "child"], masks=[mask], weights=[0.5, 0.5])
    half = photo.shape[3] // 2 - 2
    assert torch.equal(part[..., -half:], photo[..., -half:])
    assert torch.allclose(part[..., :half], fixed.stylize(photo, ["parent", "child"])[..., :half], atol=1 / 255)
    with pytest.raises(InputError, match="one mask: a list of 1"):
        fixed.stylize(photo, ["parent", "child"], masks=[mask, mask], weights=[0.5, 0.5])


def test_strangers_are_not_blended(family, photo):
    checkpoints.save(family / "papyrus.safetensors", Multimodal((2, 2, 2)), name="papyrus")
    checkpoints.save(family / "wide.safetensors", Johnson(width=6, blocks=1), name="wide")
    for other in ("apple", "papyrus", "wide"):
        with pytest.raises(InputError, match="do not come from one another"):
            fixed.stylize(photo, ["parent", other])
    for weights, words in (([1], "as many as the styles"), ([0, 0], "above 0"), ([-1, 2], "0 or more")):
        with pytest.raises(InputError, match=words):
            fixed.stylize(photo, ["parent", "child"], weights=weights)
    with pytest.raises(InputError, match="At least one style"):
        fixed.stylize(photo, [])


def test_the_shipped_styles_of_a_family_can_be_blended(photo):
    for family in ("johnson", "multimodal"):
        names = [style.name for style in fixed.styles() if style.family == family]
        image = fixed.stylize(photo, names, size=64)
        assert 0.02 < image.std() and (image - st.images.resize(photo, 64)).abs().mean() > 0.02


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
