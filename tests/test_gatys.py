"""Gatys on the compact encoder, and on VGG-19 and VGG-16 with random weights."""

import math

import pytest
import torch

import style_transfer as st
from style_transfer import backbones, color, distances, gatys
from style_transfer.color import luminance
from style_transfer.networks.vgg import VGG, VGG16, VGG19
from style_transfer.objective import MARGIN, Features, Objective, pad
from tests.test_arbitrary import style_distance


def run(*args, **kwargs):
    return list(gatys.optimize(*args, **kwargs))


@pytest.mark.parametrize("loss", gatys.LOSSES)
@pytest.mark.parametrize("optimizer, iterations", [("lbfgs", 12), ("adam", 12)])
def test_the_loss_falls_at_each_scale(optimizer, iterations, loss, photo, painting):
    steps = run(photo, [painting], optimizer=optimizer, iterations=iterations, scales=1, loss=loss)
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
    network = backbones.load("compact")

    def proportion(repeats, loss):
        image, content, style = (x.tile(1, 1, repeats, repeats) for x in (photo.flip(3), photo, painting))
        styles = [gatys.Target(Features(network, [style]), 1.0)]
        losses = Objective(network, content, styles, gatys.standard_terms(1.0, 1.0, 0.0, loss=loss))(pad(image))
        return losses["content"] / losses["style"]
    for loss in gatys.LOSSES:
        assert 0.6 < proportion(2, loss) / proportion(1, loss) < 1.7  # sums over pixels would make it 4


def test_the_gaussian_loss_keeps_more_of_the_photograph_at_as_much_of_the_style(photo, painting):
    gaussian, gram = (run(photo, [painting], iterations=45, size=128, loss=loss)[-1].image for loss in ("gaussian", "gram"))
    small = st.images.resize(photo, 128)
    (style, content), (grams_style, grams_content) = (distances.measure(x, small, [painting]) for x in (gaussian, gram))
    assert content < 0.9 * grams_content and style < 1.1 * grams_style


@pytest.mark.parametrize("loss", gatys.LOSSES)
@pytest.mark.parametrize("flat", ["content", "style", "both"])
def test_flat_pictures(flat, loss, photo, painting):
    content = photo if flat == "style" else torch.full((1, 3, 64, 80), 0.5)
    style = painting if flat == "content" else torch.zeros(1, 3, 64, 64)
    steps = run(content, [style], iterations=6, size=64, loss=loss)
    assert len(steps) == 6 and all(s.image.isfinite().all() for s in steps)


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
    assert [s.done for s in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].losses == steps[-2].losses and steps[-1].total > 0  # the picture's own, not invented ones


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_picture_is_accepted_once_its_own_loss_is_sound(optimizer, photo, painting):
    """A loss that falls with brightness and is no number beyond a limit: no picture beyond it is given out or gone on from."""
    def loss(picture, features):
        return torch.where(picture.mean() > 0.6, math.nan, 10 - 10 * picture.mean())

    cliff = gatys.Term("cliff", 100.0, ("relu1_1",), lambda content, styles: loss)
    steps = run(photo, [painting], iterations=25, scales=1, size=64, terms=[cliff], optimizer=optimizer)
    assert any(s.message for s in steps) and steps[-1].done
    assert max(float(s.image.mean()) for s in steps) <= 0.6
    for step in steps:
        assert step.total == pytest.approx(1000 - 1000 * float(step.image.mean()), rel=1e-3)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_what_is_handed_on_at_the_end_is_the_best_picture(optimizer, photo, painting):
    """A loss that falls with brightness and is higher again beyond a limit, which the gradient does not tell."""
    def loss(picture, features):
        return torch.where(picture.mean() > 0.6, 30, 10) - 10 * picture.mean()

    step = gatys.Term("step", 100.0, ("relu1_1",), lambda content, styles: loss)
    steps = run(photo, [painting], iterations=25, scales=1, size=64, terms=[step], optimizer=optimizer)
    assert max(s.total for s in steps[:-1]) > 2000 and len(steps) == 25
    assert float(steps[-1].image.mean()) <= 0.6 and steps[-1].total == min(s.total for s in steps)


def test_the_losses_are_those_of_the_picture_beside_them(photo, painting):
    steps = run(photo, [painting], iterations=6, scales=1, size=64)
    network, small = backbones.load("compact"), st.images.resize(photo, 64)
    style = Features(network, [gatys.style_at(painting, 64)])
    objective = Objective(network, small, [gatys.Target(style, 1.0)], gatys.standard_terms())
    for step in (steps[0], steps[-1]):  # the margin is not in the picture: by reflection it comes out nearly the same
        again = objective(pad(step.image))
        assert again["variation"] == pytest.approx(step.losses["variation"], rel=1e-3)
        assert again["style"] == pytest.approx(step.losses["style"], rel=0.25)


