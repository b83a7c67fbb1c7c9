"""Weights of other projects: files built in their layouts, with the computation that belongs to each beside them."""

import os
import random
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from style_transfer import arbitrary, checkpoints, convert
from style_transfer.errors import CheckpointError
from style_transfer.networks.vgg import VGG
from style_transfer.transforms import adain, apply, palette, statistics


def save(path, state):
    torch.save(state, path)
    return path


class ConvLayer(nn.Module):
    """As in pytorch/examples, fast_neural_style/neural_style/transformer_net.py."""

    def __init__(self, i, o, kernel, stride=1):
        super().__init__()
        self.reflection_pad, self.conv2d = nn.ReflectionPad2d(kernel // 2), nn.Conv2d(i, o, kernel, stride)

    def forward(self, x):
        return self.conv2d(self.reflection_pad(x))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.in1 = ConvLayer(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True)
        self.conv2, self.in2 = ConvLayer(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x):
        return self.in2(self.conv2(F.relu(self.in1(self.conv1(x))))) + x


class TransformerNet(nn.Module):
    def __init__(self, w=4):
        super().__init__()
        self.conv1, self.in1 = ConvLayer(3, w, 9), nn.InstanceNorm2d(w, affine=True)
        self.conv2, self.in2 = ConvLayer(w, 2 * w, 3, 2), nn.InstanceNorm2d(2 * w, affine=True)
        self.conv3, self.in3 = ConvLayer(2 * w, 4 * w, 3, 2), nn.InstanceNorm2d(4 * w, affine=True)
        for i in range(1, 6):
            setattr(self, f"res{i}", Residual(4 * w))
        self.deconv1, self.in4 = ConvLayer(4 * w, 2 * w, 3), nn.InstanceNorm2d(2 * w, affine=True)
        self.deconv2, self.in5 = ConvLayer(2 * w, w, 3), nn.InstanceNorm2d(w, affine=True)
        self.deconv3 = ConvLayer(w, 3, 9)

    def forward(self, x):
        y = F.relu(self.in3(self.conv3(F.relu(self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))))))
        y = self.res5(self.res4(self.res3(self.res2(self.res1(y)))))
        y = F.relu(self.in4(self.deconv1(F.interpolate(y, scale_factor=2))))
        y = F.relu(self.in5(self.deconv2(F.interpolate(y, scale_factor=2))))
        return self.deconv3(y)


@pytest.mark.parametrize("old", [False, True])
def test_fast_neural_style(tmp_path, photo, old):
    network = TransformerNet()
    for p in network.parameters():
        nn.init.uniform_(p, -0.3, 0.3)
    state = network.state_dict()
    if old:  # files from before PyTorch 0.4 hold statistics that were never used
        for name in [n for n in state if ".in" in f".{n}" and n.endswith("weight")]:
            state[name.replace("weight", "running_mean")] = torch.zeros_like(state[name])
            state[name.replace("weight", "running_var")] = torch.ones_like(state[name])
    item = convert.convert(save(tmp_path / "mosaic.pth", state), tmp_path / "mosaic.safetensors", credit="somebody")
    assert (item.family, item.name, item.credit) == ("johnson", "mosaic", "somebody")
    loaded = checkpoints.load(tmp_path / "mosaic.safetensors")
    photo = photo[:, :, :96, :120]
    expected = network(photo * 255) / 255
    assert (loaded(photo) - expected).abs().max() < 0.01 * expected.abs().max()


def small_adain():
    """naoto0804's vgg and decoder, net.py, with 8 channels where VGG-19 has 64."""
    def block(i, o):
        return [nn.ReflectionPad2d(1), nn.Conv2d(i, o, 3), nn.ReLU()]
    pool, up = nn.MaxPool2d(2, 2, 0, ceil_mode=True), nn.Upsample(scale_factor=2)
    a, b, c, d = 8, 16, 32, 64
    vgg = nn.Sequential(nn.Conv2d(3, 3, 1), *block(3, a), *block(a, a), pool, *block(a, b), *block(b, b), pool, *block(b, c),
                        *block(c, c), *block(c, c), *block(c, c), pool, *block(c, d), *block(d, d), *block(d, d), *block(d, d),
                        pool, *block(d, d))
    decoder = nn.Sequential(*block(d, c), up, *block(c, c), *block(c, c), *block(c, c), *block(c, b), up, *block(b, b),
                            *block(b, a), up, *block(a, a), *block(a, 3)[:2])
    for network in (vgg, decoder):
        for module in network:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.uniform_(module.bias, 0, 0.1)
    return vgg, decoder


