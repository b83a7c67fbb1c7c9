"""Colours: against NumPy and colorsys, and against the properties that the paper promises."""

import colorsys

import numpy as np
import pytest
import torch

from style_transfer import color, guided, images
from style_transfer.errors import InputError


def picture(seed, h=24, w=32, n=1, low=0.0, high=1.0):
    return low + (high - low) * torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(seed))


def correlated(seed, mean, spread, h=40, w=50):
    """Normally distributed colours around mean with the mixing matrix spread, all well inside [0, 1]."""
    noise = torch.randn(3, h * w, generator=torch.Generator().manual_seed(seed)).clamp(-2.5, 2.5)
    colours = torch.tensor(mean).view(3, 1) + torch.tensor(spread) @ noise
    assert colours.min() > 0 and colours.max() < 1
    return colours.view(1, 3, h, w)


def statistics(tensor):
    pixels = tensor[0].double().flatten(1).numpy()
    return pixels.mean(1), np.cov(pixels, bias=True)


WARM = ((0.6, 0.5, 0.4), ((0.08, 0.0, 0.0), (0.05, 0.03, 0.0), (0.02, 0.01, 0.03)))
COOL = ((0.3, 0.4, 0.6), ((0.03, 0.0, 0.0), (-0.02, 0.04, 0.0), (-0.03, 0.02, 0.06)))


def test_luminance():
    primaries = torch.eye(3).view(3, 3, 1, 1)  # a batch: red, green, blue
    assert color.luminance(primaries).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])
    image = picture(0, n=2)
    y = color.luminance(image)
    assert y.shape == (2, 1, 24, 32)
    r, g, b = image[1, :, 5, 7].tolist()
    assert y[1, 0, 5, 7].item() == pytest.approx(colorsys.rgb_to_yiq(r, g, b)[0], abs=0.02)  # colorsys rounds Y
    grey = torch.full((1, 3, 2, 2), 0.37)
    torch.testing.assert_close(color.luminance(grey), grey[:, :1])


def yiq(tensor):
    matrix = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    return np.einsum("ij,njhw->nihw", matrix, tensor.double().numpy())


def test_keep_content_colors_inside_the_gamut():
    content, stylized = picture(1, low=0.4, high=0.6), picture(2, low=0.4, high=0.6)
    result = yiq(color.keep_content_colors(content, stylized))
    np.testing.assert_allclose(result[:, 0], yiq(stylized)[:, 0], atol=1e-6)
    np.testing.assert_allclose(result[:, 1:], yiq(content)[:, 1:], atol=1e-4)


def test_keep_content_colors_out_of_the_gamut():
    content, stylized = picture(3, n=2), picture(4, n=2)
    image = color.keep_content_colors(content, stylized)
    assert image.min() >= 0 and image.max() <= 1
    result, wanted = yiq(image), yiq(content)
    # Luminance is exact everywhere, also where clipping of channels would have changed it.
    np.testing.assert_allclose(result[:, 0], yiq(stylized)[:, 0], atol=1e-6)
    unclipped = content - color.luminance(content) + color.luminance(stylized)
    outside = ((unclipped < 0) | (unclipped > 1)).any(1).numpy()
    assert 0.1 < outside.mean() < 0.9
    # Hue stays: (I, Q) is a multiple in [0, 1] of the content's, and 1 where no reduction is needed.
    scale = (result[:, 1:] * wanted[:, 1:]).sum(1) / (wanted[:, 1:] ** 2).sum(1)
    np.testing.assert_allclose(result[:, 1:], scale[:, None] * wanted[:, 1:], atol=1e-4)
    assert scale.min() > -1e-3 and scale.max() < 1 + 1e-3 and scale[outside].max() < 1
    np.testing.assert_allclose(scale[~outside], 1, atol=2e-3)
    # No more than needed: a pixel that was reduced touches the border of the cube.
    border = torch.minimum(image, 1 - image).amin(1).numpy()
    assert border[outside].max() < 1e-5


def test_keep_content_colors_at_black_white_and_grey():
    content = picture(5, h=1, w=3)
    stylized = torch.tensor([0.0, 0.5, 1.0]).expand(1, 3, 1, 3)
    result = color.keep_content_colors(content, stylized)
    torch.testing.assert_close(result[..., 0], torch.zeros(1, 3, 1))
    torch.testing.assert_close(result[..., 2], torch.ones(1, 3, 1))
    grey_content = torch.full((1, 3, 4, 4), 0.2)
    stylized = picture(6, h=4, w=4)
    expected = color.luminance(stylized).expand(1, 3, 4, 4)
    torch.testing.assert_close(color.keep_content_colors(grey_content, stylized), expected)
    same = picture(7)
    torch.testing.assert_close(color.keep_content_colors(same, same), same)