def test_the_margin_does_not_count(photo, painting):
    """Whatever stands beyond the picture by more than the layers' reach leaves the losses alone."""
    network = backbones.load("compact")
    terms = gatys.standard_terms(content_layer="relu1_1", style_layers=["relu1_1"])
    objective = Objective(network, photo, [gatys.Target(Features(network, [painting]), 1.0)], terms)
    canvas = pad(photo.flip(3))
    other = canvas.clone()
    other[:, :, :MARGIN - 2], other[..., -MARGIN + 2:] = 1.0, 0.0
    for name, value in objective(canvas).items():
        assert value == pytest.approx(objective(other)[name], rel=1e-5)


@pytest.mark.parametrize("iterations, sizes", [(1, [96]), (2, [48, 96]), (3, [32, 48, 96]), (4, [32, 32, 48, 96])])
def test_fewer_iterations_than_scales_keep_the_finest(iterations, sizes, photo, painting):
    assert [max(s.image.shape[2:]) for s in run(photo, [painting], iterations=iterations, size=96)] == sizes


def test_another_term_is_one_function(photo, painting):
    """A loss of one's own: darkness, as one line beside the paper's terms."""
    dark = gatys.Term("darkness", 50.0, (), lambda content, styles: lambda picture, features: picture.mean())
    plain = run(photo, [painting], iterations=12, scales=1, size=64)[-1]
    step = run(photo, [painting], iterations=12, scales=1, size=64, terms=[*gatys.standard_terms(), dark])[-1]
    assert set(step.losses) == {"content", "style", "variation", "darkness"}
    assert step.image.mean() < 0.8 * plain.image.mean()