def test_adain_of_naoto0804(tmp_path, photo, painting):
    vgg, decoder = small_adain()
    encoder_file, decoder_file = tmp_path / "vgg.safetensors", tmp_path / "decoder.safetensors"
    convert.convert(save(tmp_path / "vgg_normalised.pth", vgg.state_dict()), encoder_file, license="mit")
    with pytest.raises(CheckpointError, match="--encoder"):
        convert.convert(save(tmp_path / "decoder.pth", decoder.state_dict()), decoder_file)
    item = convert.convert(tmp_path / "decoder.pth", decoder_file, encoder=encoder_file)
    assert item.family == "adain"
    photo, painting = photo[:, :, :96, :112], painting[:, :, :96, :128]
    encode = vgg[:31]
    f = encode(photo)
    loaded = checkpoints.encoder_of(decoder_file)
    assert (loaded(photo, ["relu4_1"])["relu4_1"] - f).abs().max() < 0.01 * f.abs().max()
    expected = decoder(apply(adain(statistics(f), statistics(encode(painting))), f)).detach().clamp(0, 1)
    expected = apply(palette(statistics(expected), statistics(painting)), expected).clamp(0, 1)
    image = arbitrary.stylize(photo, [painting], decoder=decoder_file)
    assert (image - expected).abs().mean() < 0.03  # half precision and bfloat16 on the way


def test_torchvision(tmp_path, photo):
    for depths in ((2, 2, 3, 3, 3), (2, 2, 4, 4, 4)):
        vgg = VGG(depths, (4, 8, 8, 16, 16))
        state = vgg.state_dict() | {"classifier.0.weight": torch.zeros(4, 4)}
        item = convert.convert(save(tmp_path / "vgg.pth", state), tmp_path / "vgg.safetensors")
        assert item.family == "encoder"
        loaded = checkpoints.load(tmp_path / "vgg.safetensors")
        assert loaded.layers == vgg.layers
        assert torch.allclose(loaded(photo, ["relu5_1"])["relu5_1"], vgg(photo, ["relu5_1"])["relu5_1"], atol=1e-2)


class Evil:
    def __reduce__(self):
        return (print, ("code from a weight file",))


def test_files_that_are_none(tmp_path, capsys):
    cases = {"missing.pth": "missing", "text.pth": "damaged", "evil.pth": "more than tensors", "other.pth": "layout"}
    (tmp_path / "text.pth").write_text("not weights")
    torch.save(Evil(), tmp_path / "evil.pth")
    torch.save({"linear.weight": torch.zeros(2)}, tmp_path / "other.pth")
    for name, words in cases.items():
        with pytest.raises(CheckpointError, match=words) as caught:
            convert.convert(tmp_path / name, tmp_path / "out.safetensors")
        assert name in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists() and "code from" not in capsys.readouterr().out


def sources(tmp_path):
    """A file of every layout, in the old format of pickles, in the new one and as safetensors: [(path, {file: bytes})]."""
    from safetensors.torch import save_file
    vgg, decoder = small_adain()
    plain = VGG((2, 2, 3, 3, 3), (1, 1, 1, 1, 1))
    for name, state in (("style", TransformerNet(2).state_dict()), ("vgg", vgg.state_dict()), ("decoder", decoder.state_dict()),
                        ("torchvision", plain.state_dict())):
        save(tmp_path / f"{name}.pth", state)
        torch.save(state, tmp_path / f"{name}-old.pth", _use_new_zipfile_serialization=False)
        save_file(state, tmp_path / f"{name}.safetensors")
        yield name, state


def outcome(source, target, encoder=None):
    """What the conversion of a file gives: its sentence, or the network; nothing is left of a failed one."""
    target.unlink(missing_ok=True)
    try:
        convert.convert(source, target, encoder=encoder)
    except CheckpointError as error:
        assert "\n" not in str(error) and len(str(error)) < 600 and not target.exists()
        return str(error)
    return checkpoints.load(target)


