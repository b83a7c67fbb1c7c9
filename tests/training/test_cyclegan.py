"""CycleGAN's training: its losses and its buffer against hand computations, and what is trained by whom."""

import math
import random

import pytest
import torch

from style_transfer import checkpoints
from style_transfer.networks.cyclegan import FeatureDiscriminator, Generator, PatchDiscriminator
from tests.training.conftest import COMMON, SMALL
from training import loop
from training.cyclegan import ImageBuffer
from training.losses import least_squares
from training.styles import HELD_OUT


def test_least_squares_by_hand():
    scores = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5]])]
    assert least_squares(scores, 1.0) == pytest.approx(((0 + 1) / 2 + 0.25) / 2)
    assert least_squares(scores, 0.0) == pytest.approx(((1 + 0) / 2 + 0.25) / 2)


def test_the_buffer_keeps_the_new_and_gives_back_old_ones_half_of_the_time():
    buffer, rng = ImageBuffer(size=50), random.Random(0)
    for number in range(50):  # until it is full, a picture comes back as it went in
        image = torch.full((1, 3, 2, 2), float(number))
        assert torch.equal(buffer.exchange(image, rng), image)
    old, held = 0, set(range(50))
    for number in range(50, 1050):
        returned = int(buffer.exchange(torch.full((1, 3, 2, 2), float(number)), rng)[0, 0, 0, 0])
        if returned != number:
            old += 1
            assert returned in held  # one that was kept is given back once, and the new one takes its place
            held = held - {returned} | {number}
        assert held == {int(image[0, 0, 0]) for image in buffer.images}
    assert 430 < old < 570


def test_a_buffer_goes_on_from_its_state():
    one, other = ImageBuffer(size=3), ImageBuffer(size=3)
    pictures = [torch.rand(2, 3, 2, 2) for _ in range(6)]
    for x in pictures[:3]:
        one.exchange(x, random.Random(1))
    other.load_state_dict(one.state_dict())
    for number, x in enumerate(pictures[3:]):
        assert torch.equal(one.exchange(x, random.Random(number)), other.exchange(x, random.Random(number)))


def test_a_patch_discriminator_sees_70_pixels():
    discriminator = PatchDiscriminator(width=2)
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    for module in discriminator.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda x: x  # it looks at the whole picture
    scores, = discriminator(image)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows, columns = (image.grad.abs().sum(dim).nonzero() for dim in ((0, 1, 3), (0, 1, 2)))
    assert len(rows) == len(columns) == 70


def test_a_feature_discriminator_divides_by_the_energy_of_the_pictures_that_it_was_made_of():
    features = {"relu1_1": 1000 * torch.rand(2, 4, 8, 8), "relu2_1": 0.1 * torch.rand(2, 3, 4, 4)}
    discriminator = FeatureDiscriminator(features, width=2)
    inputs = []
    for head in discriminator.heads.values():
        head.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    scores = discriminator(features)
    assert [s.shape for s in scores] == [(2, 1, 4, 4), (2, 1, 2, 2)]
    assert all(x.pow(2).mean((0, 2, 3)).sub(1).abs().max() < 0.01 for x in inputs)


@pytest.mark.parametrize("discriminator", ["features", "patch"])
def test_each_optimizer_changes_its_own_networks_only(script, inputs, tmp_path, monkeypatch, discriminator):
    phases, seen = [], []
    train, learn = loop.Run.train, loop.Run._learn

    def watched(self, draw, both, modules, **more):
        phases.extend(both)
        return train(self, draw, both, modules, **more)

    def copies():
        return [[p.detach().clone() for group in phase.optimizer.param_groups for p in group["params"]] for phase in phases]

    def learnt(self, phase, *more):
        before = copies()
        learn(self, phase, *more)
        changed = [any(not torch.equal(x, y) for x, y in zip(*pair)) for pair in zip(before, copies())]
        seen.append(changed)
        assert changed == [phase is each for each in phases]
    monkeypatch.setattr(loop.Run, "train", watched)
    monkeypatch.setattr(loop.Run, "_learn", learnt)
    script("cyclegan", *inputs["cyclegan"], *SMALL["cyclegan"], *COMMON, "--steps", 3, "--crop", 64, "--discriminator",
           discriminator, "--run-folder", tmp_path / "run", "-o", tmp_path)
    assert len(seen) == 6
    for name in ("waves", "waves-to-photo"):
        header = checkpoints.describe(tmp_path / f"{name}.safetensors")
        assert header["family"] == "cyclegan" and (tmp_path / f"{name}.jpg").exists()


def test_epochs_are_passes_through_the_larger_collection(script, inputs, folder, tmp_path):
    script("cyclegan", *inputs["cyclegan"], *SMALL["cyclegan"], *COMMON, "--epochs", 0.05, "--run-folder", tmp_path / "run",
           "-o", tmp_path)
    photographs = len(list(folder.rglob("*.jpg"))) - 1 - HELD_OUT  # one is broken
    assert int(checkpoints.describe(tmp_path / "waves.safetensors")["steps"]) == math.ceil(0.05 * photographs / 2)


def test_a_generator_is_johnsons_network_with_other_outer_kernels():
    network = Generator(width=4, blocks=2)
    assert network.arguments == {"width": 4, "blocks": 2, "canvas": False}
    assert network.conv1.kernel_size == network.last.kernel_size == (7, 7) and len(network.blocks) == 2
    assert network(torch.rand(1, 3, 33, 50)).shape == (1, 3, 33, 50)
