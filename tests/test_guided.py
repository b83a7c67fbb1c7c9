"""The guided filter: against NumPy window by window, and against what it promises for paintings."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from style_transfer import color, guided, images


def picture(seed, h=24, w=32):
    return torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(seed))


def smooth(seed, h, w, cells=6):
    return images.resize(picture(seed, cells, cells), (h, w))


def by_hand(guide, source, radius, epsilon):
    """a [3, 3, h, w] and b [3, h, w], by the paper's equations, one window after another."""
    guide, source = (x[0].double().numpy() for x in (guide, source))
    _, h, w = guide.shape

    def windows(*arrays):
        for y in range(h):
            for x in range(w):
                part = np.s_[..., max(0, y - radius):y + radius + 1, max(0, x - radius):x + radius + 1]
                yield y, x, [array[part].reshape(*array.shape[:-2], -1) for array in arrays]

    a, b, mean_a, mean_b = np.empty((3, 3, h, w)), np.empty((3, h, w)), np.empty((3, 3, h, w)), np.empty((3, h, w))
    for y, x, (i, p) in windows(guide, source):
        mean_i, mean_p = i.mean(1, keepdims=True), p.mean(1, keepdims=True)
        covariance = (i - mean_i) @ (i - mean_i).T / i.shape[1] + epsilon * np.eye(3)
        a[:, :, y, x] = np.linalg.solve(covariance, (i - mean_i) @ (p - mean_p).T / i.shape[1]).T
        b[:, y, x] = mean_p[:, 0] - a[:, :, y, x] @ mean_i[:, 0]
    for y, x, (some_a, some_b) in windows(a, b):
        mean_a[:, :, y, x], mean_b[:, y, x] = some_a.mean(-1), some_b.mean(-1)
    return mean_a, mean_b


@pytest.mark.parametrize("h, w, radius, epsilon", [(14, 20, 0.1, 1e-2), (9, 30, 0.2, 1e-1), (1, 12, 0.1, 1e-2),
                                                   (5, 5, 3.0, 1e-1)])
def test_coefficients_are_the_papers(h, w, radius, epsilon):
    guide, source = picture(0, h, w), picture(1, h, w)
    maps = guided.coefficients(guide, source, radius, epsilon)
    a, b = by_hand(guide, source, round(radius * max(h, w)), epsilon)
    assert maps.a.shape == (1, 3, 3, h, w) and maps.b.shape == (1, 3, h, w)
    np.testing.assert_allclose(maps.a[0], a, atol=2e-4)
    np.testing.assert_allclose(maps.b[0], b, atol=2e-4)
    whole = guided.apply(maps, guide, slice(0, h))
    np.testing.assert_allclose(whole[0], np.einsum("pghw,ghw->phw", a, guide[0]) + b, atol=2e-4)


def test_a_flat_picture_gives_its_source_and_an_affine_one_its_map():
    source = smooth(2, 40, 60)
    flat = guided.coefficients(torch.full((1, 3, 40, 60), 0.3), source, 0.1, 1e-2)
    assert flat.a.abs().max() < 1e-4 and (flat.b.mean((2, 3)) - source.mean((2, 3))).abs().max() < 0.02
    matrix, guide = torch.tensor([[0.5, 0.2, 0.0], [0.1, 0.3, 0.1], [0.0, -0.2, 0.6]]), picture(3, 40, 60)
    maps = guided.coefficients(guide, torch.einsum("ij,njhw->nihw", matrix, guide) + 0.1, 0.1, 1e-6)
    torch.testing.assert_close(maps.a, matrix[..., None, None].expand(1, 3, 3, 40, 60), atol=1e-3, rtol=0)


@pytest.mark.parametrize("cubic", [False, True])
@pytest.mark.parametrize("small, large", [((7, 9), (31, 40)), ((1, 5), (4, 5)), ((16, 16), (16, 16))])
def test_stretch_is_interpolation_in_parts(cubic, small, large):
    image = torch.rand(1, 4, *small)
    whole = F.interpolate(image, large, mode="bicubic" if cubic else "bilinear", antialias=True)
    for part in (slice(0, large[0]), slice(1, 3), slice(large[0] - 1, large[0])):
        torch.testing.assert_close(guided.stretch(image, *large, part, cubic), whole[:, :, part], atol=5e-6, rtol=0)


def test_rows_cover_every_row_once():
    for height, width in ((1, 10**9), (5000, 3000), (7, 1), (262144, 1), (262145, 1)):
        parts = list(guided.rows(height, width))
        assert [p.start for p in parts] == [0] + [p.stop for p in parts[:-1]] and parts[-1].stop == height
        assert all((p.stop - p.start) * width <= guided.BLOCK or p.stop - p.start == 1 for p in parts)


def test_what_follows_the_photograph_is_enlarged_exactly():
    # Sharp stripes, and a painting that shows them in other colours: it is as sharp when it is large.
    stripes = torch.arange(256).div(24, rounding_mode="floor") % 2 * 0.6 + 0.2
    content = (stripes * torch.tensor([1.0, 0.9, 0.8])[:, None])[None, :, None].expand(1, 3, 200, 256).contiguous()
    paint = torch.tensor([0.9, -0.5, 0.3]).view(1, 3, 1, 1), torch.tensor([0.05, 0.75, 0.4]).view(1, 3, 1, 1)
    full = paint[0] * color.luminance(content) + paint[1]
    small = guided.shrink(full, (50, 64))
    result = guided.enlarge(small, content)
    assert result.shape == content.shape
    blurred = images.resize(small, (200, 256))
    assert (result - full).abs().mean() < 0.35 * (blurred - full).abs().mean()
    assert result.min() >= full.min() - 0.06 and result.max() <= full.max() + 0.06  # no halo


def test_strokes_that_the_photograph_does_not_know_stay_as_they_are():
    strokes = smooth(4, 40, 50, cells=12)
    noise = (0.5 + 0.02 * torch.randn(1, 3, 160, 200, generator=torch.Generator().manual_seed(5))).clamp(0, 1)
    enlarged = guided.enlarge(strokes, noise)
    assert (enlarged - images.resize(strokes, (160, 200))).abs().max() < 0.02


def test_enlarge_in_blocks_and_at_strange_sizes(monkeypatch):
    content, painting = smooth(6, 90, 131, 20), picture(7, 30, 44)
    whole = guided.enlarge(painting, content)
    assert whole.min() >= 0 and whole.max() <= 1
    monkeypatch.setattr(guided, "BLOCK", 1000)
    torch.testing.assert_close(guided.enlarge(painting, content), whole, atol=1e-6, rtol=0)
    assert guided.enlarge(content, content) is content
    for h, w in ((1, 700), (700, 1), (3, 2)):
        assert guided.enlarge(picture(8, 1, 1), picture(9, h, w)).shape == (1, 3, h, w)
