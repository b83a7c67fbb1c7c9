"""Muon's steps, and what it learns with them."""

import pytest
import torch

from style_transfer import checkpoints
from style_transfer.networks.johnson import Johnson
from training.losses import PerceptualLoss
from training.muon import Muon, orthogonal


def test_muon_steps_along_orthogonal_matrices():
    torch.manual_seed(0)
    for shape in ((6, 20), (20, 6)):
        singular = torch.linalg.svdvals(orthogonal(torch.randn(shape) @ torch.diag(torch.logspace(-1, 0, shape[1]))))
        assert 0.5 < singular.min() and singular.max() < 1.3
    kernel, shift = torch.nn.Parameter(torch.randn(4, 3, 3, 3)), torch.nn.Parameter(torch.randn(4))
    before, optimizer = kernel.detach().clone(), Muon([kernel, shift], lr=0.1)
    kernel.grad, shift.grad = torch.randn_like(kernel), torch.tensor([1.0, -2.0, 3.0, -4.0])
    old = shift.detach().clone()
    optimizer.step()
    assert torch.linalg.svdvals((before - kernel).detach().flatten(1) / 0.1) == pytest.approx([1.0] * 4, abs=0.35)
    assert torch.allclose(old - shift, 0.02 * shift.grad.sign(), atol=1e-4)  # Adam's first step


def test_a_tiny_network_overfits(painting, photo):
    """A few seconds of training on one photograph: the loss falls to less than a fifth."""
    torch.manual_seed(0)
    encoder = checkpoints.load(checkpoints.FOLDER / "encoder.safetensors")
    image, loss, network = photo[:, :, :96, :96], PerceptualLoss(encoder, painting), Johnson(width=8, blocks=1)
    optimizer, values = Muon(network.parameters(), 0.02), []
    for _ in range(60):
        content, style = loss(network(image), image)
        values.append(float((content + style).detach()))
        (content + style).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert values[-1] < 0.2 * values[0]