def test_tensors_of_every_other_shape_are_refused(tmp_path):
    """Each tensor of each layout in turn: no dimension, one value, one dimension more, doubled, empty, missing, not finite."""
    states = dict(sources(tmp_path))
    encoder = tmp_path / "encoder.safetensors"
    convert.convert(tmp_path / "vgg.pth", encoder)
    changes = [lambda t: torch.tensor(1.0), lambda t: t.flatten()[:1], lambda t: t[None], lambda t: torch.cat([t, t]),
               lambda t: t[:0], None, lambda t: torch.full_like(t, float("nan"))]
    for name, state in states.items():
        used = list(state)[:20:5] if name == "vgg" else list(state)[::7]  # beyond relu4_1 nothing of a vgg is read
        for key in used:
            for change in changes:
                other = {k: v for k, v in state.items() if k != key} | ({key: change(state[key])} if change else {})
                if change and other[key].shape == state[key].shape and other[key].isfinite().all():
                    continue
                result = outcome(save(tmp_path / "x.pth", other), tmp_path / "x.safetensors", encoder)
                assert isinstance(result, str) and "x.pth" in result, (name, key)


def test_large_values_are_kept_and_do_not_become_infinite(tmp_path):
    state = TransformerNet(2).state_dict()
    state["conv1.conv2d.weight"][0, 0, 0, 0] = 400.0  # times 255 beyond half precision
    network = outcome(save(tmp_path / "x.pth", state), tmp_path / "x.safetensors")
    assert network.conv1.weight[0, 0, 0, 0] == 400 * 255


def test_a_width_that_the_file_does_not_have_costs_nothing(tmp_path):
    state = TransformerNet(2).state_dict() | {"conv1.conv2d.weight": torch.zeros(900, 1, 1, 1)}
    start = time.monotonic()
    assert "layout" in outcome(save(tmp_path / "x.pth", state), tmp_path / "x.safetensors")
    tall = torch.zeros(1).half().expand(10 ** 6, 10 ** 6)  # two terabytes, one number
    torch.save({"conv1.weight": tall, "deconv1.conv2d.weight": tall}, tmp_path / "x.pth")
    assert "damaged" in outcome(tmp_path / "x.pth", tmp_path / "x.safetensors")
    assert time.monotonic() - start < 1


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_converted_rightly_or_refused_with_a_sentence(tmp_path):
    chance, encoder, target = random.Random(0), tmp_path / "encoder.safetensors", tmp_path / "out.safetensors"
    names = [name for name, _ in sources(tmp_path)]
    convert.convert(tmp_path / "vgg.pth", encoder)
    for name in names:
        for suffix in ("-old.pth", ".pth", ".safetensors"):
            good = (tmp_path / f"{name}{suffix}").read_bytes()
            right = outcome(tmp_path / f"{name}{suffix}", target, encoder)
            for _ in range(40):
                data = bytearray(good)
                for _ in range(chance.choice((1, 2, 8))):
                    place = chance.randrange(min(len(data), chance.choice((300, 5000, len(data)))))
                    kind = chance.randrange(4)
                    if kind < 2:
                        data[place] = chance.randrange(256)
                    elif kind == 2:
                        del data[place:place + chance.choice((1, 4, 1000))]
                    else:
                        data[place:place] = data[:chance.randrange(1, 9)]
                broken = tmp_path / f"broken{Path(suffix).suffix[:1]}{suffix.rpartition('.')[2]}"
                broken.write_bytes(data)
                result = outcome(broken, target, encoder)
                if not isinstance(result, str):
                    assert type(result) is type(right) and result.arguments == right.arguments


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "folder.pth").mkdir()
    for name in ("pipe.pth", "folder.pth", "none.pth"):
        assert name in outcome(tmp_path / name, tmp_path / "out.safetensors")


def test_an_encoder_that_is_none(tmp_path):
    dict(sources(tmp_path))
    for encoder in ("none.safetensors", "decoder.safetensors", "style.pth"):
        assert isinstance(outcome(tmp_path / "decoder.pth", tmp_path / "out.safetensors", tmp_path / encoder), str)


def test_a_result_that_would_be_no_checkpoint_or_the_original(tmp_path):
    dict(sources(tmp_path))
    before = (tmp_path / "style.safetensors").read_bytes()
    for target in ("style.pth", "out.pth", "out", "style.safetensors"):
        with pytest.raises(CheckpointError, match="name another file"):
            convert.convert(tmp_path / "style.safetensors", tmp_path / target)
    assert (tmp_path / "style.safetensors").read_bytes() == before and not (tmp_path / "out").exists()
