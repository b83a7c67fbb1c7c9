"""The networks: layer plans, sizes, and what reflection padding promises."""

import pytest
import torch
import torch.nn.functional as F
import torchvision

from style_transfer.networks.blocks import reflection_pad
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.vgg import COMPACT, VGG, VGG16, VGG19


@pytest.mark.parametrize("p", [1, 2, 4])
def test_reflection_pad_equals_pytorchs_forward_and_backward(p):
    x = torch.rand(2, 3, 5, 7, dtype=torch.double, requires_grad=True)
    weight = torch.rand(2, 3, 5 + 2 * p, 7 + 2 * p, dtype=torch.double)
    ours, = torch.autograd.grad((reflection_pad(x, p) ** 2 * weight).sum(), x)
    theirs, = torch.autograd.grad((F.pad(x, (p,) * 4, mode="reflect") ** 2 * weight).sum(), x)
    assert torch.allclose(ours, theirs)
    thin = torch.rand(1, 1, 2, 2, dtype=torch.double, requires_grad=True)  # both border lines fall on the same row
    assert torch.autograd.gradcheck(reflection_pad, (thin,))


@pytest.mark.parametrize("plan, build", [(VGG16, torchvision.models.vgg16), (VGG19, torchvision.models.vgg19)])
def test_full_networks_are_torchvisions(plan, build):
    theirs = build(weights=None).features.eval()
    network = VGG(**plan).eval()
    network.load_state_dict({f"features.{k}": v for k, v in theirs.state_dict().items()})
    for module in theirs.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.padding_mode = "reflect"
            module._reversed_padding_repeated_twice = [1, 1, 1, 1]
    image = torch.rand(1, 3, 48, 32)
    with torch.inference_mode():
        x, expected, block, conv = (image - network.mean) / network.std, {}, 1, 0
        for layer in theirs:
            x = layer(x.clone())
            if isinstance(layer, torch.nn.ReLU):
                conv += 1
                expected[f"relu{block}_{conv}"] = x.clone()
            if isinstance(layer, torch.nn.MaxPool2d):
                block, conv = block + 1, 0
        assert list(expected) == network.layers
        for name, value in network(image, network.layers).items():
            assert torch.allclose(value, expected[name], atol=1e-4), name


def test_compact_encoder_is_sixteen_times_smaller_than_vgg19_to_relu5_1():
    compact = VGG(**COMPACT)
    full = VGG(depths=(2, 2, 4, 4, 1), widths=VGG19["widths"])
    assert compact.layers == full.layers and len(compact.layers) == 13

    def size(network):
        return sum(p.numel() for p in network.parameters())
    assert 15 < size(full) / size(compact) < 17


def test_layers_by_name_and_sizes():
    network = VGG(**COMPACT)
    out = network(torch.rand(1, 3, 70, 53), ["relu1_1", "relu3_1", "relu5_1"])
    assert {n: tuple(f.shape[1:]) for n, f in out.items()} == {
        "relu1_1": (16, 70, 53), "relu3_1": (64, 17, 13), "relu5_1": (128, 4, 3)}
    with pytest.raises(KeyError, match="relu5_4"):
        network(torch.rand(1, 3, 32, 32), ["relu5_4"])


def test_the_decoder_of_relu1_1_is_one_convolution():
    decoder = Decoder(1, COMPACT["depths"], COMPACT["widths"])
    assert decoder({"relu1_1": torch.rand(2, 16, 7, 9)}).shape == (2, 3, 7, 9)
    assert [m.out_channels for m in decoder.modules() if isinstance(m, torch.nn.Conv2d)] == [3]


@pytest.mark.parametrize("level", [2, 3, 4, 5])
@pytest.mark.parametrize("skips", [False, True])
def test_decoders_mirror_the_encoder(level, skips):
    encoder = VGG(**COMPACT)
    decoder = Decoder(level, encoder.depths, encoder.widths, skips=skips)
    features = encoder(torch.rand(2, 3, 32, 48), decoder.layers)
    assert decoder(features).shape == (2, 3, 32, 48)
    own = [(m.in_channels, m.out_channels) for m in encoder.features.values()]
    own = own[:encoder.layers.index(f"relu{level}_1") + 1]
    mirrored = [(m.in_channels, m.out_channels) for m in decoder.modules()
                if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    assert mirrored == [(o, i) for i, o in reversed(own)]


def test_skips_change_nothing_before_training():
    plain = Decoder(4, COMPACT["depths"], COMPACT["widths"])
    skipping = Decoder(4, COMPACT["depths"], COMPACT["widths"], skips=True)
    skipping.load_state_dict(plain.state_dict(), strict=False)
    features = VGG(**COMPACT)(torch.rand(1, 3, 32, 32), skipping.layers)
    # without skips the mirror of relu{b}_1 is already behind its ReLU, so adding zero and a second ReLU is the identity
    assert torch.allclose(plain(features), skipping(features), atol=1e-6)


def test_johnsons_network_is_the_papers():
    """Table 1 of the supplement: kernel, stride and channels of each layer, five residual blocks of two convolutions."""
    convs = [(m.kernel_size[0], m.stride[0], m.out_channels) for m in Johnson().modules() if isinstance(m, torch.nn.Conv2d)]
    residual = 10 * [(3, 1, 128)]
    assert sorted(convs) == sorted([(9, 1, 32), (3, 2, 64), (3, 2, 128), *residual, (3, 1, 64), (3, 1, 32), (9, 1, 3)])


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (17, 100), (5, 9), (1, 30)])
def test_johnsons_network_takes_any_size(size):
    image = torch.rand(1, 3, *size)
    output = Johnson(width=4, blocks=2)(image)
    assert output.shape == image.shape and torch.isfinite(output).all()
