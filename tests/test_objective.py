"""Losses and gradients block by block against those of the whole picture."""

import pytest
import torch

import style_transfer as st
from style_transfer import backbones, device, gatys, objective
from style_transfer.losses import gram_matrix
from style_transfer.networks.vgg import VGG, VGG16, VGG19
from style_transfer.objective import Features, Objective, Sums, pad
from style_transfer.transforms import mean_and_deviation

LAYERS = gatys.STYLE_LAYERS


@pytest.fixture(autouse=True)
def float32():
    """Blocks round as the whole does only where nothing is rounded to eight bits on the way."""
    before = device._chosen
    device.use_precision("float32")
    yield
    device._chosen = before


@pytest.fixture
def blocks(monkeypatch):
    """A function that makes blocks of so many pixels a side of every picture, or None of none."""
    def blocks(side):
        monkeypatch.setattr(objective, "WHOLE", 0 if side else 1 << 30)
        monkeypatch.setattr(objective, "BLOCK", side)
    return blocks


def left_half(height, width):
    return torch.ones(1, 1, height, width).where(torch.arange(width) < width // 2, 0.2)


def evaluate(content, targets, terms):
    goal = Objective(backbones.load("compact"), content, targets, terms)
    canvas = pad(content.flip(3)).requires_grad_(True)
    return goal(canvas), canvas.grad, len(goal.blocks)


def assert_equal_by_blocks(blocks, side, content, targets, terms):
    blocks(None)
    losses, gradient, count = evaluate(content, targets, terms)
    assert count == 1
    blocks(side)
    by_blocks, its_gradient, count = evaluate(content, targets, terms)
    assert count > 1
    assert by_blocks == pytest.approx(losses, rel=1e-5)
    assert (its_gradient - gradient).norm() < 1e-5 * gradient.norm()
    assert (its_gradient - gradient).abs().max() < 1e-4 * gradient.abs().max()


DEEP, SHALLOW = dict(), dict(content_layer="relu3_2", style_layers=["relu1_1", "relu3_1"])


@pytest.mark.parametrize("loss", gatys.LOSSES)
@pytest.mark.parametrize("height, width, side, layers", [
    (107, 240, 128, DEEP), (97, 131, 48, SHALLOW), (33, 160, 32, SHALLOW), (160, 17, 64, SHALLOW)])
def test_loss_and_gradient_are_the_wholes(height, width, side, layers, loss, photo, painting, blocks):
    network, content = backbones.load("compact"), st.images.resize(photo, (height, width))
    styles = [gatys.Target(Features(network, [painting]), 0.5), gatys.Target(Features(network, [painting.flip(1)]), 0.5)]
    assert_equal_by_blocks(blocks, side, content, styles, gatys.standard_terms(variation=100.0, loss=loss, **layers))


def test_loss_and_gradient_are_the_wholes_with_regions(photo, painting, painting_2, blocks):
    network, left = backbones.load("compact"), left_half(*photo.shape[2:])
    styles = [gatys.Target(Features(network, [painting], guides=[left_half(*painting.shape[2:])]), 0.6, left),
              gatys.Target(Features(network, [painting_2, painting]), 0.4, 1 - left)]
    assert_equal_by_blocks(blocks, 64, photo, styles, gatys.standard_terms(**SHALLOW))


def test_the_same_steps_lead_as_far(photo, painting, blocks, monkeypatch):
    monkeypatch.setattr(gatys, "SHORT_HISTORY", gatys.HISTORY)

    def totals():
        """Of a few steps: L-BFGS makes much of little differences later on."""
        return [step.total for step in gatys.optimize(photo, [painting], iterations=12, scales=2, **SHALLOW)][:8]
    blocks(None)
    whole = totals()
    blocks(64)
    assert totals() == pytest.approx(whole, rel=0.02)


def test_an_empty_region_is_no_reason_for_nan(photo, painting, blocks):
    network, nowhere = backbones.load("compact"), torch.zeros(1, 1, *photo.shape[2:])
    for side in (None, 64):
        blocks(side)
        style = gatys.Target(Features(network, [painting]), 0.0, nowhere)
        losses, gradient, _ = evaluate(photo, [style], gatys.standard_terms(**SHALLOW))
        assert losses["style"] == 0 and gradient.isfinite().all()


def means(layer):
    """A loss of one's own from sums over positions: the squared difference of the channels' means."""
    def prepare(content, styles):
        target = styles[0].features[layer].float().mean((2, 3))
        height, width = objective.map_size(layer, *content.size())
        return Sums(lambda features, block: [features[layer].float().sum((2, 3))],
                    lambda sums: (sums[0] / (height * width) - target).pow(2).sum())
    return gatys.Term("means", 10.0, (layer,), prepare)


def test_terms_of_ones_own(photo, painting, blocks):
    dark = gatys.Term("darkness", 50.0, (), lambda content, styles: lambda picture, features: picture.mean())
    styles = [gatys.Target(Features(backbones.load("compact"), [painting]), 1.0)]
    assert_equal_by_blocks(blocks, 64, photo, styles, [*gatys.standard_terms(**SHALLOW), dark, means("relu3_1")])
    assert evaluate(photo, styles, [dark])[0] == {"darkness": pytest.approx(50 * float(photo.mean()), rel=1e-4)}
    blocks(None)
    plain = gatys.Term("means", 10.0, ("relu3_1",), lambda content, styles: lambda picture, features: (
        features["relu3_1"].mean((2, 3)) - styles[0].features["relu3_1"].mean((2, 3))).pow(2).sum())
    assert evaluate(photo, styles, [plain])[0] == pytest.approx(evaluate(photo, styles, [means("relu3_1")])[0], rel=1e-4)


def test_a_term_of_the_whole_pictures_features_is_refused_in_one_sentence(photo, painting, blocks):
    blocks(64)
    whole = gatys.Term("deviation", 1.0, ("relu2_1",), lambda content, styles: lambda picture, features: (
        mean_and_deviation(features["relu2_1"])[1].sum()))
    with pytest.raises(st.InputError, match="'deviation' needs the features of the whole picture.*gatys.Sums"):
        next(gatys.optimize(photo, [painting], size=96, scales=1, terms=[*gatys.standard_terms(), whole]))


class Watching(torch.nn.Module):
    """The compact encoder, and the largest picture that it was given."""

    def __init__(self):
        super().__init__()
        self.network, self.pixels = backbones.load("compact"), 0
        self.layers = self.network.layers

    def forward(self, image, layers):
        self.pixels = max(self.pixels, image.shape[2] * image.shape[3])
        return self.network(image, layers)


def test_the_network_never_sees_more_than_a_block(photo, painting, blocks):
    """Neither of the photograph nor of the style, so that memory does not grow with their size."""
    blocks(64)
    network = Watching()
    list(gatys.optimize(photo, [painting], iterations=1, scales=1, network=network, content_layer="relu2_2",
                        style_layers=["relu2_1"]))
    halo = objective.reach(network.layers, ["relu2_2"])
    assert network.pixels <= (64 + 16 + 2 * halo) ** 2 < 0.8 * photo.shape[2] * photo.shape[3]


@pytest.mark.parametrize("plan, layer", [(VGG19, "relu5_4"), (VGG19, "relu5_1"), (VGG16, "relu4_3"), (VGG16, "relu1_1")])
def test_features_depend_on_no_pixel_beyond_the_reach(plan, layer):
    torch.manual_seed(0)
    network = VGG(depths=plan["depths"], widths=(4,) * 5).requires_grad_(False)
    for parameter in network.parameters():
        parameter.abs_().add_(0.1)  # nothing is cut off by a ReLU
    image = torch.rand(1, 3, 352, 352).add_(1).requires_grad_(True)
    f = network(image, [layer])[layer]
    row = f.shape[2] // 2
    f[0, :, row, row].sum().backward()
    seen = image.grad.abs().amax((0, 1, 2)).nonzero().flatten()
    stride, reach = 352 // f.shape[2], objective.reach(network.layers, [layer])
    before, after = row * stride - int(seen[0]), int(seen[-1]) - ((row + 1) * stride - 1)
    assert 0 < max(before, after) <= reach < max(before, after) + 48  # pooling lets the gradient through to one of four
    assert reach % objective.STRIDE == 0


@pytest.mark.parametrize("side", [None, 48])
def test_means_over_several_pictures_are_over_all_their_positions(side, painting, painting_2, blocks):
    blocks(side)
    network, small = backbones.load("compact"), st.images.resize(painting_2, 80)
    grams = Features(network, [painting, small]).mean(LAYERS, gram_matrix)
    maps = [network(picture, LAYERS) for picture in (painting, small)]
    for layer in LAYERS:
        positions = torch.cat([f[layer].flatten(2) for f in maps], 2)[..., None]
        assert torch.allclose(grams[layer], gram_matrix(positions), rtol=1e-3, atol=1e-5)
        assert torch.allclose(Features(network, [painting, small])[layer].flatten(2), positions[..., 0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("side", [None, 48])
def test_a_guide_leaves_the_rest_of_a_style_out(side, painting, painting_2, blocks):
    blocks(side)
    network, width = backbones.load("compact"), painting.shape[3]
    both = torch.cat([painting, painting_2[:, :, :painting.shape[2], :width]], 3)
    guide = torch.zeros(1, 1, *both.shape[2:])
    guide[..., :width] = 1
    guided = Features(network, [both], guides=[guide]).mean(["relu1_1", "relu2_1"], gram_matrix)
    alone = Features(network, [painting]).mean(["relu1_1", "relu2_1"], gram_matrix)
    for layer, gram in alone.items():  # but for the positions that see across the border
        assert (guided[layer] - gram).norm() < 0.02 * gram.norm()
