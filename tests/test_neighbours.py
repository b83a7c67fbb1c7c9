"""Neighbours: that they are the nearest, in all turns and regions, and what comes of them, on the compact encoder."""

import math

import pytest
import torch

import style_transfer as st
from style_transfer import backbones, device, distances, images, memory, neighbours
from style_transfer.errors import InputError, StyleTransferError
from style_transfer.neighbours import nearest
from tests.conftest import EXAMPLES
from tests.test_arbitrary import style_distance


def last(*args, **options):
    return list(neighbours.optimize(*args, **options))[-1].image


@pytest.fixture
def exact(monkeypatch):
    """Everything in float32, as it is compared with."""
    monkeypatch.setattr(device, "_chosen", "float32")


def by_brute_force(features, candidates):
    x, y = features - features.mean(0), candidates - candidates.mean(0)
    return torch.stack([torch.stack([torch.cosine_similarity(f, c, 0) for c in y]).argmax() for f in x])


def test_the_nearest_is_the_nearest(exact, monkeypatch):
    monkeypatch.setattr(neighbours, "SIMILARITIES", 100)  # several parts
    torch.manual_seed(0)
    features, candidates = torch.rand(23, 7) + 3, torch.rand(31, 7)
    assert torch.equal(nearest(features, candidates), by_brute_force(features, candidates))


def test_in_principal_components_what_varies_counts(exact):
    """Candidates in a plane of 100 dimensions: nothing is lost by components, though there are fewer than dimensions."""
    torch.manual_seed(0)
    plane = torch.linalg.qr(torch.randn(100, 12))[0]
    features, candidates = torch.randn(20, 12) @ plane.T, torch.randn(40, 12) @ plane.T
    assert torch.equal(nearest(features, candidates), by_brute_force(features, candidates))


def test_bfloat16_chooses_as_well(monkeypatch):
    torch.manual_seed(0)
    features, candidates = torch.rand(50, 16), torch.rand(60, 16)
    x, y = features - features.mean(0), candidates - candidates.mean(0)
    monkeypatch.setattr(device, "_chosen", "bfloat16")
    found = torch.cosine_similarity(x, y[nearest(features, candidates)])
    best = torch.cosine_similarity(x, y[by_brute_force(features, candidates)])
    assert (best - found).max() < 0.02


def test_equal_features_have_a_neighbour():
    assert nearest(torch.ones(5, 3), torch.ones(4, 3)).tolist() == [0] * 5


def test_a_pyramid_is_its_picture(photo):
    for image in (photo, photo[:, :, :17, :101], photo[:, :, :1]):
        levels = neighbours.pyramid(image)
        assert torch.allclose(neighbours.collapse(levels), image, atol=1e-5)
    assert [level.shape[3] for level in neighbours.pyramid(photo)[:3]] == [160, 80, 40]


def test_the_turned_style_is_the_same_style(photo, painting, exact):
    """In each of its turns a style gives the same features to choose from, and so almost the same picture."""
    square = painting[:, :, :96, :96]
    images = [last(photo, [torch.rot90(square, k, (2, 3)).contiguous()], size=64, iterations=6) for k in range(3)]
    other = last(photo, [painting.flip(1)[:, :, :96, :96]], size=64, iterations=6)
    assert max((image - images[0]).abs().mean() for image in images[1:]) < 0.4 * (other - images[0]).abs().mean()


def test_a_picture_is_its_own_style(photo):
    out = last(photo, [photo], size=128, iterations=60)
    small = st.images.resize(photo, 128)
    assert (out - small).abs().mean() < 0.06
    turned = last(photo, [torch.rot90(photo, 1, (2, 3)).contiguous()], size=128, iterations=60)
    assert (turned - small).abs().mean() < 0.07


def test_the_style_comes_near_and_the_distance_falls(photo, painting):
    steps = list(neighbours.optimize(photo, [painting], size=128, iterations=45))
    assert [step.iteration for step in steps] == list(range(1, 46))
    assert [max(step.image.shape[2:]) for step in steps] == [64] * 15 + [128] * 30
    for part in (steps[:15], steps[15:30]):
        assert part[-1].loss < 0.7 * part[0].loss
    small = st.images.resize(photo, 128)
    assert style_distance(steps[-1].image, painting) < 0.4 * style_distance(small, painting)
    for step in steps:
        assert 0 <= float(step.image.min()) and float(step.image.max()) <= 1


def test_alpha_keeps_to_the_photograph(photo, painting):
    small = st.images.resize(photo, 128)
    near, far = (distances.measure(last(photo, [painting], size=128, iterations=45, alpha=alpha), small)[1]
                 for alpha in (1, 0))
    assert near < far


def test_places_choose_among_all_styles(photo, painting, painting_2):
    """The photograph is among the styles: it is nearer to itself than to a painting."""
    both, alone = last(photo, [painting, photo], size=64, iterations=30), last(photo, [painting], size=64, iterations=30)
    oeuvre = last(photo, [[painting, photo]], size=64, iterations=30)
    small = st.images.resize(photo, 64)
    assert (both - small).abs().mean() < 0.5 * (alone - small).abs().mean()
    assert torch.equal(both, oeuvre)


