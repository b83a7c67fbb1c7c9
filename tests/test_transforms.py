"""AdaIN, whitening and colouring: the statistics that they promise, and the inputs that break naive versions."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from style_transfer import transforms
from style_transfer.errors import InputError


def features(channels, height, width, seed=0):
    """Correlated channels with different means and spreads."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator)
    x = torch.randn(channels, height * width, generator=generator)
    return (mix @ x + 5 * torch.randn(channels, 1, generator=generator)).view(1, channels, height, width)


def covariance(f):
    return torch.cov(f[0].flatten(1), correction=0)


def adain(content, style):
    return transforms.apply(transforms.adain(transforms.statistics(content), transforms.statistics(style)), content)


def wct(content, style):
    return transforms.apply(transforms.wct(transforms.statistics(content), transforms.statistics(style)), content)


def transport(content, style):
    return transforms.apply(transforms.transport(transforms.statistics(content), transforms.statistics(style)), content)


def test_adain_has_the_styles_mean_and_deviation():
    content, style = features(6, 20, 30), features(6, 9, 8, seed=1)
    out = adain(content, style)
    assert out.shape == content.shape
    assert torch.allclose(out.mean((2, 3)), style.mean((2, 3)), atol=1e-4)
    assert torch.allclose(out.flatten(2).std(2, correction=0), style.flatten(2).std(2, correction=0), rtol=1e-3)


def test_adain_keeps_the_contents_arrangement():
    content, style = features(4, 10, 10), features(4, 5, 5, seed=1)
    out = adain(content, style)
    for channel in range(4):
        pair = torch.stack([out[0, channel].flatten(), content[0, channel].flatten()])
        assert float(torch.corrcoef(pair)[0, 1]) == pytest.approx(1, abs=1e-4)


def test_adain_of_a_picture_with_itself_is_itself():
    f = features(4, 10, 10)
    assert torch.allclose(adain(f, f), f, atol=1e-4)


@pytest.mark.parametrize("transform", [wct, transport])
def test_wct_has_the_styles_mean_and_covariance(transform):
    content, style = features(6, 20, 30), features(6, 12, 11, seed=1)
    out = transform(content, style)
    assert out.shape == content.shape
    assert torch.allclose(out.mean((2, 3)), style.mean((2, 3)), atol=1e-3)
    assert torch.allclose(covariance(out), covariance(style), rtol=1e-3, atol=1e-2)


def test_transport_moves_features_less_than_wct():
    mixed = torch.randn(6, 6, generator=torch.Generator().manual_seed(2))
    content, style = features(6, 20, 30), torch.einsum("ij,njhw->nihw", mixed, features(6, 12, 11, seed=1))
    matrix, _ = transforms.transport(transforms.statistics(content), transforms.statistics(style))
    assert torch.allclose(matrix, matrix.mT) and torch.linalg.eigvalsh(matrix).min() > 0  # which makes it the optimal one
    moved = [(transform(content, style) - content).square().mean() for transform in (transport, wct)]
    turned = torch.linalg.qr(mixed)[0].double() @ transforms.statistics(content).inverse_root  # another that whitens
    assert moved[0] < 0.999 * moved[1]
    other = transforms.statistics(style).root @ turned
    offset = transforms.statistics(style).mean - (other @ transforms.statistics(content).mean[..., None])[..., 0]
    out = transforms.apply(transforms.Affine(other, offset), content)
    assert torch.allclose(covariance(out), covariance(style), rtol=1e-2, atol=1e-1)
    assert moved[0] < 0.95 * (out - content).square().mean()


def test_whitened_features_have_the_identity_as_covariance():
    f = features(5, 20, 20)
    statistics = transforms.statistics(f)
    matrix = statistics.inverse_root
    white = transforms.apply(transforms.Affine(matrix, -(matrix @ statistics.mean[..., None])[..., 0]), f)
    assert torch.allclose(covariance(white), torch.eye(5), atol=1e-3)
    assert white.mean((2, 3)).abs().max() < 1e-3


