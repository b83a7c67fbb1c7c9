"""The app as people meet it: app.py in a process of its own, and a client to talk to it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from gradio_client import Client

from style_transfer import checkpoints
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.vgg import COMPACT, VGG

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("encoder", "adain-decoder", *(f"wct-decoder-{level}" for level in range(1, 6)))


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


class Server:
    """A running app: its address, its log, and the folder of its temporary files."""

    def __init__(self, url, log, temp):
        self.url, self.log, self.temp = url, log, temp

    def jobs(self):
        """Folders of jobs at work: each has one, removed when the job ends."""
        return list(self.temp.glob("style-transfer-*"))


@pytest.fixture(scope="session")
def server(weights, tmp_path_factory):
    temp = tmp_path_factory.mktemp("app")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(temp),
                        "GRADIO_ANALYTICS_ENABLED": "False", "STYLE_TRANSFER_CHECKPOINTS": str(weights)}
    log = temp / "log.txt"
    with open(log, "w") as out:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail(f"The app did not start:\n{log.read_text()}")
        yield Server(url, log, temp)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def client(server, tmp_path):
    return Client(server.url, verbose=False, download_files=tmp_path)
