"""Gatys on the compact encoder, and on VGG-19 and VGG-16 with random weights."""

import math

import pytest
import torch

import style_transfer as st
from style_transfer import backbones, gatys
from style_transfer.networks.vgg import VGG, VGG16, VGG19
from tests.test_arbitrary import style_distance


def run(*args, **kwargs):
    return list(gatys.optimize(*args, **kwargs))


@pytest.mark.parametrize("optimizer, iterations", [("lbfgs", 12), ("adam", 12)])
def test_the_loss_falls_at_each_scale(optimizer, iterations, photo, painting):
    steps = run(photo, [painting], optimizer=optimizer, iterations=iterations, scales=1)
    assert steps[-1].total < 0.7 * steps[0].total
    assert [s.iteration for s in steps] == list(range(1, iterations + 1))
    for step in steps:
        assert step.total == pytest.approx(sum(step.losses.values()))
        assert 0 <= float(step.image.min()) and float(step.image.max()) <= 1


def test_coarse_to_fine_sizes_and_the_result(photo, painting):
    steps = run(photo, [painting], iterations=30, size=128)
    assert [max(s.image.shape[2:]) for s in steps] == [32] * 10 + [64] * 10 + [128] * 10
    out = steps[-1].image
    assert style_distance(out, painting) < 0.4 * style_distance(photo, painting)


def test_the_same_seed_gives_the_same_picture(photo, painting):
    def last(seed):
        return run(photo, [painting], iterations=3, size=64, scales=1, init="noise", seed=seed)[-1].image
    assert torch.equal(last(1), last(1))
    assert not torch.equal(last(1), last(2))


@pytest.mark.parametrize("init", ["content", "noise", "style"])
def test_starts(init, photo, painting):
    first = run(photo, [painting], iterations=1, scales=1, init=init, optimizer="adam")[0].image
    start = {"content": photo, "style": st.images.resize(painting, photo.shape[2:])}.get(init)
    if start is not None:
        assert (first - start).abs().max() < 0.03  # one step of Adam moves a pixel by its rate
    else:
        assert first.std() > 0.2


def test_more_beta_more_style_less_content(photo, painting):
    def end(beta):
        return run(photo, [painting], iterations=30, size=96, beta=beta)[-1].image
    weak, strong = end(gatys.BETA / 100), end(gatys.BETA * 10)
    assert style_distance(strong, painting) < style_distance(weak, painting)
    small = st.images.resize(photo, weak.shape[2:])
    assert (weak - small).pow(2).mean() < (strong - small).pow(2).mean()


def test_the_ratio_does_not_depend_on_the_number_of_pixels(photo, painting):
    """Content and style loss keep their proportion when every picture is repeated to four times its area."""
    network, layers = backbones.load("compact"), dict.fromkeys(gatys.STYLE_LAYERS, 1.0)

    def proportion(repeats):
        image, target, style = (x.tile(1, 1, repeats, repeats) for x in (photo.flip(3), photo, painting))
        losses = gatys._Objective(network, target, [style], [1.0], "relu4_2", layers, 1.0, 1.0, 0.0)(image)
        return float(losses["content"] / losses["style"])
    assert 0.6 < proportion(2) / proportion(1) < 1.7  # sums over pixels would make it 4


def test_two_styles_weigh_as_told(photo, painting, painting_2):
    def end(weights):
        return run(photo, [painting, painting_2], style_weights=weights, iterations=20, size=96)[-1].image
    assert style_distance(end([1, 0]), painting) < style_distance(end([0, 1]), painting)
    single = run(photo, [painting], iterations=20, size=96)[-1].image
    assert (end([1, 0]) - single).abs().mean() < 0.02


def test_no_frame_along_the_edges(photo, painting):
    """The outermost pixels change no more than those further inside."""
    out = run(photo, [painting], iterations=45, size=160)[-1].image
    small = st.images.resize(photo, out.shape[2:])
    change = (out - small).abs().mean(1)[0]
    border = torch.cat([change[0], change[-1], change[:, 0], change[:, -1]]).mean()
    inside = torch.cat([change[8], change[-9], change[:, 8], change[:, -9]]).mean()
    assert float(border) < 1.5 * float(inside)


@pytest.mark.parametrize("plan", [VGG19, VGG16])
def test_full_networks_run(plan, photo, painting):
    torch.manual_seed(0)
    network = VGG(**plan).requires_grad_(False)
    for conv in network.features.values():
        torch.nn.init.kaiming_normal_(conv.weight)
    steps = run(photo, [painting], iterations=4, scales=1, size=48, network=network)
    assert steps[-1].total < steps[0].total


def test_a_long_strip_as_style(photo, painting):
    strip = painting[..., :5, :].contiguous()
    steps = run(photo, [strip], iterations=3, size=64)
    assert steps[-1].image.isfinite().all()


class Exploding(torch.nn.Module):
    """The compact encoder until a call, from which on its features are not finite."""

    def __init__(self, network, calls, times):
        super().__init__()
        self.network, self.layers, self.calls, self.times = network, network.layers, calls, times

    def forward(self, image, layers):
        self.calls -= 1
        bad = self.calls < 0 and self.calls >= -self.times
        return {n: f * (math.nan if bad else 1) for n, f in self.network(image, layers).items()}


def test_divergence_is_told_and_recovered_from(photo, painting):
    network = Exploding(backbones.load("compact"), calls=6, times=1)
    steps = run(photo, [painting], iterations=10, scales=1, size=64, network=network)
    assert len(steps) == 10
    assert sum("exploded" in s.message for s in steps) == 1
    assert all(s.image.isfinite().all() and math.isfinite(s.total) for s in steps)


def test_divergence_without_end_keeps_the_best_picture(photo, painting):
    network = Exploding(backbones.load("compact"), calls=6, times=10 ** 6)
    steps = run(photo, [painting], iterations=10, scales=1, size=64, network=network)
    assert "best picture so far" in steps[-1].message
    assert steps[-1].image.isfinite().all()


def test_it_can_be_closed_at_any_step(photo, painting):
    generator = gatys.optimize(photo, [painting], iterations=1000, size=64)
    next(generator)
    generator.close()
    with pytest.raises(StopIteration):
        next(generator)


@pytest.mark.parametrize("arguments, words", [
    (dict(content_layer="relu9_1"), "relu9_1"),
    (dict(style_layers=["conv"]), "conv"),
    (dict(style_layers=[]), "style layer"),
    (dict(style_layers={"relu1_1": 0}), "style layer"),
    (dict(alpha=-1), "alpha and beta"),
    (dict(alpha=0, beta=0), "alpha and beta"),
    (dict(beta=float("nan")), "alpha and beta"),
    (dict(iterations=0), "iteration"),
    (dict(size=8), "too small"),
    (dict(init="magic"), "init"),
    (dict(style_weights=[1, 2]), "weights"),
    (dict(content=torch.rand(1, 3, 1, 1)), "too small"),
    (dict(content=torch.full((1, 3, 64, 64), float("nan"))), "not numbers"),
    (dict(content=torch.rand(1, 3, 1, 1000)), "too small"),
])
def test_wrong_input_is_one_sentence(arguments, words, photo, painting):
    arguments = dict(content=photo, styles=[painting]) | arguments
    with pytest.raises(st.InputError, match=words):
        run(**arguments)
