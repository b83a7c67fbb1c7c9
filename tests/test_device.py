"""Devices and precision: what is refused, what is fixed, and that nothing which others hold is moved."""

import os
import subprocess
import sys

import pytest
import torch

from style_transfer import arbitrary, device
from style_transfer.errors import InputError, StyleTransferError


@pytest.fixture(autouse=True)
def undecided(monkeypatch):
    monkeypatch.setattr(device, "_chosen", None)
    monkeypatch.delenv("STYLE_TRANSFER_PRECISION", raising=False)


@pytest.mark.parametrize("name", ["foo", "", "cuda:99", "cpu:x", "meta", "mps:7", 3.5, [], "xla"])
def test_a_device_that_is_not_here(name):
    if str(name).startswith("mps") and torch.backends.mps.is_available():
        pytest.skip("it is")
    with pytest.raises(InputError, match="There is no device"):
        device.pick(name)


def test_the_best_device_is_one_of_those_that_are_here():
    assert device.pick() == device.pick("auto") == device.pick(device.pick())
    assert device.pick("cpu") == torch.device("cpu")


def test_the_variable_and_the_call_fix_the_precision(monkeypatch, photo, painting):
    monkeypatch.setenv("STYLE_TRANSFER_PRECISION", "float32")
    assert device.precision("cpu") == torch.float32
    single = arbitrary.stylize(photo, [painting])
    device.use_precision("bfloat16")
    assert device.precision("cpu") == torch.bfloat16
    half = arbitrary.stylize(photo, [painting])
    device.use_precision("float32")
    assert torch.equal(arbitrary.stylize(photo, [painting]), single) and not torch.equal(half, single)
    monkeypatch.setattr(device, "_chosen", None)
    monkeypatch.setenv("STYLE_TRANSFER_PRECISION", "float16")
    with pytest.raises(InputError, match="auto, float32, bfloat16"):
        device.precision("cpu")


def test_no_stopwatch_decides(monkeypatch):
    """A processor without matrix instructions for bfloat16 runs in float32, however busy it is."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert device.precision("cpu") == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert device.precision("cpu") == torch.bfloat16
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert device.precision("cpu") == torch.float32


@pytest.mark.parametrize("shape", [(10 ** 14,), (10 ** 6, 10 ** 7)])
def test_too_little_memory_is_a_sentence(shape):
    class Hungry(torch.nn.Module):
        def forward(self, x):
            return torch.empty(shape)

    with pytest.raises(StyleTransferError, match="smaller size"):
        device.run(Hungry(), torch.zeros(1))


def test_other_failures_of_a_network_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shape"):
        device.run(torch.nn.LayerNorm(5), torch.zeros(4))


def test_placing_copies_what_lies_elsewhere():
    network = torch.nn.Conv2d(3, 3, 1)
    assert device.place(network, torch.device("cpu")) is network
    assert next(device.place(network, torch.device("meta")).parameters()).is_meta
    assert next(network.parameters()).device == torch.device("cpu")


def test_threads_do_not_wait_awake_for_long():
    """Which is read when PyTorch's threads are made, and by no one afterwards."""
    watch = """
import os, sys
class Watch:
    def find_spec(self, name, *rest):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Watch())
import style_transfer
"""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    for own, expected in ({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"):
        done = subprocess.run([sys.executable, "-c", watch], env=environment | own, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected]
