"""Training: the data, the loop, and every script for a few seconds on small pictures."""

import json
import random
import subprocess
import sys

import pytest
import torch
from PIL import Image

from style_transfer import checkpoints
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.vgg import COMPACT, VGG, VGG19
from tests.conftest import EXAMPLES
from training import loop, teachers
from training.data import Pictures
from training.decoders import first_decoder, psnr, transformed
from training.distill import PICTURE_GAIN, carry_picture
from training.johnson import SharedTrunk, statistics, style_distance
from training.losses import gram_loss, relative_error, style_loss
from training.precondition import Preconditioned, least_squares, whitening


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Example pictures at 64 px, one of them in a folder below, one file broken."""
    path = tmp_path_factory.mktemp("pictures")
    (path / "below").mkdir()
    sources = sorted(EXAMPLES.glob("*/*.jpg"))
    for number, source in enumerate(sources * (130 // len(sources) + 1)):
        with Image.open(source) as image:
            image.convert("RGB").resize((72, 64)).save(path / ("below" if number % 2 else "") / f"{number}.jpg")
    (path / "broken.jpg").write_bytes(b"no picture")
    return path


def test_pictures_are_found_below_and_broken_ones_counted(folder):
    pictures = Pictures(folder, short_side=32)
    assert len(pictures) >= 130 and pictures.broken == 1
    assert all(min(x.shape[1:]) == 32 and x.dtype == torch.uint8 for x in pictures.items)
    train, test = pictures.split(10)
    assert len(test) == 10 and not {*map(str, train.paths)} & {*map(str, test.paths)}
    with pytest.raises(SystemExit, match="no picture"):
        Pictures(folder / "none")


def test_crops(folder):
    pictures = Pictures(folder)
    crops = pictures.crops(5, 32, random.Random(0), jitter=0.2)
    assert crops.shape == (5, 3, 32, 32) and 0 <= crops.min() and crops.max() <= 1
    assert torch.equal(crops, pictures.crops(5, 32, random.Random(0), jitter=0.2))
    assert not torch.equal(crops, pictures.crops(5, 32, random.Random(1), jitter=0.2))


def test_relative_error_by_hand():
    target = torch.tensor([0.0, 2.0, 4.0])
    assert float(relative_error(target + 1, target)) == pytest.approx(1 / 4, rel=1e-4)  # variance 4


def quadratic():
    torch.manual_seed(0)
    module = torch.nn.Linear(4, 1)
    x = torch.randn(64, 4)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    return module, lambda *_: {"total": (module(x) - y).pow(2).mean()}


def test_the_loop_learns_saves_and_goes_on(tmp_path, capsys):
    module, step = quadratic()
    start = float(step(0, 0.0)["total"].detach())
    first = loop.train(step, {"m": module}, minutes=0.02, learning_rate=0.05, run=tmp_path)
    assert float(step(0, 0.0)["total"].detach()) < 0.1 * start
    again, step = quadratic()
    second = loop.train(step, {"m": again}, minutes=0.03, learning_rate=0.05, run=tmp_path)
    assert "going on from iteration" in capsys.readouterr().out
    assert second["steps"] > first["steps"]
    assert float(step(0, 0.0)["total"].detach()) < 0.1 * start
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["iteration"] == second["steps"]


def test_a_loss_that_is_not_finite_stops_with_a_sentence(tmp_path):
    module, _ = quadratic()
    with pytest.raises(SystemExit, match="not finite at iteration 0"):
        loop.train(lambda *_: {"total": module.weight.sum() * float("nan")}, {"m": module}, minutes=1,
                   learning_rate=0.1, run=tmp_path)


def test_teachers_are_read_as_deep_as_their_files(tmp_path):
    full = VGG(**VGG19)
    state = {k: v for k, v in full.state_dict().items() if int(k.split(".")[1]) <= 16}
    torch.save(state | {"classifier.0.weight": torch.zeros(2)}, tmp_path / "vgg19.pth")
    teacher = teachers.vgg19(tmp_path / "vgg19.pth")
    assert teacher.layers[-1] == "relu3_4"
    image = torch.rand(1, 3, 32, 32)
    assert torch.allclose(teacher(image, ["relu3_4"])["relu3_4"], full(image, ["relu3_4"])["relu3_4"], atol=1e-5)


def test_preconditioning_folds_away():
    """In evaluation the plain decoder that comes out computes the same as the one that was trained."""
    torch.manual_seed(0)
    encoder = VGG(**COMPACT)
    for skips, level in ((False, 2), (False, 3), (True, 4)):
        decoder = Decoder(level, encoder.depths, encoder.widths, skips=skips)
        features = encoder(torch.rand(2, 3, 48, 64), decoder.layers)
        trained = Preconditioned(decoder, {n: whitening(features[n]) for n in decoder.layers}, fresh=not skips)
        with torch.no_grad():
            if skips:  # started from a decoder, it computes what that did
                assert torch.allclose(trained(features), decoder(features), atol=1e-3)
            trained(features)  # moves the statistics of batch normalisation
            trained.eval()
            expected = trained(features)
            assert float(expected.std()) > 1e-3
            assert torch.allclose(trained.fold()(features), expected, atol=1e-2 * float(expected.std()))


def test_least_squares_finds_the_map():
    features, weight = torch.randn(2, 5, 9, 9) + 3, torch.randn(3, 5)
    target = torch.einsum("kc,nchw->nkhw", weight, features) + torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    found, bias = least_squares(features, target)
    assert torch.allclose(found, weight, atol=1e-4) and torch.allclose(bias, torch.tensor([1.0, 2.0, 3.0]), atol=1e-3)


def test_the_first_decoder_inverts_an_encoder_that_carries_the_picture():
    torch.manual_seed(0)
    encoder = VGG(**COMPACT)
    image = torch.rand(4, 3, 32, 32)
    poor = psnr(first_decoder(encoder, image)(encoder(image, ["relu1_1"])), image)
    carry_picture(encoder)
    assert torch.allclose(encoder(image, ["relu1_1"])["relu1_1"][:, :3], PICTURE_GAIN * image, atol=1e-3)
    assert psnr(first_decoder(encoder, image)(encoder(image, ["relu1_1"])), image) > max(60, poor)
    encoder(image, ["relu2_1"])["relu2_1"].sum().backward()  # and training leaves it so
    assert not encoder.features["0"].weight.grad[:3].any() and encoder.features["0"].weight.grad[3:].any()


def test_transformed_features_have_the_styles_covariance_at_full_strength():
    class Full(random.Random):
        def uniform(self, a, b):
            return b

    f, s = torch.randn(1, 4, 20, 20), torch.randn(1, 4, 16, 16) * 3 + 1
    covariance = torch.cov(transformed(f, s, Full())[0].flatten(1))
    assert torch.allclose(covariance, torch.cov(s[0].flatten(1)), atol=0.05)


def test_styles_that_share_a_trunk_become_networks_of_their_own():
    torch.manual_seed(0)
    shared = SharedTrunk(Johnson(width=4, blocks=1), 2)
    with torch.no_grad():
        for parameter in shared.own[1].values():
            parameter.add_(torch.rand_like(parameter))
    image = torch.rand(1, 3, 24, 20)
    outputs = [shared(image, style) for style in range(2)]
    assert not torch.allclose(*outputs, atol=1e-2)
    for style, output in enumerate(outputs):
        assert torch.allclose(shared.single(style)(image), output, atol=1e-5)
    sum(o.sum() for o in outputs).backward()
    assert all(p.grad is not None for own in shared.own for p in own.values())


def test_style_distance_is_zero_for_the_style_itself():
    features = {"relu1_1": torch.rand(1, 4, 12, 12)}
    targets = statistics(features, ["relu1_1"])
    assert float(style_distance(features, targets)) < 1e-8
    other = {"relu1_1": 2 * features["relu1_1"]}
    # G' = 4 G, mean and deviation doubled: ((4 - 1) G)^2 / G^2 + 10 * 1
    assert abs(float(style_distance(other, targets)) - 19) < 0.01


def test_whitening():
    features = torch.randn(2, 4, 30, 30) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1) + 7
    mean, matrix, inverse = whitening(features)
    flat = features.permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(torch.cov(matrix @ (flat - mean[:, None])), torch.eye(4), atol=1e-2)
    assert torch.allclose(matrix @ inverse, torch.eye(4), atol=1e-4)


def test_gram_and_style_loss_are_relative_to_the_style():
    f, s = {"relu1_1": torch.rand(2, 3, 5, 5)}, {"relu1_1": torch.rand(2, 3, 4, 4)}
    for loss in (style_loss, gram_loss):
        assert float(loss(s, s)) == 0
        doubled = loss({"relu1_1": f["relu1_1"] * 7}, {"relu1_1": s["relu1_1"] * 7})
        assert float(doubled) == pytest.approx(float(loss(f, s)), rel=0.05)


def train(script, folder, out, *arguments):
    result = subprocess.run([sys.executable, "-m", f"training.{script}", *map(str, arguments), "--crop", "32",
                             "--batch", "4", "--device", "cpu", "--run", str(out / f"run-{script}")],
                            cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]


def test_all_scripts_in_a_row(folder, tmp_path):
    """From a teacher with random weights to checkpoints that belong together."""
    torch.manual_seed(0)
    torch.save(VGG(depths=(2, 2, 4, 4, 1), widths=VGG19["widths"]).state_dict(), tmp_path / "vgg19.pth")
    train("distill", folder, tmp_path, "--pictures", folder, "--vgg19", tmp_path / "vgg19.pth", "--minutes", 0.05,
          "-o", tmp_path / "encoder.safetensors")
    train("decoders", folder, tmp_path, "--pictures", folder, "--encoder", tmp_path / "encoder.safetensors",
          "--minutes", 0.05, "-o", tmp_path)
    train("adain", folder, tmp_path, "--photos", folder, "--paintings", folder, "--minutes", 0.03,
          "--encoder", tmp_path / "encoder.safetensors", "--start", tmp_path / "wct-decoder-4.safetensors",
          "-o", tmp_path / "adain-decoder.safetensors")
    encoder = checkpoints.load(tmp_path / "encoder.safetensors")
    assert encoder.arguments == VGG(**COMPACT).arguments
    for name in ("adain-decoder", *(f"wct-decoder-{n}" for n in range(1, 6))):
        assert checkpoints.describe(tmp_path / f"{name}.safetensors")["encoder"] == checkpoints.fingerprint(encoder)
        assert checkpoints.load(tmp_path / f"{name}.safetensors").arguments["widths"] == list(encoder.widths)
