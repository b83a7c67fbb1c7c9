"""The app as people meet it: app.py in a process of its own, and a client to talk to it."""

import pytest
import torch
from gradio_client import Client

from style_transfer import checkpoints
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.vgg import COMPACT, VGG
from tests.app.app_server import running

NEEDED = ("encoder", "adain-decoder", "wct-decoder", *(f"wct-decoder-{level}" for level in range(1, 6)))


def randomize(network):
    """Random weights that carry a signal from end to end, as PyTorch's own do not."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.uniform_(module.bias, 0, 0.2)
    return network


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """The shipped weights, or random ones of their architecture where they are incomplete."""
    if all((checkpoints.FOLDER / f"{name}.safetensors").exists() for name in NEEDED):
        return checkpoints.FOLDER
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    checkpoints.save(folder / "encoder.safetensors", randomize(VGG(**COMPACT)))
    encoder = checkpoints.load(folder / "encoder.safetensors")
    for name in NEEDED[1:]:
        adain = name == "adain-decoder"
        decoder = Decoder(4 if adain else int(name[-1]), encoder.depths, encoder.widths, skips=adain)
        checkpoints.save(folder / f"{name}.safetensors", randomize(decoder), encoder=checkpoints.fingerprint(encoder))
    return folder


@pytest.fixture(scope="session")
def server(weights, tmp_path_factory):
    with running(weights, tmp_path_factory.mktemp("app")) as server:
        yield server


@pytest.fixture
def client(server, tmp_path):
    return Client(server.url, verbose=False, download_files=tmp_path)