@pytest.mark.parametrize("mode, means", [("off", "off"), (False, "off"), ("luminance", "luminance"), (True, "luminance"),
                                         ("match", "match")])
def test_preserve_knows_its_modes(mode, means):
    content, image = picture(12), picture(13)
    expected = {"off": image, "luminance": color.keep_content_colors(content, image),
                "match": color.match_color(content, image)}[means]
    assert torch.equal(color.preserve(content, image, mode), expected)


@pytest.mark.parametrize("mode", ["hue", "", 3, None, ["off"]])
def test_another_mode_is_a_sentence(mode):
    with pytest.raises(InputError, match="off, luminance, match"):
        color.preserve(picture(0), picture(1), mode)


def test_match_color_gives_mean_and_covariance():
    source, target = correlated(0, *WARM), correlated(1, *COOL, h=30, w=20)
    result = color.match_color(target, source)
    assert result.shape == source.shape and result.dtype == torch.float32
    for got, wanted, before in zip(statistics(result), statistics(target), statistics(source), strict=True):
        np.testing.assert_allclose(got, wanted, atol=5e-5)
        assert np.abs(before - wanted).max() > 1e-3


def test_match_color_uses_symmetric_roots():
    source, target = correlated(2, *WARM), correlated(3, *COOL)
    result = color.match_color(target, source)
    (mean_s, cov_s), (mean_t, cov_t) = statistics(source), statistics(target)

    def root(matrix):  # Denman-Beavers iteration: no eigenvectors
        y, z = matrix, np.eye(3)
        for _ in range(30):
            y, z = (y + np.linalg.inv(z)) / 2, (z + np.linalg.inv(y)) / 2
        return y

    pixels = source[0].double().flatten(1).numpy() - mean_s[:, None]
    expected = root(cov_t) @ np.linalg.inv(root(cov_s)) @ pixels + mean_t[:, None]
    np.testing.assert_allclose(result[0].flatten(1).numpy(), expected, atol=2e-3)


def test_match_color_to_itself_changes_nothing():
    image = picture(9)
    torch.testing.assert_close(color.match_color(image, image), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("source", [torch.full((1, 3, 8, 8), 0.3), torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 5, 1)])
def test_match_color_of_a_flat_source_is_the_targets_mean(source):
    target = correlated(4, *COOL)
    result = color.match_color(target, source)
    expected = target.mean((2, 3), keepdim=True).expand_as(source)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_match_color_to_a_flat_target():
    target = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand(1, 3, 6, 6)
    result = color.match_color(target, picture(10))
    assert (result - target[..., :1, :1]).abs().max() < 0.01


def test_match_color_of_grey_does_not_blow_up_noise():
    ramp = torch.linspace(0.2, 0.8, 64).expand(1, 3, 64, 64)
    noisy = ramp + 2e-4 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    result = color.match_color(correlated(5, *COOL), noisy)
    # Neighbours in a column differ by noise alone; the target's deviation is up to 0.07 in each channel.
    assert result.diff(dim=2).std() < 0.03
    assert (statistics(result)[0] - statistics(correlated(5, *COOL))[0]).max() < 1e-3


def test_match_color_clamps_and_handles_batches():
    wide = (picture(11, n=2) > 0.5).float()
    source = torch.cat([correlated(6, *WARM), correlated(7, *COOL)])
    result = color.match_color(wide, source)
    assert result.min() >= 0 and result.max() <= 1 and (result == 0).any() and (result == 1).any()
    for i in range(2):
        torch.testing.assert_close(result[i:i + 1], color.match_color(wide[i:i + 1], source[i:i + 1]))
    one = color.match_color(wide[:1], source)
    torch.testing.assert_close(one[1:], color.match_color(wide[:1], source[1:]))


# Colours and texture apart


def smooth(seed, h, w, cells):
    return images.resize(picture(seed, cells, cells), (h, w))


def painted(h=120, w=160):
    """(photograph, painting): its forms in other colours, local ones too, below strokes of its own."""
    content = (0.7 * smooth(20, h, w, 8) + 0.2 * smooth(21, h, w, 60) + 0.05).clamp(0, 1)
    factor, shift = (torch.tensor(x).view(1, 3, 1, 1) for x in ((0.7, 0.5, 0.3), (0.05, 0.2, 0.5)))
    recoloured = (factor * content + shift + 0.2 * (smooth(22, h, w, 3) - 0.5)).clamp(0, 1)
    strokes = 0.25 * torch.sin(torch.arange(w) * 1.3 + torch.arange(h)[:, None] * 0.4)
    return content, recoloured, (recoloured + strokes).clamp(0, 1)


