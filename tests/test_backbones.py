"""The full VGG-19 by ranges of timm's file, from a stand-in Hub that holds one of the real layout."""

import json

import pytest
import torch
from huggingface_hub import constants

from style_transfer import backbones, gatys
from style_transfer.errors import CheckpointError, HubError, InputError
from style_transfer.networks.vgg import VGG, VGG19
from tests.hub_server import Blob, Hub

CLASSIFIER = {"head.fc": (1000, 4096), "pre_logits.fc1": (4096, 512, 7, 7), "pre_logits.fc2": (4096, 4096, 1, 1)}


@pytest.fixture(scope="session")
def timm_file(tmp_path_factory):
    """timm/vgg19.tv_in1k's model.safetensors: all 19 layers in real shapes, tensors sorted by name, random convolutions.

    The classifier is a hole in the file, because nobody may ask for it.
    """
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in VGG(**VGG19).state_dict().items()}
    for name, shape in CLASSIFIER.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(shapes):
        size = 4 * torch.Size(shapes[name]).numel()
        header[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    torch.manual_seed(0)
    tensors = {}
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(shapes):
            begin = 8 + len(text) + header[name]["data_offsets"][0]
            if name.startswith("features."):
                fan_in = torch.Size(shapes[name][1:]).numel()
                tensors[name] = torch.randn(shapes[name]) * (2 / max(fan_in, 100)) ** 0.5
                file.seek(begin)
                file.write(tensors[name].numpy().tobytes())
        file.truncate(8 + len(text) + offset)
    assert 570e6 < path.stat().st_size < 580e6
    return path, tensors


@pytest.fixture
def server(timm_file, tmp_path, monkeypatch):
    server = Hub()
    server.repo("timm/vgg19.tv_in1k").commit({"model.safetensors": Blob(path=timm_file[0])})
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    yield server
    server.close()


def test_only_the_convolutions_in_use_are_fetched_and_only_once(server, timm_file, photo):
    assert not backbones.present("vgg19")
    network = backbones.load("vgg19", gatys.STYLE_LAYERS)
    assert server.sent <= 53e6
    assert network.layers[-1] == "relu5_1"
    for name, value in network.state_dict().items():
        assert torch.equal(value, timm_file[1][name]), name
    asked = len(server.requests)
    assert backbones.present("vgg19") and backbones.load("vgg19") is network and len(server.requests) == asked
    assert [p.suffix for p in backbones.folder().iterdir()] == [".safetensors"]
    *_, step = gatys.optimize(photo, [photo.flip(3)], backbone="vgg19", iterations=3, scales=1, size=64)
    assert torch.isfinite(step.image).all()


def test_a_deeper_layer_takes_all_convolutions(server, timm_file):
    network = backbones.load("vgg19", ["relu5_4"])
    assert network.layers[-1] == "relu5_4" and 80e6 < server.sent < 81e6
    asked = len(server.requests)
    assert backbones.load("vgg19", ["relu3_1"]) is network and len(server.requests) == asked


def test_a_download_goes_on_where_it_broke_off(server, timm_file):
    server.cut = [8, 10 ** 6, 7_000_000, 10 ** 7, 10 ** 7]  # the header's two ranges, then three breaks
    network = backbones.load("vgg19")
    assert not server.cut and server.sent <= 53e6
    assert all(torch.equal(value, timm_file[1][name]) for name, value in network.state_dict().items())


def test_a_killed_download_leaves_nothing_that_is_loaded_and_is_continued(server, timm_file):
    download = backbones.download("vgg19")
    done, total = next(download)
    while done < 20e6:
        done, total = next(download)
    download.close()
    assert total < 53e6 and not backbones.present("vgg19")
    sent = server.sent
    for _ in backbones.download("vgg19"):
        pass
    assert server.sent - sent < 53e6 - 19e6
    assert torch.equal(backbones.load("vgg19").state_dict()["features.28.weight"], timm_file[1]["features.28.weight"])


@pytest.mark.parametrize("fault, words", [("html", "not the Hub"), ("whole", "not the Hub"), ("corrupt", "proxy"),
                                          ("fail", "HTTP 500"), ("dead", "does not answer")])
def test_faults_are_one_sentence_and_leave_no_network(server, fault, words, monkeypatch):
    if fault == "dead":
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    else:
        setattr(server, fault, 1000)
    with pytest.raises(HubError, match=words) as caught:
        backbones.load("vgg19")
    assert "\n" not in str(caught.value) and not backbones.present("vgg19")


def test_a_connection_that_always_breaks(server):
    server.cut = [8, 10 ** 6] + [0] * 20
    with pytest.raises(HubError, match="broke"):
        backbones.load("vgg19")


def test_a_damaged_cache_is_removed_and_fetched_anew(server):
    backbones.load("vgg19")
    path = next(backbones.folder().iterdir())
    with open(path, "r+b") as file:
        file.seek(10_000_000)
        file.write(b"damage")
    with pytest.raises(CheckpointError, match="damaged"):
        backbones.load("vgg19")
    assert not path.exists()
    assert backbones.load("vgg19").layers[-1] == "relu5_1"


def test_torchvisions_own_download_is_used(server, tmp_path):
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    state = VGG(**VGG19).state_dict()
    torch.save(state | {"classifier.0.weight": torch.zeros(3)}, folder / backbones.TORCHVISION["vgg19"])
    network = backbones.load("vgg19")
    assert torch.equal(network.state_dict()["features.34.bias"], state["features.34.bias"]) and not server.requests
    (folder / backbones.TORCHVISION["vgg19"]).write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match="vgg19-dcbb9e9d.pth"):
        backbones.load("vgg19")


@pytest.mark.parametrize("name", ["compact", "vgg19"])
def test_each_device_has_a_network_of_its_own_and_none_is_moved(name, server):
    """The meta device stands for another device: what is there has no values, and moving from it is impossible."""
    here = backbones.load(name)
    there = backbones.load(name, device="meta")
    assert {p.device.type for p in there.parameters()} == {"meta"} and {p.device.type for p in here.parameters()} == {"cpu"}
    assert backbones.load(name) is here and backbones.load(name, device=torch.device("meta")) is there


def test_an_unknown_backbone():
    with pytest.raises(InputError, match="compact, vgg19, vgg16"):
        backbones.load("resnet")
