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


def test_total_variation_by_hand():
    image = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    down, right = (0.25 + 0.25) / 2, (1.0 + 0.0) / 2
    assert float(losses.total_variation(image)) == pytest.approx(down + right)
    assert float(losses.total_variation(torch.full((1, 3, 4, 4), 0.3))) == 0
