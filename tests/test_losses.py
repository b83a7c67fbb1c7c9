"""Losses against the formulas written out."""

import pytest
import torch

from style_transfer import losses


def features(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()


def test_gram_matrix_is_the_einsum_and_the_loop():
    f = features(2, 5, 3, 4)
    gram = losses.gram_matrix(f)
    assert torch.allclose(gram, torch.einsum("nihw,njhw->nij", f, f) / 12)
    flat = f[1].reshape(5, 12)
    for i in range(5):
        for j in range(5):
            assert float(gram[1, i, j]) == pytest.approx(sum(float(a * b) for a, b in zip(flat[i], flat[j])) / 12, rel=1e-5)


def test_content_loss_by_hand():
    f, p = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[0.0, 5.0]]]])
    assert float(losses.content_loss(f, p)) == 0.5 * (1 + 9)


def test_style_loss_is_the_papers_for_pictures_of_one_size():
    f, a = features(1, 3, 4, 5), features(1, 3, 4, 5, seed=1)
    n, m = 3, 20
    raw_f, raw_a = f.flatten(2)[0], a.flatten(2)[0]
    papers = ((raw_f @ raw_f.T - raw_a @ raw_a.T) ** 2).sum() / (4 * n ** 2 * m ** 2)
    assert torch.allclose(losses.style_loss(losses.gram_matrix(f), losses.gram_matrix(a)), papers)


def test_style_loss_does_not_depend_on_the_size_of_a_repeated_pattern():
    f, target = features(1, 3, 4, 5), losses.gram_matrix(features(1, 3, 4, 5, seed=1))
    small = losses.style_loss(losses.gram_matrix(f), target)
    assert torch.allclose(losses.style_loss(losses.gram_matrix(f.tile(1, 1, 3, 2)), target), small)


def test_moments_hold_the_gram_matrix_and_the_means():
    f, guide = features(1, 5, 3, 4), features(1, 1, 3, 4, seed=2)
    second = losses.moments(f)
    assert torch.allclose(second[:, :-1, :-1], losses.gram_matrix(f)) and float(second[0, -1, -1]) == pytest.approx(1)
    assert torch.allclose(second[0, :-1, -1], f.mean((0, 2, 3)))
    guided = losses.moments(f, guide)[0, :-1, -1]
    assert torch.allclose(guided, (f * guide.pow(2)).sum((0, 2, 3)) / guide.pow(2).sum())


def test_gaussian_loss_of_independent_channels_is_that_of_means_and_deviations():
    """Where covariances commute, the distance is the sum of the channels' own: of their means and of their deviations."""
    grid = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3).T[None, :, :, None]  # uncorrelated
    scale, shift = (torch.tensor(v)[None, :, None, None] for v in ([0.5, 2.0, 3.0], [1.0, -1.0, 0.0]))
    target = losses.gaussian_target(losses.moments(grid * scale + shift))
    loss = losses.gaussian_loss(losses.moments(grid), target)
    assert float(loss) == pytest.approx(0.5 ** 2 + 1 + 2 ** 2 + 1 + 1, rel=1e-4)
    assert abs(float(losses.gaussian_loss(losses.moments(grid * scale + shift), target))) < 1e-5


def test_gaussian_loss_and_its_slope_are_those_of_the_formula():
    f, target = features(1, 6, 9, 9), losses.moments(features(1, 6, 8, 8, seed=1) ** 2)

    def formula(second):
        (mean, own), (other, wanted) = map(losses.mean_and_covariance, (second, target))
        values, vectors = torch.linalg.eigh(wanted)
        root = (vectors * values.sqrt()) @ vectors.mT
        between = torch.linalg.eigvalsh(root @ own @ root).sqrt().sum()
        return ((mean - other) ** 2).sum() + own.trace() + wanted.trace() - 2 * between
    slopes = []
    for loss in (formula, lambda second: losses.gaussian_loss(second, losses.gaussian_target(target))):
        second = losses.moments(f).requires_grad_(True)
        value = loss(second)
        value.backward()
        slopes.append((float(value.detach()), second.grad))
    assert slopes[0][0] == pytest.approx(slopes[1][0], rel=1e-5)
    assert torch.allclose(slopes[0][1], slopes[1][1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("picture", [torch.zeros(1, 6, 8, 8), torch.full((1, 6, 8, 8), 0.3), torch.rand(1, 6, 1, 1)])
def test_gaussian_loss_of_flat_and_tiny_pictures_has_a_slope(picture):
    other = features(1, 6, 8, 8)
    for one, style in ((picture, other), (other, picture), (picture, picture)):
        f = one.clone().requires_grad_(True)
        loss = losses.gaussian_loss(losses.moments(f), losses.gaussian_target(losses.moments(style)))
        loss.backward()
        assert loss.isfinite() and loss > -1e-5 and f.grad.isfinite().all() and f.grad.abs().max() < 1e3


def normalized_content(f, p):
    target = (p - p.mean((2, 3), keepdim=True)) / (p.var((2, 3), unbiased=False, keepdim=True) + losses.EPSILON).sqrt()
    means = (f.mean((2, 3)), f.pow(2).mean((2, 3)), (f * target).mean((2, 3)))
    return float(losses.normalized_content_loss(*means, target.pow(2).mean((2, 3))))


def test_normalized_content_loss_is_the_squared_difference_of_normalised_features():
    f, p = features(1, 3, 6, 7), features(1, 3, 6, 7, seed=1)
    normal = [(x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), unbiased=False, keepdim=True) + losses.EPSILON).sqrt()
              for x in (f, p)]
    assert normalized_content(f, p) == pytest.approx(float((normal[0] - normal[1]).pow(2).mean()), rel=1e-4)
    assert normalized_content(5 * p - 2, p) == pytest.approx(0, abs=1e-3)  # what a style changes counts for nothing
    assert normalized_content(torch.ones_like(p), p) == pytest.approx(1, rel=1e-3)


def test_total_variation_by_hand():
    image = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    down, right = (0.25 + 0.25) / 2, (1.0 + 0.0) / 2
    assert float(losses.total_variation(image)) == pytest.approx(down + right)
    assert float(losses.total_variation(torch.full((1, 3, 4, 4), 0.3))) == 0
