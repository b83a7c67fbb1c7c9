"""Training: the data, the loop, and every script for a few seconds on small pictures."""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time

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
from training.losses import (
    MOMENTS,
    PerceptualLoss,
    content_loss,
    gram_loss,
    hierarchical,
    relative_error,
    statistics,
    style_loss,
)
from training.muon import Muon, orthogonal
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


def test_streamed_pictures_give_the_same_crops(folder):
    held, streamed = Pictures(folder), Pictures(folder, memory=0)
    assert streamed.items is None and streamed.workers > 0 and held.workers == 0
    streamed.paths = held.paths  # those that can be read
    for seed in range(3):
        assert torch.equal(*(p.crops(4, 32, random.Random(seed), jitter=0.2) for p in (held, streamed)))
    broken = Pictures(folder, memory=0)
    broken.paths = [folder / "broken.jpg", held.paths[0]]
    broken.crops(20, 32, random.Random(0))
    assert broken.broken > 0
    broken.paths = broken.paths[:1]
    with pytest.raises(SystemExit, match="100 files in a row"):
        broken.crops(1, 32, random.Random(0))


def test_processes_share_a_batch(folder):
    pictures = Pictures(folder)
    whole = pictures.crops(6, 32, random.Random(5))
    parts = [pictures.crops(6, 32, random.Random(5), share=(n, 2)) for n in range(2)]
    assert torch.equal(whole[0::2], parts[0]) and torch.equal(whole[1::2], parts[1])


OPTIONS = argparse.Namespace(device="cpu", precision="no", resume=False, batch=64)


def quadratic(run, steps=150, **options):
    """A linear map learnt from noisy batches: (module, start of the training)."""
    torch.manual_seed(0)
    module, truth = torch.nn.Linear(4, 1), torch.tensor([[1.0], [-2.0], [0.5], [3.0]])

    def draw(rng):
        return torch.randn(64, 4, generator=torch.Generator().manual_seed(rng.getrandbits(32)))

    def step(i, x, rng):
        loss = (module(x) - x @ truth - 0.1 * rng.random()).pow(2).mean()
        return {"total": options.get("on_step", lambda i, loss: loss)(i, loss), "loss": loss}

    def train(**more):
        return loop.train(loop.accelerator(run, OPTIONS), draw, step, {"m": module}, Muon(module.parameters(), 0.15),
                          steps=steps, run=run, schedule=lambda i: loop.cosine(i, steps, warm_up=10), save_every=40,
                          log_every=10, **more)
    return module, train


@pytest.mark.parametrize("workers", [0, 3])
def test_the_loop_learns_and_records(tmp_path, workers):
    module, train = quadratic(tmp_path)
    exported = []
    result = train(workers=workers, export=exported.append,
                   validate=lambda: ({"weight": float(module.weight.norm())}, torch.rand(2, 3, 8, 8)))
    assert result["steps"] == 150 and result["losses"]["weight"] == pytest.approx(14.25 ** 0.5, rel=0.1)
    assert [e["steps"] for e in exported] == [40, 80, 120, 150]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 15 and losses[-1] < 0.1 * losses[0]
    assert (tmp_path / "pictures.png").exists() and list(tmp_path.glob("events.out.tfevents*"))
    assert not list(tmp_path.glob("*.part"))


def test_workers_change_nothing(tmp_path):
    weights = []
    for workers in (0, 3):
        module, train = quadratic(tmp_path / str(workers), steps=7)
        train(workers=workers)
        weights.append(module.weight.detach().clone())
    assert torch.equal(*weights)


def test_a_run_that_was_stopped_goes_on_exactly(tmp_path):
    module, train = quadratic(tmp_path / "whole")
    train()

    def stop(i, loss):
        if i == 62:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss
    _, first = quadratic(tmp_path / "halves", on_step=stop)
    with pytest.raises(SystemExit, match="stopped at step 63; the same command with --resume"):
        first()
    again, second = quadratic(tmp_path / "halves")
    with pytest.raises(SystemExit, match="holds a run"):
        second()
    second(resume=True)
    assert torch.equal(again.weight, module.weight) and torch.equal(again.bias, module.bias)


def test_a_loss_that_is_not_finite_stops_with_a_sentence(tmp_path):
    module, train = quadratic(tmp_path, on_step=lambda i, loss: loss * float("nan") if i == 50 else loss)
    with pytest.raises(SystemExit, match="not finite at step 50.*--resume with a lower"):
        train()
    assert module.weight.isfinite().all()
    assert torch.load(tmp_path / "state.pt", weights_only=True)["iteration"] == 40


def test_schedules():
    assert loop.staircase(1999) == 1 and loop.staircase(2000) == 0.8 and loop.staircase(4000) == pytest.approx(0.64)
    assert loop.cosine(0, 1000) == pytest.approx(0.01) and loop.cosine(500, 1000) == pytest.approx(0.505)
    assert loop.cosine(1000, 1000) == pytest.approx(0.01)


