"""AdaIN and WCT on the shipped weights."""

import pytest
import torch

import style_transfer as st
from style_transfer import arbitrary, checkpoints, weights
from style_transfer.color import luminance
from style_transfer.transforms import mean_and_deviation
from tests.conftest import EXAMPLES

METHODS = list(arbitrary.METHODS)


def style_distance(image, style):
    """Relative distance of means and deviations in the encoder's features, averaged over levels."""
    network = checkpoints.shared(weights.find("encoder"))
    layers = [f"relu{n}_1" for n in range(1, 6)]
    a, b = network(image, layers), network(style, layers)
    total = 0.0
    for name in layers:
        (mu, sigma), (mu_s, sigma_s) = mean_and_deviation(a[name]), mean_and_deviation(b[name])
        total += float(((mu - mu_s) ** 2 + (sigma - sigma_s) ** 2).sum() / (mu_s ** 2 + sigma_s ** 2).sum())
    return total / 5


def psnr(a, b):
    return float(-10 * (a - b).pow(2).mean().log10())


@pytest.mark.parametrize("method", METHODS)
def test_the_result_comes_close_to_the_style_and_keeps_the_size(method, photo, painting):
    out = arbitrary.stylize(photo, [painting], method=method)
    assert out.shape == photo.shape and out.dtype == torch.float32
    assert 0 <= float(out.min()) and float(out.max()) <= 1
    assert style_distance(out, painting) < 0.4 * style_distance(photo, painting)


