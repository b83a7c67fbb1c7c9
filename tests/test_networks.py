"""The networks: layer plans, sizes, and what reflection padding promises."""

import pytest
import torch
import torch.nn.functional as F
import torchvision

from style_transfer import networks
from style_transfer.networks.blocks import InstanceNorm, reflection_pad
from style_transfer.networks.cyclegan import Generator
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.multimodal import Multimodal
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


def test_instance_normalisation_is_pytorchs_and_keeps_the_layout():
    ours, theirs = InstanceNorm(5), torch.nn.InstanceNorm2d(5, affine=True)
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            value.copy_(torch.randn(5))
            dict(ours.named_parameters())[name].copy_(value)
    x = torch.rand(3, 5, 8, 6).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    assert ours(x).is_contiguous(memory_format=torch.channels_last)


def receptive_field(layers, position):
    """First and last input pixel that an output pixel sees through ("conv", kernel, stride) and ("up",), in order."""
    low = high = position
    for kind, *arguments in reversed(layers):
        if kind == "up":
            low, high = low // 2, high // 2
        else:
            kernel, stride = arguments
            low, high = low * stride - kernel // 2, high * stride + kernel // 2
    return low, high


DOWN = [("conv", 9, 1), ("conv", 3, 2), ("conv", 3, 2)]
UP = [("up",), ("conv", 3, 1), ("up",), ("conv", 3, 1)]
NETWORKS = {
    "johnson": (lambda: Johnson(width=2), [*DOWN, *10 * [("conv", 3, 1)], *UP, ("conv", 9, 1)]),
    "style": (lambda: Multimodal((2, 2, 2)).style, [*DOWN, *12 * [("conv", 3, 1)], *UP, ("conv", 3, 1)]),
    "enhance": (lambda: Multimodal((2, 2, 2)).enhance,
                [*DOWN, ("conv", 3, 2), *12 * [("conv", 3, 1)], ("up",), ("conv", 3, 1), *UP, ("conv", 9, 1)]),
    "refine": (lambda: Multimodal((2, 2, 2)).refine, [*DOWN, *6 * [("conv", 3, 1)], *UP, ("conv", 3, 1)]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_receptive_fields_are_those_of_the_papers_tables(name, monkeypatch):
    """Without normalisation, which sees all, an output pixel depends on just the pixels that the table's layers reach."""
    build, layers = NETWORKS[name]
    monkeypatch.setattr(InstanceNorm, "forward", lambda self, x: x)
    network = build()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.05)
    image = torch.ones(1, 3, 256, 256, requires_grad=True)
    position = 128
    network(image)[0, :, position, position].sum().backward()
    seen = image.grad[0].abs().sum((0, 2)).nonzero().flatten()
    assert (int(seen[0]), int(seen[-1])) == receptive_field(layers, position)


def test_multimodal_transfer_is_the_papers():
    """Channels of the three subnets and their residual blocks; the luminance block sees one channel."""
    def convs(module):
        return [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in module.modules()
                if isinstance(m, torch.nn.Conv2d)]
    network = Multimodal()
    down = [(16, 32, 3, 2), (32, 64, 3, 2)]
    assert convs(network.style.rgb) == [(3, 16, 9, 1), *down, *6 * [(64, 64, 3, 1)]]
    assert convs(network.style.luminance) == [(1, 16, 9, 1), *down, *6 * [(64, 64, 3, 1)]]
    assert convs(network.style.both) == [*6 * [(128, 128, 3, 1)], (128, 64, 3, 1), (64, 32, 3, 1), (32, 3, 3, 1)]
    assert convs(network.enhance) == [(3, 32, 9, 1), (32, 64, 3, 2), (64, 128, 3, 2), (128, 256, 3, 2),
                                      *12 * [(256, 256, 3, 1)],
                                      (256, 128, 3, 1), (128, 64, 3, 1), (64, 32, 3, 1), (32, 3, 9, 1)]
    assert convs(network.refine) == [(3, 32, 9, 1), (32, 64, 3, 2), (64, 128, 3, 2), *6 * [(128, 128, 3, 1)],
                                     (128, 64, 3, 1), (64, 32, 3, 1), (32, 3, 3, 1)]


def test_multimodal_transfer_gives_three_pictures_of_doubling_sides():
    network = Multimodal((2, 2, 2))
    image = torch.rand(2, 3, 16, 24)
    outputs = network(image)
    assert [tuple(x.shape) for x in outputs] == [(2, 3, 16, 24), (2, 3, 32, 48), (2, 3, 64, 96)]
    first, = network(image, outputs=1)
    assert torch.equal(first, outputs[0])
    with torch.no_grad():  # the refine subnet's identity: with nothing to add it enlarges
        network.refine[-1].weight.zero_()
        network.refine[-1].bias.zero_()
    *_, middle, last = network(image)
    enlarged = F.interpolate(middle, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(last, enlarged, atol=1e-6)


def test_the_luminance_block_sees_luminance_alone():
    subnet = Multimodal((2, 2, 2)).style
    image = torch.rand(1, 3, 16, 16)
    grey = 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]
    seen = {}
    subnet.luminance[0].conv.register_forward_pre_hook(lambda module, inputs: seen.update(x=inputs[0]))
    subnet(image)
    assert torch.allclose(seen["x"][:, 0], grey, atol=1e-6)


def test_the_table_of_architectures_finds_every_network_and_refuses_others():
    built = {"vgg": VGG((1,), (2,)), "decoder": Decoder(1, (1,), (2,)), "johnson": Johnson(2, 1),
             "multimodal": Multimodal((1, 1, 1)), "cyclegan": Generator(2, 1)}
    assert {key: networks.of(network)[0] for key, network in built.items()} == {key: key for key in networks.ARCHITECTURES}
    assert networks.FIXED == ("johnson", "multimodal", "cyclegan")
    picture = torch.rand(1, 3, 64, 64)
    for key in networks.FIXED:
        _, architecture = networks.of(built[key])
        pictures = built[key](picture[:, :, ::architecture.reductions[0], ::architecture.reductions[0]])
        pictures = pictures if isinstance(pictures, list) else [pictures]
        assert [64 // p.shape[2] for p in pictures] == list(architecture.reductions)
    with pytest.raises(TypeError, match="Linear"):
        networks.of(torch.nn.Linear(1, 1))