def slopes(image):
    return color.luminance(image).diff(dim=3).flatten()


def agreement(a, b):
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


def test_all_of_the_painting_is_the_painting():
    content, _, image = painted()
    assert color.finish(content, image) is image
    assert torch.equal(color.finish(content, image, "match"), color.match_color(content, image))


def test_nothing_of_the_painting_is_the_photograph():
    content, _, image = painted()
    for mode in color.MODES:
        torch.testing.assert_close(color.finish(content, image, mode, 0.0, 0.0), content, atol=1e-6, rtol=0)


def test_colours_alone_keep_the_photographs_texture():
    content, recoloured, image = painted()
    result = color.finish(content, image, "off", 1.0, 0.0)
    assert agreement(slopes(result), slopes(image)) < 0.5 < 0.9 < agreement(slopes(result), slopes(content))
    assert (result - recoloured).abs().mean() < 0.4 * (content - recoloured).abs().mean()
    # In the covariance, the painting's strokes are a part of its colours' spread.
    for got, wanted, before, most in zip(*map(statistics, (result, recoloured, content)), (0.05, 0.4), strict=True):
        assert np.abs(got - wanted).max() < most * np.abs(before - wanted).max()


def test_texture_alone_keeps_the_photographs_colours():
    content, recoloured, image = painted()
    result = color.finish(content, image, "off", 0.0, 1.0)
    assert agreement(slopes(result), slopes(image)) > 0.9
    of_result, of_image = (guided.shrink(x - content, (6, 8)).abs().mean() for x in (result, image))
    assert of_result < 0.4 * of_image


def test_strengths_are_sums():
    content, _, image = painted()
    content, image = 0.3 + 0.4 * content, 0.3 + 0.4 * image  # so that nothing is clamped
    colours, texture = color.finish(content, image, "off", 1.0, 0.0), color.finish(content, image, "off", 0.0, 1.0)
    torch.testing.assert_close(colours + texture - content, image, atol=1e-5, rtol=0)
    expected = content + 0.3 * (colours - content) + 0.8 * (texture - content)
    torch.testing.assert_close(color.finish(content, image, "off", 0.3, 0.8), expected, atol=1e-5, rtol=0)


def test_traces_of_colour_in_a_grey_photograph_are_not_blown_up():
    grey = smooth(23, 96, 128, 12)[:, :1].expand(1, 3, 96, 128)
    noisy = (grey + 0.004 * torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    result = color.finish(noisy, smooth(24, 96, 128, 5), "off", 1.0, 0.0)
    clean = color.finish(grey, smooth(24, 96, 128, 5), "off", 1.0, 0.0)
    assert (result - clean).std() < 0.03


@pytest.mark.parametrize("strengths", [(1.1, 1.0), (1.0, -0.1), (float("nan"), 1.0), ("1", 1.0), (None, 1.0), (1.0, True)])
def test_strengths_out_of_range_are_a_sentence(strengths):
    with pytest.raises(InputError, match="from 0 to 1"):
        color.finish(picture(0), picture(1), "off", *strengths)


@pytest.mark.parametrize("content", [torch.full((1, 3, 24, 32), 0.5), torch.zeros(1, 3, 24, 32), picture(0)])
@pytest.mark.parametrize("image", [torch.full((1, 3, 24, 32), 0.2), torch.ones(1, 3, 24, 32), picture(1)])
def test_flat_pictures_have_colours_and_texture_too(content, image):
    for strengths in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)):
        result = color.finish(content, image, "off", *strengths)
        assert result.isfinite().all() and result.min() >= 0 and result.max() <= 1
    if image.std() == 0:
        recoloured = color.finish(content, image, "off", 1.0, 0.0)
        assert (recoloured - image).abs().mean() < 0.02


def test_blocks_of_rows_change_nothing(monkeypatch):
    content, _, image = painted(50, 70)
    calls = [lambda: color.finish(content, image, "off", 0.7, 0.2), lambda: color.keep_content_colors(content, image),
             lambda: color.match_color(content, image)]
    wholes = [call() for call in calls]
    monkeypatch.setattr(guided, "BLOCK", 500)
    for whole, call in zip(wholes, calls, strict=True):
        torch.testing.assert_close(call(), whole, atol=1e-6, rtol=0)
