"""Losses of training, by hand."""

import pytest
import torch

from style_transfer.networks.vgg import VGG
from training.losses import (
    MOMENTS,
    SOFTER,
    PerceptualLoss,
    artefact_penalty,
    grain,
    gram_loss,
    grid_penalty,
    hierarchical,
    moment_loss,
    normalized_content_loss,
    psnr,
    range_penalty,
    reconstruction_loss,
    relative_error,
    style_statistics,
)


def test_relative_error_by_hand():
    target = torch.tensor([0.0, 2.0, 4.0])
    assert float(relative_error(target + 1, target)) == pytest.approx(1 / 4, rel=1e-4)  # variance 4


def test_psnr_by_hand():
    image = torch.full((1, 3, 4, 4), 0.5)
    assert psnr(image + 0.1, image) == pytest.approx(20, rel=1e-4)  # an error of 0.01
    assert psnr(image + 9, image) == psnr(image + 0.5, image)  # clamped


def test_range_penalty_by_hand():
    assert float(range_penalty(torch.tensor([-1.0, 0.0, 0.5, 1.0, 1.5]))) == pytest.approx((1 + 0.25) / 5)


def test_grid_penalty_finds_what_repeats_with_the_strides():
    torch.manual_seed(0)
    lattice = 0.1 * torch.eye(4)[:1].repeat(4, 1).tile(1, 3, 40, 40)  # a line every four pixels
    assert float(grid_penalty(lattice)) == pytest.approx(0.1 ** 2 * 3 / 16)
    noise = 0.1 * torch.randn(1, 3, 160, 160)
    assert float(grid_penalty(noise)) == pytest.approx(0.1 ** 2 * (4 / 64) ** 2, rel=0.2)
    stripes = 0.1 * torch.eye(5)[:1].repeat(4, 1).tile(1, 3, 40, 32)  # every five
    assert float(grid_penalty(stripes)) < 0.03 * float(grid_penalty(lattice))
    assert float(grid_penalty(lattice[..., :6, :6])) == pytest.approx(0.1 ** 2 * 3 / 16)  # smaller than a window


def test_grain_is_the_power_of_each_band():
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(1, 1, 128, 160).expand(1, 3, 128, 160)
    of_noise = grain(noise)
    assert of_noise.shape == (1, 7 * 9, 10)
    assert of_noise.exp2().mean((0, 1)) == pytest.approx(0.01, rel=0.2)  # white: its variance at all frequencies
    weave = 0.1 * torch.sin(torch.arange(160) * 2 * torch.pi * 0.28).expand(1, 3, 128, 160)
    louder = (grain(noise + weave) - of_noise).mean((0, 1))
    assert louder.argmax() == 4 and louder[4] > 2 and louder[5] < 0.1  # along the axes from 0.25 to 0.3125, not between them


def test_artefact_penalty_is_what_both_sources_have_less_or_more_of():
    torch.manual_seed(0)
    content = 0.05 * torch.randn(1, 3, 96, 96)
    style = 2 * content.flip(3)
    softer = sum(SOFTER) / len(SOFTER)  # octaves that a painted picture is allowed to be below both, and has to be
    assert float(artefact_penalty(content, content, style)) == pytest.approx(0, abs=0.03)
    assert float(artefact_penalty(4 * content, content, style)) == pytest.approx(2 + softer, rel=0.01)
    assert float(artefact_penalty(0.5 * content, content, style)) == pytest.approx(2 - softer, rel=0.05)
    half = torch.cat([content[..., :48], 0 * content[..., 48:]], 3)  # as rough as before in the mean of both, in half of it
    assert float(artefact_penalty(half, content, content)) > 1


def test_reconstruction_loss_by_hand():
    image = torch.cat([torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)], 3)  # variance 48 / 47 / 4 * 2
    variance = float(image.var())
    pair = torch.cat([image, image / 2])
    expected = (0.01 / (variance + 1e-3) + 0.01 / (variance / 4 + 1e-3)) / 2
    assert float(reconstruction_loss(pair + 0.1, pair)) == pytest.approx(expected, rel=1e-4)


def test_hierarchical_loss_by_hand():
    assert hierarchical([1.0, 2.0, 4.0]) == 1.0 + 0.5 * 2 + 0.25 * 4
    assert hierarchical([1.0, 2.0], (3.0, 5.0, 7.0)) == 13.0


def test_content_loss_compares_normalised_features():
    f = {"relu3_4": torch.rand(2, 3, 6, 6)}
    assert float(normalized_content_loss({"relu3_4": 5 * f["relu3_4"] + 2}, f)) < 1e-4
    a, b = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([4.0, 3.0, 2.0, 1.0])  # normalised, b is -a, of variance 1
    found = normalized_content_loss({"relu3_4": b.view(1, 1, 2, 2)}, {"relu3_4": a.view(1, 1, 2, 2)})
    assert float(found) == pytest.approx(4, rel=1e-3)


def test_gram_and_moment_loss_are_relative_to_the_style():
    f, s = {"relu1_1": torch.rand(2, 3, 5, 5)}, {"relu1_1": torch.rand(2, 3, 4, 4)}
    style, larger = (style_statistics({"relu1_1": s["relu1_1"] * k}, ["relu1_1"]) for k in (1, 7))
    for loss in (moment_loss, gram_loss):
        assert float(loss(s, style)) < 1e-10
        assert float(loss({"relu1_1": f["relu1_1"] * 7}, larger)) == pytest.approx(float(loss(f, style)), rel=0.05)
    doubled = {"relu1_1": 2 * s["relu1_1"]}  # G' = 4 G: (3 G)^2 / G^2; mean and deviation doubled: 1
    assert float(gram_loss(doubled, style)) == pytest.approx(9, rel=1e-3)
    assert float(moment_loss(doubled, style)) == pytest.approx(1, rel=1e-3)


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
    assert float(style) == pytest.approx(float(gram_loss(of_photo, loss.style) + MOMENTS * moment_loss(of_photo, loss.style)))