@pytest.mark.parametrize("method", METHODS)
def test_alpha_0_is_the_reconstruction(method, photo, painting):
    out = arbitrary.stylize(photo, [painting], method=method, alpha=0.0)
    assert psnr(out, photo) > 14
    assert psnr(out, photo) > psnr(arbitrary.stylize(photo, [painting], method=method), photo) + 3
    other = arbitrary.stylize(photo, [1 - painting], method=method, alpha=0.0)
    assert torch.allclose(out, other, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_style_grows_with_alpha(method, photo, painting):
    distances = [style_distance(arbitrary.stylize(photo, [painting], method=method, alpha=a), painting)
                 for a in (0.0, 0.5, 1.0)]
    assert distances[0] > distances[1] > distances[2]


def test_the_filter_of_a_method_works_along_lines_and_columns(photo, monkeypatch):
    """A pixel is the sum of 5 x 5 by products of taps, half of that at half the strength; plain areas stay, no tiles show."""
    taps = 0.8, 0.22, -0.12

    def filtered(image, alpha=1.0):
        method = arbitrary.METHODS["wct"]._replace(taps=taps)
        return arbitrary._Painter(method, [], [], alpha, None, None, torch.device("cpu")).filter(image.clone())

    whole, inner = filtered(photo), photo[..., 20:30, 20:30]
    found = sum(taps[abs(y)] * taps[abs(x)] * photo[..., 20 + y:30 + y, 20 + x:30 + x]
                for y in range(-2, 3) for x in range(-2, 3))
    assert torch.allclose(whole[..., 20:30, 20:30], found, atol=1e-5)
    assert torch.allclose(filtered(photo, 0.5)[..., 20:30, 20:30], (found + inner) / 2, atol=1e-5)
    assert torch.equal(filtered(photo, 0.0), photo)
    assert torch.allclose(filtered(torch.full((1, 3, 20, 30), 0.4)), torch.tensor(0.4))
    monkeypatch.setattr(arbitrary.tiles, "TILE", 32 * 32)
    assert torch.allclose(filtered(photo), whole, atol=1e-6)


def test_filters_leave_plain_areas_as_they_are():
    for method in METHODS:
        if taps := arbitrary.METHODS[method].taps:
            assert taps[0] + 2 * taps[1] + 2 * taps[2] == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_weights_1_0_equal_the_single_style(method, photo, painting, painting_2):
    both = arbitrary.stylize(photo, [painting, painting_2], weights=[1, 0], method=method)
    single = arbitrary.stylize(photo, [painting], method=method)
    assert torch.allclose(both, single, atol=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_a_blend_lies_between_its_styles(method, photo, painting, painting_2):
    blend = arbitrary.stylize(photo, [painting, painting_2], method=method)
    for style in (painting, painting_2):
        far = arbitrary.stylize(photo, [painting_2 if style is painting else painting], method=method)
        assert style_distance(blend, style) < style_distance(far, style)


@pytest.mark.parametrize("method", METHODS)
def test_an_encoded_style_gives_the_same_picture(method, photo, painting):
    encoded = arbitrary.encode(painting, method)
    assert torch.equal(arbitrary.stylize(photo, [encoded], method=method),
                       arbitrary.stylize(photo, [painting], method=method))
    assert torch.equal(arbitrary.stylize(photo, [encoded], method=method, preserve_color="match"),
                       arbitrary.stylize(photo, [painting], method=method, preserve_color="match"))
    with pytest.raises(st.InputError, match="another method"):
        arbitrary.stylize(photo, [encoded], method="cascade" if method == "adain" else "adain")


@pytest.mark.parametrize("method", METHODS)
def test_masks_say_which_style_goes_where(method, photo, painting, painting_2):
    mask = torch.zeros(1, 1, *photo.shape[2:])
    mask[..., :photo.shape[3] // 2] = 1
    out = arbitrary.stylize(photo, [painting, painting_2], method=method, masks=[mask, 1 - mask])
    left, right = out.tensor_split(2, 3)
    assert style_distance(left, painting) < style_distance(right, painting)
    assert style_distance(right, painting_2) < style_distance(left, painting_2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("width, edge", [(97, 80), (100, 33)])
@pytest.mark.parametrize("scale", [1, 3])
def test_the_edge_is_where_the_masks_is_to_a_pixel(method, width, edge, scale, photo):
    """At any size of the mask."""
    content = photo[..., :50, :width]
    mask = torch.zeros(1, 1, 50 * scale, width * scale)
    mask[..., :edge * scale] = 1
    black, white = torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)
    out = arbitrary.stylize(content, [black, white], method=method, masks=[mask, 1 - mask]).mean((1, 2))[0]
    assert out[:edge].max() < 0.3 < 0.7 < out[edge:].min()


@pytest.mark.parametrize("method", METHODS)
def test_outside_of_all_masks_the_photograph_stays(method, photo, painting):
    half = torch.zeros(1, 1, *photo.shape[2:])
    half[..., :photo.shape[3] // 2] = 1
    for options in ({}, {"stroke": 2.0}, {"preserve_color": "luminance"}):
        out = arbitrary.stylize(photo, [painting], method=method, masks=[half], **options)
        (left, right), (content, kept) = out.tensor_split(2, 3), photo.tensor_split(2, 3)
        assert torch.allclose(right, kept, atol=1e-5) and (left - content).abs().mean() > 0.05
    assert torch.equal(arbitrary.stylize(photo, [painting], method=method, masks=[half * 0]), photo)


@pytest.mark.parametrize("method", METHODS)
def test_a_region_comes_as_close_to_its_style_as_a_whole_picture(method, photo, painting, painting_2):
    mask = torch.zeros(1, 1, *photo.shape[2:])
    mask[..., :photo.shape[3] // 2] = 1
    out = arbitrary.stylize(photo, [painting, painting_2], method=method, masks=[mask, 1 - mask])
    for part, half, style in zip(out.tensor_split(2, 3), photo.tensor_split(2, 3), (painting, painting_2)):
        alone = arbitrary.stylize(half.contiguous(), [style], method=method)
        more = 1.15 if method == "wct" else 1.1  # relu5_1 sees across the edge
        assert style_distance(part, style) < more * style_distance(alone, style)


@pytest.mark.parametrize("method", METHODS)
def test_soft_and_overlapping_masks(method, photo, painting, painting_2):
    """Where masks add up to more than 1 they share the place, and a soft edge is a mixture."""
    one = torch.ones(1, 1, *photo.shape[2:])
    both, twice = (arbitrary.stylize(photo, [painting, painting_2], method=method, masks=[m, m]) for m in (one * 0.5, one))
    assert torch.allclose(both, twice, atol=1e-4)
    full = arbitrary.stylize(photo, [painting], method=method)
    assert torch.allclose(arbitrary.stylize(photo, [painting], method=method, masks=[one]), full, atol=1e-3)
    assert torch.allclose(arbitrary.stylize(photo, [painting], method=method, masks=[one * 0.25]),
                          0.25 * full + 0.75 * photo, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_on_the_style_says_what_of_it_counts(method, photo, painting):
    left = torch.zeros(1, 1, 40, 60)
    left[..., :30] = 1
    large = st.images.resize(painting, 480)  # beside which what the features see across the mask's edge is little
    two = torch.cat([large[..., :240].flip(1), large[..., -240:]], 3)
    masked = arbitrary.stylize(photo, [two], method=method, style_masks=[left])
    alone = arbitrary.stylize(photo, [two[..., :240].contiguous()], method=method)
    whole = arbitrary.stylize(photo, [two], method=method)
    assert (masked - alone).abs().mean() < 0.4 * (masked - whole).abs().mean()
    with pytest.raises(st.InputError, match="black everywhere"):
        arbitrary.stylize(photo, [painting], method=method, style_masks=[left * 0])
    with pytest.raises(st.InputError, match="list of 1"):
        arbitrary.stylize(photo, [painting], method=method, style_masks=[left, None])
    with pytest.raises(st.InputError, match="encoded already"):
        arbitrary.stylize(photo, [arbitrary.encode(painting, method)], method=method, style_masks=[left])
    with pytest.raises(st.InputError, match="only one picture"):
        arbitrary.stylize(photo, [[painting, painting]], method=method, style_masks=[left])


@pytest.mark.parametrize("method", METHODS)
def test_several_works_are_one_style(method, photo, painting, painting_2):
    """Pooled statistics are those of the works beside each other, and two of one are that one."""
    out = arbitrary.stylize(photo, [[painting, painting]], method=method)
    assert torch.allclose(out, arbitrary.stylize(photo, [painting], method=method), atol=1e-3)
    pooled = arbitrary.encode([painting, painting_2], method)
    sizes = [x.shape[2] * x.shape[3] for x in (painting, painting_2)]
    means = [arbitrary.encode(x, method).statistics["relu1_1"].mean for x in (painting, painting_2)]
    expected = sum(n * m for n, m in zip(sizes, means)) / sum(sizes)
    assert torch.allclose(pooled.statistics["relu1_1"].mean, expected, atol=1e-2)
    assert torch.equal(arbitrary.stylize(photo, [pooled], method=method),
                       arbitrary.stylize(photo, [[painting, painting_2]], method=method))
    with pytest.raises(st.InputError, match="list of pictures"):
        arbitrary.stylize(photo, [[]], method=method)


@pytest.mark.parametrize("method", METHODS)
def test_strokes_grow_and_the_size_stays(method, painting):
    """Larger strokes change less from pixel to pixel."""
    content = st.load(EXAMPLES / "photos/pagoda.jpg", 320)
    fine, plain, coarse = (arbitrary.stylize(content, [painting], method=method, stroke=s) for s in (0.5, 1.0, 3.0))
    assert fine.shape == plain.shape == coarse.shape == content.shape

    def share_of_fine(x):
        """Of a picture's variance, what lies between neighbouring pixels."""
        return float(x.diff(dim=3).var() / x.var())
    assert share_of_fine(fine) > share_of_fine(plain) > share_of_fine(coarse)
    small = arbitrary.stylize(content[..., :20, :20], [painting], method=method, stroke=8.0)
    assert small.shape[2:] == (20, 20)


@pytest.mark.parametrize("method", METHODS)
def test_the_contents_statistics_can_be_replaced(method, photo, painting):
    seen = {}

    def keep(key, statistics):
        return seen.setdefault(key, statistics)
    first = arbitrary.stylize(photo, [painting], method=method, smooth=keep)
    assert torch.equal(first, arbitrary.stylize(photo, [painting], method=method))
    assert len(seen) == {"adain": 5, "wct": 6, "cascade": 4}[method]
    second = arbitrary.stylize(photo * 0.5, [painting], method=method, smooth=keep)
    assert (second - arbitrary.stylize(photo * 0.5, [painting], method=method)).abs().mean() > 0.02


@pytest.mark.parametrize("masks, words", [
    ([torch.ones(1, 1, 8, 8)], "one mask: a list of 2"), ([None, None], "not NoneType"),
    ([torch.ones(1, 3, 8, 8)] * 2, r"\[1, 1, H, W\].*not \[1, 3, 8, 8\]"), ([torch.ones(8, 8)] * 2, r"not \[8, 8\]"),
    ([torch.ones(1, 1, 0, 8)] * 2, "mask"), ([torch.full((1, 1, 8, 8), float("nan"))] * 2, "not numbers"),
    ("ab", "list of 2"),
])
def test_a_wrong_mask_is_one_sentence(masks, words, photo, painting):
    with pytest.raises(st.InputError, match=words):
        arbitrary.stylize(photo, [painting, painting], masks=masks)


def test_a_drawing_leaves_no_hue(photo, painting):
    drawing = painting.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    out = arbitrary.stylize(photo, [drawing])
    chroma = (out - out.mean(1, keepdim=True)).abs().mean()
    assert chroma < 0.1 * (photo - photo.mean(1, keepdim=True)).abs().mean()


def test_encoding_on_one_device_and_stylising_on_another(photo, painting):
    """What is kept of a style lies on the CPU, wherever it was computed."""
    for statistics in arbitrary.encode(painting, "wct").statistics.values():
        assert statistics.mean.device.type == statistics.root.device.type == "cpu"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("height, width", [(16, 16), (17, 61), (100, 33), (16, 400)])
def test_sizes_that_are_no_multiples_of_8(method, height, width, painting):
    content = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    out = arbitrary.stylize(content, [painting[..., :height, :37]], method=method)
    assert out.shape == content.shape and out.isfinite().all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_colours_neither_fail_nor_give_nan(method, value, photo, painting):
    flat = torch.full((1, 3, 64, 64), value)
    assert arbitrary.stylize(flat, [painting], method=method).isfinite().all()
    out = arbitrary.stylize(photo, [flat], method=method)
    assert out.isfinite().all()


def test_what_was_loaded_here_can_be_optimised_through(photo, painting):
    """Weights loaded by a call without gradients still serve Gatys."""
    checkpoints._kept.clear()
    arbitrary.stylize(photo, [painting])
    assert next(st.gatys.optimize(photo, [painting], size=64, scales=1)).iteration == 1


def test_size_is_the_long_side(photo, painting):
    assert max(arbitrary.stylize(photo, [painting], size=96).shape[2:]) == 96


def test_luminance_keeps_the_contents_hues(photo, painting):
    out = arbitrary.stylize(photo, [painting], preserve_color="luminance")
    plain = arbitrary.stylize(photo, [painting])
    assert torch.allclose(luminance(out), luminance(plain), atol=0.02)

    def chroma(x):
        return x - luminance(x)
    assert (chroma(out) - chroma(photo)).abs().mean() < 0.5 * (chroma(plain) - chroma(photo)).abs().mean()


def test_matched_colours_are_nearer_to_the_contents(photo, painting):
    out = arbitrary.stylize(photo, [painting], preserve_color="match")
    plain = arbitrary.stylize(photo, [painting])
    assert (out.mean((2, 3)) - photo.mean((2, 3))).abs().sum() < (plain.mean((2, 3)) - photo.mean((2, 3))).abs().sum()


def test_levels_are_selectable(photo, painting):
    shallow = arbitrary.stylize(photo, [painting], method="cascade", levels=[1])
    deep = arbitrary.stylize(photo, [painting], method="cascade")
    assert psnr(shallow.mean(1), photo.mean(1)) > psnr(deep.mean(1), photo.mean(1))


@pytest.mark.parametrize("arguments, words", [
    (dict(styles=[]), "At least one style"),
    (dict(alpha=1.5), "alpha"),
    (dict(alpha=float("nan")), "alpha"),
    (dict(method="magic"), "adain, wct"),
    (dict(weights=[1, 2]), "as the styles: 1, not 2"),
    (dict(levels=[6], method="cascade"), "no level 6: choose among 5, 4, 3, 2, 1"),
    (dict(preserve_color="hue"), "preserve_color"),
    (dict(content=torch.full((1, 3, 32, 32), float("nan"))), "not numbers"),
    (dict(content=torch.rand(1, 3, 1, 1)), "too small"),
    (dict(content=torch.rand(1, 3, 1, 1000)), "too small"),
    (dict(content=torch.rand(3, 32, 32)), "one picture"),
])
def test_wrong_input_is_one_sentence(arguments, words, photo, painting):
    arguments = dict(content=photo, styles=[painting]) | arguments
    with pytest.raises(st.InputError, match=words):
        arbitrary.stylize(**arguments)