def test_muon_steps_along_orthogonal_matrices():
    torch.manual_seed(0)
    for shape in ((6, 20), (20, 6)):
        singular = torch.linalg.svdvals(orthogonal(torch.randn(shape) @ torch.diag(torch.logspace(-1, 0, shape[1]))))
        assert 0.5 < singular.min() and singular.max() < 1.3
    kernel, shift = torch.nn.Parameter(torch.randn(4, 3, 3, 3)), torch.nn.Parameter(torch.randn(4))
    before, optimizer = kernel.detach().clone(), Muon([kernel, shift], lr=0.1)
    kernel.grad, shift.grad = torch.randn_like(kernel), torch.tensor([1.0, -2.0, 3.0, -4.0])
    old = shift.detach().clone()
    optimizer.step()
    assert torch.linalg.svdvals((before - kernel).detach().flatten(1) / 0.1) == pytest.approx([1.0] * 4, abs=0.35)
    assert torch.allclose(old - shift, 0.02 * shift.grad.sign(), atol=1e-4)  # Adam's first step


def test_hierarchical_loss_by_hand():
    assert hierarchical([1.0, 2.0, 4.0]) == 1.0 + 0.5 * 2 + 0.25 * 4
    assert hierarchical([1.0, 2.0], (3.0, 5.0, 7.0)) == 13.0


def test_content_loss_compares_normalised_features():
    f = {"relu3_4": torch.rand(2, 3, 6, 6)}
    assert float(content_loss({"relu3_4": 5 * f["relu3_4"] + 2}, f)) < 1e-4
    a, b = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([4.0, 3.0, 2.0, 1.0])  # normalised, b is -a, of variance 1
    found = content_loss({"relu3_4": b.view(1, 1, 2, 2)}, {"relu3_4": a.view(1, 1, 2, 2)})
    assert float(found) == pytest.approx(4, rel=1e-3)


def test_perceptual_loss_is_of_the_style_picture_and_of_the_photograph():
    torch.manual_seed(0)
    encoder = VGG((2, 2, 4), (4, 8, 8)).requires_grad_(False)
    painting, photo = torch.rand(1, 3, 40, 32), torch.rand(2, 3, 32, 32)
    loss = PerceptualLoss(encoder, painting, ["relu3_4"], ["relu1_1", "relu2_1", "relu3_1"])
    assert set(loss.style) == {"relu1_1", "relu2_1", "relu3_1"}
    with pytest.raises(KeyError, match="relu5_1"):
        PerceptualLoss(encoder, painting)
    content, style = loss(painting, painting)
    assert float(content) < 1e-6 and float(style) < 1e-6
    content, style = loss(photo, photo)
    of_photo = encoder(photo, loss.style)
    assert float(content) < 1e-6
    assert float(style) == pytest.approx(float(gram_loss(of_photo, loss.style) + MOMENTS * style_loss(of_photo, loss.style)))


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


def test_a_tiny_network_overfits(painting, photo):
    """A few seconds of training on one photograph: the loss falls to less than a fifth."""
    torch.manual_seed(0)
    encoder = checkpoints.shared(checkpoints.FOLDER / "encoder.safetensors")
    image, loss, network = photo[:, :, :96, :96], PerceptualLoss(encoder, painting), Johnson(width=8, blocks=1)
    optimizer, values = Muon(network.parameters(), 0.02), []
    for _ in range(60):
        content, style = loss(network(image), image)
        values.append(float((content + style).detach()))
        (content + style).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert values[-1] < 0.2 * values[0]


def test_whitening():
    features = torch.randn(2, 4, 30, 30) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1) + 7
    mean, matrix, inverse = whitening(features)
    flat = features.permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(torch.cov(matrix @ (flat - mean[:, None])), torch.eye(4), atol=1e-2)
    assert torch.allclose(matrix @ inverse, torch.eye(4), atol=1e-4)


def test_gram_and_style_loss_are_relative_to_the_style():
    f, s = {"relu1_1": torch.rand(2, 3, 5, 5)}, {"relu1_1": torch.rand(2, 3, 4, 4)}
    style, larger = (statistics({"relu1_1": s["relu1_1"] * k}, ["relu1_1"]) for k in (1, 7))
    for loss in (style_loss, gram_loss):
        assert float(loss(s, style)) < 1e-10
        assert float(loss({"relu1_1": f["relu1_1"] * 7}, larger)) == pytest.approx(float(loss(f, style)), rel=0.05)
    doubled = {"relu1_1": 2 * s["relu1_1"]}  # G' = 4 G: (3 G)^2 / G^2; mean and deviation doubled: 1
    assert float(gram_loss(doubled, style)) == pytest.approx(9, rel=1e-3)
    assert float(style_loss(doubled, style)) == pytest.approx(1, rel=1e-3)


