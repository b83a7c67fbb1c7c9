"""Whitened coordinates for decoders in training."""

import torch

from style_transfer.networks.decoder import Decoder
from style_transfer.networks.vgg import COMPACT, VGG
from training.precondition import Preconditioned, least_squares, whitening


def test_preconditioning_folds_away():
    """In evaluation the plain decoder that comes out computes the same as the one that was trained."""
    torch.manual_seed(0)
    encoder = VGG(**COMPACT)
    for skips, level in ((False, 2), (False, 3), (True, 4)):
        decoder = Decoder(level, encoder.depths, encoder.widths, skips=skips)
        features = encoder(torch.rand(2, 3, 48, 64), decoder.layers)
        trained = Preconditioned(decoder, {n: whitening(features[n]) for n in decoder.layers}, fresh=not skips)
        with torch.no_grad():
            if skips:  # started from a decoder, it computes what that did
                assert torch.allclose(trained(features), decoder(features), atol=1e-3)
            trained(features)  # moves the statistics of batch normalisation
            trained.eval()
            expected = trained(features)
            assert float(expected.std()) > 1e-3
            assert torch.allclose(trained.fold()(features), expected, atol=1e-2 * float(expected.std()))


def test_least_squares_finds_the_map():
    features, weight = torch.randn(2, 5, 9, 9) + 3, torch.randn(3, 5)
    target = torch.einsum("kc,nchw->nkhw", weight, features) + torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    found, bias = least_squares(features, target)
    assert torch.allclose(found, weight, atol=1e-4) and torch.allclose(bias, torch.tensor([1.0, 2.0, 3.0]), atol=1e-3)


def test_whitening():
    features = torch.randn(2, 4, 30, 30) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1) + 7
    mean, matrix, inverse = whitening(features)
    flat = features.permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(torch.cov(matrix @ (flat - mean[:, None])), torch.eye(4), atol=1e-2)
    assert torch.allclose(matrix @ inverse, torch.eye(4), atol=1e-4)