def test_regions_take_from_their_own_style(photo, painting):
    height, width = photo.shape[2:]
    left = torch.zeros(1, 1, height, width)
    left[..., :width // 3] = 1
    middle = torch.zeros(1, 1, height, width)
    middle[..., width // 3:2 * (width // 3)] = 1
    out = last(photo, [photo, painting], masks=[left, middle], size=96, iterations=30)
    small = st.images.resize(photo, 96)
    change = (out - small).abs().mean((0, 1, 2))
    assert change[66:].max() < 1e-6  # nobody's: the photograph
    assert change[4:26].mean() < 0.5 * change[38:58].mean()  # the photograph as a style leaves its part as it is


def test_what_of_a_style_counts(photo, painting):
    """A style whose one half is black and does not count is that half's other."""
    half = painting.clone()
    half[..., 80:] = 0
    mask = torch.zeros(1, 1, *half.shape[2:])
    mask[..., :80] = 1
    masked, whole = (last(photo, [half], style_masks=masks, size=64, iterations=20) for masks in ([mask], None))
    alone = last(photo, [half[..., :80].contiguous()], size=64, iterations=20)
    assert (masked - alone).abs().mean() < (whole - alone).abs().mean()


def test_colours_are_kept(photo, painting):
    out = last(photo, [painting], size=64, iterations=10, preserve_color="match")
    small = st.images.resize(photo, 64)
    assert torch.allclose(out.mean((2, 3)), small.mean((2, 3)), atol=0.03)
    nothing = last(photo, [painting], size=64, iterations=5, color_strength=0, texture_strength=0)
    assert torch.allclose(nothing, small, atol=1e-5)


def test_larger_pictures_are_painted_smaller_and_enlarged(photo, painting, monkeypatch):
    monkeypatch.setattr(neighbours, "LARGEST", 64 * 64)
    shapes = [step.image.shape for step in neighbours.optimize(photo, [painting], size=160, iterations=4)]
    assert max(shapes[0][2:]) < 90 and max(shapes[-1][2:]) == 160


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_few_iterations(iterations, photo, painting):
    steps = list(neighbours.optimize(photo, [painting], size=160, iterations=iterations))
    assert [step.iteration for step in steps] == list(range(1, iterations + 1)) and max(steps[-1].image.shape[2:]) == 160


def test_it_can_be_closed_at_any_yield(photo, painting):
    for count in range(1, 5):
        steps = neighbours.optimize(photo, [painting], size=64, iterations=4)
        for _ in range(count):
            image = next(steps).image
        steps.close()
        assert image.isfinite().all() and next(steps, None) is None


def test_the_same_again(photo, painting):
    assert torch.equal(*(last(photo, [painting], size=64, iterations=6) for _ in range(2)))


@pytest.mark.parametrize("size", [(16, 16), (16, 60), (33, 21)])
def test_small_pictures(size, painting):
    image = last(torch.rand(1, 3, *size), [painting[:, :, :1]], iterations=4)
    assert image.shape[2:] == size and image.isfinite().all()


def test_flat_pictures(painting):
    grey = torch.full((1, 3, 40, 48), 0.5)
    for content, style in ((grey, painting), (painting, grey), (grey, torch.zeros(1, 3, 1, 1))):
        assert last(content, [style], size=48, iterations=6).isfinite().all()


@pytest.mark.parametrize("arguments, words", [
    (lambda p, s: dict(content=p[:, :, :1, :1], styles=[s]), "1 x 1 pixels, which is too small"),
    (lambda p, s: dict(content=p[:, :, :3], styles=[s], size=200), "200 x 4 pixels, which is too small"),
    (lambda p, s: dict(content=p * math.nan, styles=[s]), "not numbers"),
    (lambda p, s: dict(content=p, styles=[s * math.inf]), "not numbers"),
    (lambda p, s: dict(content=p, styles=[]), "at least one picture"),
    (lambda p, s: dict(content=p, styles=[[]]), "empty list"),
    (lambda p, s: dict(content=p, styles=[s], masks=[]), "a list of 1"),
    (lambda p, s: dict(content=p, styles=[s], style_masks=[torch.zeros(1, 1, 4, 4)]), "style mask is empty"),
    (lambda p, s: dict(content=p, styles=[s], alpha=2), "alpha must be a number from 0 to 1"),
    (lambda p, s: dict(content=p, styles=[s], iterations=0), "iterations must be a whole number"),
    (lambda p, s: dict(content=p, styles=[s], size=8), "size must be"),
    (lambda p, s: dict(content=p, styles=[s], backbone="vgg11"), "no backbone 'vgg11'"),
    (lambda p, s: dict(content=p, styles=[s], preserve_color="all"), "no preserve_color"),
])
def test_errors_are_one_sentence(arguments, words, photo, painting):
    with pytest.raises(InputError) as caught:
        next(neighbours.optimize(**arguments(photo, painting)))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_memory_is_asked_for_first(photo, painting, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 1e6)
    with pytest.raises(InputError, match="of memory"):
        next(neighbours.optimize(photo, [painting]))


class Broken(torch.nn.Module):
    """The compact encoder with features that are no numbers."""

    def __init__(self):
        super().__init__()
        self.network = backbones.load("compact")
        self.layers = self.network.layers

    def forward(self, image, layers):
        return {name: f * math.nan for name, f in self.network(image, layers).items()}


def test_distances_that_are_no_numbers(photo, painting):
    with pytest.raises(StyleTransferError, match="no finite numbers"):
        next(neighbours.optimize(photo, [painting], size=64, network=Broken()))


def test_on_the_command_line(tmp_path, typed):
    photo, style = EXAMPLES / "photos/cat.jpg", EXAMPLES / "styles/waves.jpg"
    assert typed(f"neighbours {photo} {style} -o {tmp_path}/out.png --size 64 --iterations 3 --alpha 0.5")[0] == 0
    assert max(st.load(tmp_path / "out.png").shape[2:]) == 64
    record = images.settings(tmp_path / "out.png")
    assert record["method"] == "neighbours" and record["options"]["alpha"] == 0.5
    code, said = typed(f"neighbours {photo} {style} -o {tmp_path}/out2.png --alpha 3")
    assert code == 2 and "alpha" in said