def left_half(image):
    """A mask of the left half of a picture."""
    return torch.ones(1, 1, *image.shape[2:]) * (torch.arange(image.shape[3]) < image.shape[3] // 2)


def test_a_style_in_a_region_comes_as_close_as_in_the_whole_picture(photo, painting, painting_2):
    left = left_half(photo)
    half = run(photo, [painting, painting_2], masks=[left, 1 - left], iterations=40, scales=2)[-1].image
    whole, other = (run(photo, [style], iterations=40, scales=2)[-1].image for style in (painting, painting_2))
    width = photo.shape[3] // 2
    for image, style, part in ((whole, painting, slice(0, width)), (other, painting_2, slice(width, None))):
        assert style_distance(half[..., part], style) < 1.3 * style_distance(image[..., part], style) + 0.01
    assert style_distance(half[..., :width], painting) < 0.5 * style_distance(half[..., width:], painting)


def test_the_photograph_shows_through_where_the_masks_leave_room(photo, painting):
    left = left_half(photo)
    steps = run(photo, [painting], masks=[left], iterations=6, scales=2)
    width = photo.shape[3] // 2
    for step in steps:
        assert step.image.isfinite().all()
    assert torch.equal(steps[-1].image[..., width:], photo[..., width:])
    assert (steps[-1].image[..., :width] - photo[..., :width]).abs().mean() > 0.03
    nowhere = run(photo, [painting], masks=[torch.zeros(1, 1, 8, 8)], iterations=2, scales=1)[-1].image
    assert torch.equal(nowhere, photo)


def test_masks_of_everything_change_nothing(photo, painting):
    plain = run(photo, [painting], iterations=4, size=64, scales=1)[-1]
    masked = run(photo, [painting], iterations=4, size=64, scales=1, masks=[torch.ones(1, 1, 5, 7)],
                 style_masks=[torch.ones(1, 1, 3, 3)])[-1]
    assert masked.total == pytest.approx(plain.total, rel=0.02)
    assert (masked.image - plain.image).abs().mean() < 0.01


def test_a_style_mask_leaves_the_rest_of_the_style_out(photo, painting):
    both = torch.cat([painting, 1 - painting], 3)
    masks = [left_half(both), 1 - left_half(both)]
    first, second = (run(photo, [both], style_masks=[mask], iterations=25, scales=1, stroke=2)[-1].image for mask in masks)
    assert style_distance(first, painting) < 0.75 * style_distance(second, painting)
    assert style_distance(second, 1 - painting) < 0.75 * style_distance(first, 1 - painting)


def test_an_oeuvre_is_one_style_of_all_its_pictures(photo, painting):
    def end(*styles, **kwargs):
        return run(photo, styles, iterations=10, size=64, scales=1, alpha=0, **kwargs)[-1].image
    single, dark = end(painting), painting / 4
    assert torch.equal(end([painting]), single)
    assert (end([painting, painting.clone()]) - single).abs().mean() < 0.005
    assert (end([painting, dark]) - single).abs().mean() > 0.02
    assert (end([painting, dark], style_masks=[[None, torch.zeros(1, 1, 4, 4)]]) - single).abs().mean() < 0.005


def grain(image):
    """Pixels over which a picture's luminance changes by its deviation, along the rows."""
    y = luminance(image)
    return float((y.var() / y.diff(dim=3).pow(2).mean()).sqrt())


def test_larger_strokes(painting):
    """On a flat picture only the style's forms are left, and these grow with the stroke."""
    flat = torch.full((1, 3, 160, 160), 0.5)
    small, large = (run(flat, [painting], iterations=60, init="noise", stroke=stroke, alpha=0)[-1].image for stroke in (0.5, 2))
    assert grain(large) > 1.5 * grain(small)


def test_colour_and_texture_have_strengths(photo, painting):
    def end(**strengths):
        return run(photo, [painting], iterations=4, size=64, scales=1, **strengths)[-1].image
    small, full = st.images.resize(photo, 64), end()
    assert torch.allclose(end(color_strength=0, texture_strength=0), small, atol=1e-5)
    assert torch.equal(end(color_strength=0.5), color.finish(small, full, color_strength=0.5))


@pytest.mark.parametrize("side, stroke, long_side", [
    (80, 1, 80), (80, 2, 160), (80, 4, 320), (640, 1, 160), (640, 2, 320), (640, 0.5, 160), (160, 0.25, 40)])
def test_a_style_is_as_large_as_the_stroke_asks_and_enlarged_for_nothing_else(side, stroke, long_side, painting):
    assert max(gatys.style_at(painting, side, stroke).shape[2:]) == long_side


@pytest.mark.parametrize("size, stroke, sides", [
    (512, 1, [128, 256, 512]), (512, 4, [32, 64, 128, 256, 512]), (512, 0.25, [512]), (1024, 1, [128, 256, 512, 1024]),
    (3464, 1, [108, 216, 433, 866, 1732, 3464]), (16384, 8, [128, 256, 512, 1024, 2048, 4096, 8192, 16384])])
def test_sizes_follow_from_the_result_and_the_stroke(size, stroke, sides):
    assert gatys._sides(size, None, stroke) == sides


def test_large_sizes_get_fewer_iterations():
    sizes = [(side * 2 // 3, side) for side in (433, 866, 1732, 3464)]
    assert gatys._shares(300, sizes) == [120, 120, 30, 30]
    assert gatys._shares(1000, sizes) == [444, 443, 83, 30]
    assert gatys._shares(7, sizes) == [3, 2, 1, 1]
    assert gatys._shares(50, sizes[-1:]) == [50]


def test_colours_can_be_kept(photo, painting):
    small, plain, kept = st.images.resize(photo, 64), *(
        run(photo, [painting * 0.3], iterations=20, size=64, preserve_color=mode)[-1].image for mode in ("off", "match"))
    assert (kept.mean((2, 3)) - small.mean((2, 3))).abs().max() < 0.02 < (plain.mean((2, 3)) - small.mean((2, 3))).abs().max()


def test_nothing_out_of_a_cache_is_moved(photo, painting, monkeypatch):
    network = backbones.load("compact")
    monkeypatch.setattr(gatys.devices, "pick", lambda device: torch.device("meta"))
    with pytest.raises((RuntimeError, NotImplementedError)):  # nothing can be computed there
        run(photo, [painting], iterations=1, size=64)
    assert next(backbones.load("compact").parameters()).device.type == next(network.parameters()).device.type == "cpu"


def test_a_network_without_finite_features_is_told(photo, painting):
    with pytest.raises(st.StyleTransferError, match="no finite numbers"):
        run(photo, [painting], iterations=3, size=64, network=Exploding(backbones.load("compact"), calls=0, times=10 ** 6))


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
    (dict(alpha=-1), "alpha must be a number of 0 or more"),
    (dict(alpha=0, beta=0), "alpha and beta"),
    (dict(beta=float("nan")), "beta must be a number of 0 or more"),
    (dict(iterations=0), "iteration"),
    (dict(size=8), "size must be a whole number from 32"),
    (dict(init="magic"), "init"),
    (dict(loss="magic"), "no loss 'magic': choose among gaussian, gram"),
    (dict(texture_strength=2), "texture_strength must be a number from 0 to 1"),
    (dict(stroke=0.1), "stroke must be a number from 0.25 to 8"),
    (dict(styles=[[]]), "empty list"),
    (dict(masks=[]), "Each style needs one mask: a list of 1"),
    (dict(masks=[torch.rand(1, 3, 8, 8)]), r"A mask must be a tensor \[1, 1, H, W\]"),
    (dict(masks=[torch.full((1, 1, 8, 8), float("nan"))]), "not numbers"),
    (dict(style_masks=torch.ones(1, 1, 8, 8)), "list of 1"),
    (dict(style_masks=[[None, None]]), "A style of 1 pictures needs"),
    (dict(style_masks=[torch.zeros(1, 1, 8, 8)]), "A style mask is empty"),
    (dict(style_weights=[1, 2]), "weights"),
    (dict(content=torch.rand(1, 3, 1, 1)), "too small"),
    (dict(content=torch.full((1, 3, 64, 64), float("nan"))), "not numbers"),
    (dict(content=torch.rand(1, 3, 1, 1000)), "too small"),
])
def test_wrong_input_is_one_sentence(arguments, words, photo, painting):
    arguments = dict(content=photo, styles=[painting]) | arguments
    with pytest.raises(st.InputError, match=words):
        run(**arguments)