def train(script, folder, out, *arguments):
    result = subprocess.run([sys.executable, "-m", f"training.{script}", *map(str, arguments), "--crop", "32",
                             "--batch", "4", "--device", "cpu", "--run-folder", str(out / f"run-{script}")],
                            cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]


def test_all_scripts_in_a_row(folder, tmp_path):
    """From a teacher with random weights to checkpoints that belong together."""
    torch.manual_seed(0)
    torch.save(VGG(depths=(2, 2, 4, 4, 1), widths=VGG19["widths"]).state_dict(), tmp_path / "vgg19.pth")
    train("distill", folder, tmp_path, "--pictures", folder, "--vgg19", tmp_path / "vgg19.pth", "--steps", 6,
          "--layerwise-steps", 4, "-o", tmp_path / "encoder.safetensors")
    train("decoders", folder, tmp_path, "--pictures", folder, "--encoder", tmp_path / "encoder.safetensors",
          "--steps", 8, "-o", tmp_path)
    train("adain", folder, tmp_path, "--photos", folder, "--paintings", folder, "--steps", 4,
          "--encoder", tmp_path / "encoder.safetensors", "--start", tmp_path / "wct-decoder-4.safetensors",
          "-o", tmp_path / "adain-decoder.safetensors")
    encoder = checkpoints.load(tmp_path / "encoder.safetensors")
    assert encoder.arguments == VGG(**COMPACT).arguments
    for name in ("adain-decoder", *(f"wct-decoder-{n}" for n in range(1, 6))):
        assert checkpoints.describe(tmp_path / f"{name}.safetensors")["encoder"] == checkpoints.fingerprint(encoder)
        assert checkpoints.load(tmp_path / f"{name}.safetensors").arguments["widths"] == list(encoder.widths)


def command(script, folder, run, *arguments):
    return [sys.executable, "-m", f"training.{script}", "--style", str(EXAMPLES / "styles/waves.jpg"), "--photos", str(folder),
            "--device", "cpu", "--precision", "no", "--name", "waves", "--run-folder", str(run), "-o", str(run / "out"),
            *map(str, arguments)]


def call(arguments):
    result = subprocess.run(arguments, cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]


SMALL = {"johnson": ("--width", 4, "--crop", 32, "--style-size", 96, "--batch", 2),
         "multimodal": ("--widths", 2, 2, 2, "--crop", 128, "--batch", 1)}


def weights(path):
    return checkpoints.load(path).state_dict()


@pytest.mark.parametrize("script", SMALL)
def test_a_killed_training_leaves_a_network_and_ends_as_if_it_had_not_been_killed(script, folder, tmp_path):
    options = (*SMALL[script], "--steps", 14, "--save-every", 5)
    call(command(script, folder, tmp_path / "whole", *options))
    killed = subprocess.Popen(command(script, folder, tmp_path / "killed", *options), cwd=EXAMPLES.parent,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (tmp_path / "killed/waves.jpg").exists():
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    assert checkpoints.describe(tmp_path / "killed/waves.safetensors")["steps"] in {"5", "10", "14"}
    assert weights(tmp_path / "killed/waves.safetensors")
    call([*command(script, folder, tmp_path / "killed", *options), "--resume"])
    whole, resumed = (weights(tmp_path / f"{name}/out/waves.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[n], resumed[n]) for n in whole)
    header = checkpoints.describe(tmp_path / "whole/out/waves.safetensors")
    assert header["family"] == script and header["steps"] == "14" and header["title"] == "Waves"
    assert (tmp_path / "whole/out/waves.jpg").exists()  # the gallery's tile


@pytest.mark.parametrize("script", SMALL)
def test_two_processes_learn_as_one(script, folder, tmp_path):
    """Through all phases; the difference of what they end with is small beside what was learnt."""
    options = (*SMALL[script], "--batch", 4, "--steps", 8, "--learning-rate", 0.3)
    call(command(script, folder, tmp_path / "one", *options))
    call([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
          *command(script, folder, tmp_path / "two", *options)[1:]])
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("one", "two")]
    starts, ends = ([json.loads(log[i]) for log in logs] for i in (0, -1))
    names = [name for name in starts[0] if name.startswith("validation/") and "style" in name]
    assert names
    for name in names:
        assert starts[0][name] == pytest.approx(starts[1][name], rel=1e-3)
        assert abs(ends[0][name] - starts[0][name]) > 20 * abs(ends[0][name] - ends[1][name]), name


def test_wrong_input_is_a_sentence(folder, tmp_path):
    arguments = command("johnson", folder, tmp_path / "run", *SMALL["johnson"], "--steps", 1)
    wrong = {"no layer relu9_9": ["--style-layers", "relu9_9"], "none.jpg": ["--style", str(tmp_path / "none.jpg")]}
    for words, more in wrong.items():
        result = subprocess.run([*arguments, *more], cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=300)
        assert result.returncode and words in result.stderr and "Traceback" not in result.stderr
