"""AdaIN, whitening and colouring: the statistics that they promise, and the inputs that break naive versions."""

import math

import pytest
import torch

from style_transfer import transforms
from style_transfer.errors import InputError


def features(channels, height, width, seed=0):
    """Correlated channels with different means and spreads."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator)
    x = torch.randn(channels, height * width, generator=generator)
    return (mix @ x + 5 * torch.randn(channels, 1, generator=generator)).view(1, channels, height, width)


def covariance(f):
    return torch.cov(f[0].flatten(1))


def test_adain_has_the_styles_mean_and_deviation():
    content, style = features(6, 20, 30), features(6, 9, 8, seed=1)
    out = transforms.adain(content, style)
    assert out.shape == content.shape
    assert torch.allclose(out.mean((2, 3)), style.mean((2, 3)), atol=1e-4)
    assert torch.allclose(out.flatten(2).std(2, correction=0), style.flatten(2).std(2, correction=0), rtol=1e-3)


def test_adain_keeps_the_contents_arrangement():
    content, style = features(4, 10, 10), features(4, 5, 5, seed=1)
    out = transforms.adain(content, style)
    for channel in range(4):
        pair = torch.stack([out[0, channel].flatten(), content[0, channel].flatten()])
        assert float(torch.corrcoef(pair)[0, 1]) == pytest.approx(1, abs=1e-4)


def test_adain_of_a_picture_with_itself_is_itself():
    f = features(4, 10, 10)
    assert torch.allclose(transforms.adain(f, f), f, atol=1e-4)


def test_wct_has_the_styles_mean_and_covariance():
    content, style = features(6, 20, 30), features(6, 12, 11, seed=1)
    out = transforms.wct(content, style)
    assert out.shape == content.shape
    assert torch.allclose(out.mean((2, 3)), style.mean((2, 3)), atol=1e-3)
    assert torch.allclose(covariance(out), covariance(style), rtol=1e-3, atol=1e-2)


def test_whitened_features_have_the_identity_as_covariance():
    f = features(5, 20, 20)
    matrix, mean = transforms.whitening(f)
    white = transforms.affine(f, matrix, -matrix @ mean)
    assert torch.allclose(covariance(white), torch.eye(5), atol=1e-3)
    assert white.mean((2, 3)).abs().max() < 1e-3


def test_adain_is_whitening_and_colouring_without_the_correlations():
    content, style = features(6, 20, 30), features(6, 40, 38, seed=1)
    one = transforms.transfer(transforms.whitening(content, diagonal=True), transforms.coloring(style, diagonal=True))
    assert torch.allclose(transforms.affine(content, *one), transforms.adain(content, style), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mean_and_covariance_over_more_positions_than_a_block(dtype):
    f = (features(4, 250, 300) + 100).to(dtype)
    mean, found = transforms.mean_and_covariance(f)
    assert torch.allclose(mean, f.float().mean((2, 3))[0], rtol=1e-4)
    assert torch.allclose(found, covariance(f.double()).float(), rtol=1e-3, atol=1e-3)


def test_affine_by_hand():
    f, matrix, offset = features(3, 7, 5), torch.randn(3, 3), torch.randn(3)
    expected = torch.einsum("ij,njhw->nihw", matrix, f) + offset.view(1, 3, 1, 1)
    for memory in (torch.contiguous_format, torch.channels_last):
        assert torch.allclose(transforms.affine(f.contiguous(memory_format=memory), matrix, offset), expected, atol=1e-4)


def test_wct_of_a_picture_with_itself_is_itself():
    f = features(5, 16, 16)
    assert torch.allclose(transforms.wct(f, f), f, atol=1e-2)


@pytest.mark.parametrize("transform", [transforms.adain, transforms.wct])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("content, style", [
    (torch.full((1, 8, 6, 6), 0.5), features(8, 5, 5)),          # a flat colour as content
    (features(8, 6, 6), torch.full((1, 8, 5, 5), 2.0)),          # a flat colour as style
    (features(8, 6, 6), features(8, 1, 1)),                      # a style of one feature
    (features(8, 1, 1), features(8, 5, 5)),                      # a content of one feature
    (features(8, 2, 3), features(8, 1, 2)),                      # fewer positions than channels
    (features(8, 6, 6) * 1e-6, features(8, 5, 5)),
    (torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 4, 4)),
])
def test_degenerate_features_stay_finite(transform, dtype, content, style):
    out = transform(content.to(dtype), style.to(dtype))
    assert out.shape == content.shape and out.dtype == dtype
    assert out.isfinite().all()
    if style.flatten(2).std(2, correction=0).max() == 0:  # nothing but the style's colour can come out
        assert torch.allclose(out.float().mean((2, 3)), style.to(dtype).float().mean((2, 3)), atol=0.05)


def test_wct_of_a_rank_deficient_style_has_its_covariance():
    basis = features(2, 10, 10)
    style = torch.cat([basis, basis * 2, basis.flip(1)], 1)  # six channels, rank two
    out = transforms.wct(features(6, 20, 20, seed=1), style)
    assert torch.allclose(covariance(out), covariance(style), rtol=2e-2, atol=2e-2 * float(covariance(style).abs().max()))


def test_weights():
    assert transforms.normalize_weights(None, 4) == [0.25] * 4
    assert transforms.normalize_weights([3, 1], 2) == [0.75, 0.25]
    for bad in ([1], [0, 0], [-1, 2], [math.nan, 1], [math.inf, 1]):
        with pytest.raises(InputError):
            transforms.normalize_weights(bad, 2)


def test_blend_is_the_convex_combination():
    a, b = features(3, 4, 4), features(3, 4, 4, seed=1)
    assert torch.equal(transforms.blend([a, b], [1.0, 0.0]), a)
    assert torch.allclose(transforms.blend([a, b], [0.25, 0.75]), 0.25 * a + 0.75 * b)
    left = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(1, 1, 4, 4)
    out = transforms.blend([a, b], [left, 1 - left])
    assert torch.equal(out[..., :2], a[..., :2]) and torch.equal(out[..., 2:], b[..., 2:])
