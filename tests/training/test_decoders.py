"""What the decoders' training is made of."""

import random

import torch

from style_transfer.networks.vgg import COMPACT, VGG
from training.decoders import first_decoder, transformed
from training.distill import PICTURE_GAIN, carry_picture
from training.losses import psnr


def test_the_first_decoder_inverts_an_encoder_that_carries_the_picture():
    torch.manual_seed(0)
    encoder = VGG(**COMPACT)
    image = torch.rand(4, 3, 32, 32)
    poor = psnr(first_decoder(encoder, image)(encoder(image, ["relu1_1"])), image)
    carry_picture(encoder)
    assert torch.allclose(encoder(image, ["relu1_1"])["relu1_1"][:, :3], PICTURE_GAIN * image, atol=1e-3)
    assert psnr(first_decoder(encoder, image)(encoder(image, ["relu1_1"])), image) > max(60, poor)
    encoder(image, ["relu2_1"])["relu2_1"].sum().backward()  # and training leaves it so
    assert not encoder.features["0"].weight.grad[:3].any() and encoder.features["0"].weight.grad[3:].any()


def test_transformed_features_have_the_styles_covariance_at_full_strength():
    class Full(random.Random):
        def uniform(self, a, b):
            return b

    f, s = torch.randn(1, 4, 20, 20), torch.randn(1, 4, 16, 16) * 3 + 1
    covariance = torch.cov(transformed(f, s, Full())[0].flatten(1))
    assert torch.allclose(covariance, torch.cov(s[0].flatten(1)), atol=0.05)
