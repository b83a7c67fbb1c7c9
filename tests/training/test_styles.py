"""What the trainings of fixed styles share."""

import random

import torch

from training import styles


def test_shifted_pictures_lie_on_each_other_and_anywhere_on_the_lattice():
    places = torch.stack(torch.meshgrid(torch.arange(20.0), torch.arange(24.0), torch.zeros(1), indexing="ij")[:2], 0)
    picture, rng, corners = places[None, ..., 0], random.Random(0), set()
    for _ in range(200):
        one, two = styles.shifted([picture, picture + 100], 4, rng)
        assert one.shape == (1, 2, 16, 20) and torch.equal(one + 100, two)
        corners.add(tuple(one[0, :, 0, 0].int().tolist()))
    assert corners == {(top, left) for top in range(5) for left in range(5)}
