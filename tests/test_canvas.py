"""The canvas: noise on the photograph, of which networks make strokes."""

import random

import pytest
import torch

from style_transfer import arbitrary, canvas, checkpoints, fixed, images
from style_transfer.networks import Decoder, Johnson

CELL = 16  # pixels of the photograph in one of the deepest features


CANVAS = Johnson(width=2, blocks=1, canvas=True)


def grain_of(image):
    return (image - 0.5) / canvas.ROUGHNESS


def test_the_canvas_is_noise_and_the_same_each_time():
    grey = torch.full((2, 3, 300, 1200), 0.5)
    first = grain_of(canvas.prime(grey, CANVAS))
    assert torch.equal(first, grain_of(canvas.prime(grey, CANVAS))) and torch.equal(first[0, 0], first[1, 2])
    assert abs(float(first.std()) - 1) < 0.03 and abs(float(first.mean())) < 0.03
    assert torch.equal(first[..., :176], first[..., canvas.PERIOD:canvas.PERIOD + 176])
    power = torch.fft.rfft2(first[0, 0, :256, :256]).abs().square()
    assert power[1:16, 1:16].mean() > 5 * power[64:128, 64:128].mean()  # half of it is coarse
    assert power[64:128, 64:128].mean() > 0.2 * 256 ** 2  # half is not
    small = canvas.prime(grey[:1, :, :100, :90], CANVAS)
    assert torch.equal(grain_of(small), first[:1, :, :100, :90])  # whatever the picture's size


def test_a_training_draws_another_canvas_for_each_step_the_same_for_any_part_of_its_batch():
    grey = torch.full((2, 3, 64, 64), 0.5)
    a, b, again = (grain_of(canvas.prime(grey, CANVAS, rng=random.Random(seed))) for seed in (1, 2, 1))
    assert torch.equal(a, again) and abs(float((a * b).mean())) < 0.1
    assert torch.equal(a[1:], grain_of(canvas.prime(grey[1:], CANVAS, rng=random.Random(1))))


def test_the_canvas_is_no_rougher_than_the_plainest_tenth_of_the_painting():
    torch.manual_seed(0)
    rough = (0.5 + 0.1 * torch.randn(1, 1, 128, 128)).expand(-1, 3, -1, -1).contiguous()
    fine = 0.5 + (rough - 0.5) * 0.15
    assert canvas.strength_of(rough) == 1 and canvas.strength_of(torch.zeros(1, 3, 64, 64)) == 0
    assert canvas.strength_of(fine) == pytest.approx(0.1 * 0.15 / canvas.ROUGHNESS, rel=0.15)
    halves, left = torch.cat([rough, fine], 3), torch.zeros(1, 1, 128, 256)
    left[..., :128] = 1
    assert canvas.strength_of(halves) == pytest.approx(canvas.strength_of(fine), rel=0.1)
    assert canvas.strength_of(halves, left) == 1
    assert canvas.strength_of(halves, 1 - left) == pytest.approx(canvas.strength_of(fine), rel=0.05)
    assert canvas.strength_of(rough[..., :16, :300]) > 0.9


def test_smooth_paintings_leave_plain_areas_smooth_also_where_they_have_a_region(painting):
    plain, smooth = torch.full((1, 3, 192, 192), 0.5), torch.full((1, 3, 64, 64), 0.8)
    smooth[..., 28:32] = 0.1
    left = torch.zeros(1, 1, 192, 192)
    left[..., :96] = 1
    image = arbitrary.stylize(plain, [smooth, painting], method="wct", masks=[left, 1 - left])
    assert image[..., :80].std((2, 3)).max() < 0.02 < 0.05 < image[..., -80:].mean(1).std()
    style = arbitrary.encode([smooth, painting], "adain")
    assert style.grain == pytest.approx((canvas.strength_of(smooth) + canvas.strength_of(painting)) / 2)


@pytest.mark.parametrize("method", ["adain", "wct"])
def test_a_plain_picture_gets_strokes_without_a_mesh(method, painting):
    plain = torch.full((1, 3, 256, 256), 0.5)
    light = arbitrary.stylize(plain, [painting], method=method).mean((0, 1))
    assert light.std() > 0.05
    cells = light.unflatten(0, (-1, CELL)).unflatten(2, (-1, CELL))
    assert cells.mean((0, 2)).var() < 3 * light.var() / (256 // CELL) ** 2  # chance alone gives about once
    assert arbitrary.stylize(plain, [painting], method=method, alpha=0).std((2, 3)).max() < 0.01


def test_networks_that_learnt_on_a_canvas_say_so(tmp_path, photo, painting, monkeypatch):
    network = Johnson(width=4, blocks=1, canvas=True)
    checkpoints.save(tmp_path / "a.safetensors", network)
    assert checkpoints.load(tmp_path / "a.safetensors").canvas and not Johnson(width=4, blocks=1).canvas
    seen = []
    monkeypatch.setattr(canvas, "prime", lambda image, network, *strength: seen.append((network.canvas, *strength)) or image)
    fixed.stylize(photo, tmp_path / "a.safetensors", size=64)
    assert canvas.strength_of(painting) == 1
    arbitrary.stylize(images.resize(photo, 64), [painting], method="wct", alpha=0.3)
    arbitrary.stylize(images.resize(photo, 64), [painting], method="cascade")
    part = pytest.approx(0.3 * arbitrary.METHODS["wct"].grain)
    wct = [(True, part), (False, part)]
    assert seen == [(True, 1.0), *wct, *[(False, 1.0)] * len(arbitrary.CASCADE_LEVELS)]
    monkeypatch.undo()
    assert canvas.prime(photo, Johnson(width=2, blocks=1)) is photo


def test_bilinear_upsampling_keeps_even_areas_even():
    torch.manual_seed(0)
    decoder = Decoder(3, [1, 1, 1], [4, 8, 8], canvas=True).eval()
    with torch.no_grad():
        out = decoder({"relu3_1": torch.rand(1, 8, 1, 1).expand(-1, -1, 6, 6)})
    assert out.std((2, 3)).max() < 1e-5
