"""Tiled pictures are those of the untiled way, up to rounding."""

import pytest
import torch

import style_transfer as st
from style_transfer import arbitrary, checkpoints, fixed, tiles, weights
from style_transfer import device as devices
from style_transfer.networks.blocks import sequence
from tests.conftest import EXAMPLES


@pytest.fixture(autouse=True)
def precision(monkeypatch):
    """What is compared here is the way, not the digits of a processor's fast numbers."""
    monkeypatch.setattr(devices, "_chosen", "float32")


@pytest.fixture(scope="module")
def content():
    return st.load(EXAMPLES / "photos/pagoda.jpg", 500)[..., :277, :]


def tiled(monkeypatch, paint, pixels=1 << 14):
    """What `paint` gives untiled and in tiles of so many pixels."""
    whole = paint()
    with monkeypatch.context() as patch:
        patch.setattr(tiles, "TILE", pixels)
        patch.setattr(tiles, "VALUES", 24 * pixels)
        return whole, paint()


@pytest.mark.parametrize("height, width", [(16, 16), (64, 1024), (277, 501), (1000, 16)])
def test_boxes_cover_every_pixel_once(height, width, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 1 << 12)
    height, width = tiles.sides(torch.empty(1, 1, height, width))
    seen = torch.zeros(1, 1, height, width)
    for box in tiles.boxes(height, width):
        box.cut(seen).add_(1)
        assert all(edge % tiles.GRID == 0 for edge in box) and box.cut(seen).numel() <= 1 << 13
    assert seen.eq(1).all()


@pytest.mark.parametrize("kept", [1e9, 0])
@pytest.mark.parametrize("method, levels", [("adain", (4,)), ("wct", (4,)), ("cascade", (5, 4, 3, 2, 1))])
def test_arbitrary_styles(method, levels, kept, content, painting, monkeypatch):
    monkeypatch.setattr(tiles, "KEPT", kept)
    a, b = tiled(monkeypatch, lambda: arbitrary.stylize(content, [painting], method=method, levels=levels))
    assert a.shape == b.shape and (a - b).abs().max() < 2e-3


@pytest.mark.parametrize("method", ["adain", "wct", "cascade"])
def test_regions_in_tiles(method, content, painting, painting_2, monkeypatch):
    left = torch.zeros(1, 1, 30, 50)
    left[..., :20], left[..., :10, 30:] = 1, 0.5
    a, b = tiled(monkeypatch, lambda: arbitrary.stylize(content, [painting, painting_2], method=method,
                                                        masks=[left, (1 - left) * 0.7]))
    assert (a - b).abs().max() < 2e-3


@pytest.mark.parametrize("name", ["starry-night", "emaki", "divisionism"])
def test_fixed_styles(name, content, monkeypatch):
    """All outputs, of Multimodal Transfer too."""
    for a, b in zip(*tiled(monkeypatch, lambda: fixed.outputs(content, name))):
        assert a.shape == b.shape and (a - b).abs().mean() < 1e-3 and (a - b).abs().max() < 1e-2


def test_the_features_of_a_box_are_those_of_the_picture(content, monkeypatch):
    encoder, layers = checkpoints.shared(weights.find("encoder")), ["relu1_1", "relu3_1", "relu5_1"]
    with torch.no_grad():
        whole = encoder(tiles.window(content, tiles.Box(0, 0, *tiles.sides(content))), layers)
        monkeypatch.setattr(tiles, "TILE", 1 << 14)
        features = tiles.Features(encoder, content, layers, torch.device("cpu"))
        boxes = [(box, found) for box, found in features.first()]
        assert len(boxes) > 8 and not set(features.kept) & {"relu1_1"} and "relu5_1" in features.kept
        for box, found in boxes:
            for seen in (found, features.second(box)):
                for layer in layers:
                    assert torch.allclose(seen[layer], box.cut(whole[layer], stride=encoder.stride(layer)), atol=1e-4)


def test_layer_by_layer_the_input_stays_what_it_is(content, monkeypatch):
    monkeypatch.setattr(tiles, "VALUES", 1 << 14)
    network = checkpoints.shared(weights.find("starry-night"))
    blocks = [layer for layer in network.parts if type(layer).__name__ == "ResidualBlock"][:2]
    x = torch.randn(1, blocks[0].conv1.in_channels, 64, 48, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    with torch.no_grad():
        assert torch.allclose(tiles.sequence(blocks, x), sequence(blocks, before.clone()), atol=1e-3)
        assert torch.equal(x, before) and torch.equal(tiles.sequence([], x), x)


def test_what_lies_far_away_does_not_matter(content, painting):
    """The radius that networks name is no smaller than what they see."""
    encoder, decoders = weights.decoders(["adain-decoder"], "cpu")
    with torch.no_grad():
        for layer in encoder.layers:
            stride, radius = encoder.stride(layer), encoder.radius([layer])
            other = content[..., :240, :240].clone()
            own, outside = 96, 96 + stride + radius  # of the position that begins at 96
            other[..., outside:] = 1 - other[..., outside:]
            a, b = (encoder(x, [layer])[layer][..., own // stride] for x in (content[..., :240, :240], other))
            assert torch.allclose(a, b, atol=1e-5), layer
        features = encoder(content[..., :240, :240], decoders[0].layers)
        edge = 96 + decoders[0].radius + -decoders[0].radius % 8
        far = {n: torch.cat([f[..., :edge // encoder.stride(n)], -f[..., edge // encoder.stride(n):]], 3)
               for n, f in features.items()}
        a, b = (decoders[0]({n: f.clone() for n, f in found.items()})[..., :96] for found in (features, far))
        assert torch.allclose(a, b, atol=1e-5)
