"""Where the time of the app's call goes."""

import cProfile
import time

import pytest
import torch

from benchmarks import app
from style_transfer import transforms


def test_shares_of_a_real_call_add_up():
    seconds, parts = app.measure(size=64, calls=1)
    assert seconds > 0 and sum(parts.values()) == pytest.approx(1)
    assert all(0 < part < 1 for name, part in parts.items() if name != "decoding"), parts
    assert parts["decoding"] < 0.05  # the same files again: nothing is decoded


def test_a_network_in_a_network_counts_once():
    class Slow(torch.nn.Module):
        def forward(self, x):
            time.sleep(0.05)
            return x

    network, profile = torch.nn.Sequential(Slow(), torch.nn.Sequential(Slow())), cProfile.Profile()
    start = time.perf_counter()
    profile.enable()
    network(torch.zeros(1))
    time.sleep(0.1)
    profile.disable()
    parts = app.shares(profile, time.perf_counter() - start)
    assert parts["networks"] == pytest.approx(0.5, abs=0.2) and parts["rest"] == pytest.approx(0.5, abs=0.2)


def test_transforms_count_once_though_they_call_each_other():
    features, profile = torch.rand(1, 256, 128, 128), cProfile.Profile()
    start = time.perf_counter()
    profile.enable()
    for _ in range(3):
        transforms.apply(transforms.wct(transforms.statistics(features), transforms.statistics(features)), features)
    profile.disable()
    assert 0.8 < app.shares(profile, time.perf_counter() - start)["transforms"] <= 1.001