def test_adain_is_the_formula_of_the_paper():
    content, style = features(6, 20, 30), features(6, 40, 38, seed=1)
    (mu_x, sigma_x), (mu_y, sigma_y) = transforms.mean_and_deviation(content), transforms.mean_and_deviation(style)
    assert torch.allclose(adain(content, style), sigma_y * (content - mu_x) / sigma_x + mu_y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("transform", [adain, wct, transport])
def test_a_batch_is_its_pictures_one_by_one(transform):
    content, style = (torch.cat([features(5, 12, 14, seed), features(5, 12, 14, seed + 1)]) for seed in (0, 2))
    singly = torch.cat([transform(c, s) for c, s in zip(content.split(1), style.split(1))])
    assert torch.allclose(transform(content, style), singly, atol=1e-4)
    assert torch.allclose(transform(content, style[:1])[1:], transform(content[1:], style[:1]), atol=1e-4)


class NoDoubles(TorchDispatchMode):
    """Lets the meta device stand in for one without float64, as MPS is: doubles there are refused, copies to the CPU are 0."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.ops.aten._to_copy.default and args[0].is_meta and kwargs.get("device") == torch.device("cpu"):
            assert kwargs.get("dtype") != torch.float64, "the device would have to make the doubles"
            return torch.zeros(args[0].shape, dtype=args[0].dtype)
        out = function(*args, **kwargs)
        assert not (torch.is_tensor(out) and out.is_meta and out.dtype == torch.float64), "this device has no float64"
        return out


@pytest.mark.parametrize("transform", [adain, wct, transport])
def test_devices_without_float64(transform):
    content, style = features(4, 9, 9).to("meta"), features(4, 5, 5).to("meta")
    with NoDoubles():
        assert transform(content, style).is_meta


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mean_and_covariance_over_more_positions_than_a_block(dtype):
    f = (features(4, 250, 300) + 100).to(dtype)
    found = transforms.statistics(f)
    assert found.mean.dtype == found.covariance.dtype == torch.float64
    assert torch.allclose(found.mean[0], f.double().mean((2, 3))[0], rtol=1e-4)
    assert torch.allclose(found.covariance[0], covariance(f.double()), rtol=1e-3, atol=1e-3)


def test_an_affine_map_by_hand():
    f, matrix, offset = features(3, 7, 5), torch.randn(3, 3), torch.randn(3)
    expected = torch.einsum("ij,njhw->nihw", matrix, f) + offset.view(1, 3, 1, 1)
    for memory in (torch.contiguous_format, torch.channels_last):
        found = transforms.apply((matrix[None], offset[None]), f.contiguous(memory_format=memory))
        assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("transform", [wct, transport])
def test_wct_of_a_picture_with_itself_is_itself(transform):
    f = features(5, 16, 16)
    f = f / f.std((2, 3), keepdim=True)  # no direction is faint
    assert torch.allclose(transform(f, f), f, atol=1e-2)


@pytest.mark.parametrize("transform", [adain, wct, transport])
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
    out = wct(features(6, 20, 20, seed=1), style)
    assert torch.allclose(covariance(out), covariance(style), rtol=2e-2, atol=2e-2 * float(covariance(style).abs().max()))


def test_palette_takes_hues_away_and_goes_half_of_the_way_to_others():
    generator = torch.Generator().manual_seed(0)
    colourful = torch.rand(1, 3, 30, 40, generator=generator)
    grey = torch.rand(1, 1, 20, 20, generator=generator).expand(1, 3, 20, 20)

    def recolour(content, style):
        return transforms.apply(transforms.palette(transforms.statistics(content), transforms.statistics(style)), content)
    out = recolour(colourful, grey)
    assert (out - out.mean(1, keepdim=True)).abs().max() < 0.02  # a drawing's palette: no hue is left
    sepia = grey * torch.tensor([1.0, 0.9, 0.7]).view(1, 3, 1, 1)
    red, green, blue = recolour(colourful, sepia).unbind(1)
    assert torch.allclose(green, 0.9 * red, atol=0.02) and torch.allclose(blue, 0.7 * red, atol=0.02)
    centred = colourful - colourful.mean((2, 3), keepdim=True)
    for gain, expected in ((1.0, 1.0), (1.44, 1.2), (0.64, 0.8), (9.0, 2 ** 0.5)):  # all colours are there
        assert torch.allclose(recolour(centred, 0.4 + gain * centred.flip(3)), 0.4 + expected * (centred - 0.2), atol=1e-4)


def test_weights():
    assert transforms.normalize_weights(None, 4) == [0.25] * 4
    assert transforms.normalize_weights([3, 1], 2) == [0.75, 0.25]
    for bad in ([1], [0, 0], [-1, 2], [math.nan, 1], [math.inf, 1]):
        with pytest.raises(InputError):
            transforms.normalize_weights(bad, 2)


def test_a_blend_is_the_convex_combination_and_alpha_mixes_in_the_content():
    f = features(3, 4, 4)
    maps = [transforms.Affine(torch.randn(1, 3, 3).double(), torch.randn(1, 3).double()) for _ in range(2)]
    a, b = (transforms.apply(m, f) for m in maps)
    assert torch.allclose(transforms.apply(transforms.blend(maps, [0.25, 0.75]), f), 0.25 * a + 0.75 * b, atol=1e-4)
    assert torch.allclose(transforms.apply(transforms.blend(maps, [1.0, 0.0], 0.3), f), 0.3 * a + 0.7 * f, atol=1e-4)
    assert torch.equal(transforms.apply(transforms.blend(maps, [0.5, 0.5], 0.0), f), f)
