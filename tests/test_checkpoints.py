"""Weight files: what is written comes back, and every kind of damage is one clear sentence."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from style_transfer import checkpoints
from style_transfer.errors import CheckpointError
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.vgg import COMPACT, VGG


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "encoder.safetensors"
    checkpoints.save(path, VGG(**COMPACT), name="encoder", losses={"relu1_1": 0.5})
    return path


def rewrite(path, tensors=None, **changes):
    with safe_open(path, "pt") as opened:
        header = opened.metadata()
    save_file(tensors or load_file(path), path, header | changes)


def test_round_trip(tmp_path):
    network = Decoder(3, COMPACT["depths"], COMPACT["widths"], skips=True)
    checkpoints.save(tmp_path / "d.safetensors", network, name="d", losses={"x": 0.5})
    loaded = checkpoints.load(tmp_path / "d.safetensors")
    assert loaded.level == 3 and loaded.skips
    for name, value in network.state_dict().items():
        assert torch.allclose(value, loaded.state_dict()[name], atol=1e-3)
        assert loaded.state_dict()[name].dtype == torch.float32
    assert not any(p.requires_grad for p in loaded.parameters())
    assert json.loads(checkpoints.describe(tmp_path / "d.safetensors")["losses"]) == {"x": 0.5}
    assert [p.name for p in tmp_path.iterdir()] == ["d.safetensors"]


def test_fingerprint_survives_the_file_and_tells_networks_apart(file):
    network = checkpoints.load(file)
    assert checkpoints.fingerprint(network) == checkpoints.fingerprint(checkpoints.load(file))
    assert checkpoints.fingerprint(network) != checkpoints.fingerprint(VGG(**COMPACT))


def sentence(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path)
    text = str(caught.value)
    assert path.name in text and "\n" not in text
    return text


def test_missing_file(tmp_path):
    assert "missing" in sentence(tmp_path / "none.safetensors")


@pytest.mark.parametrize("length", [0, 5, 100, 5000])
def test_truncated_file(file, length):
    file.write_bytes(file.read_bytes()[:length])
    assert "damaged" in sentence(file)


def test_other_format_version_and_architecture(file):
    rewrite(file, format="style-transfer-99")
    assert "style-transfer-99" in sentence(file)
    rewrite(file, format=checkpoints.FORMAT, architecture="transformer")
    assert "transformer" in sentence(file)


def test_missing_unexpected_and_misshapen_tensors(file):
    tensors = load_file(file)
    without = {k: v for k, v in tensors.items() if k != "features.0.weight"}
    rewrite(file, without)
    assert "features.0.weight" in sentence(file)
    rewrite(file, tensors | {"extra": torch.zeros(1)})
    assert "extra" in sentence(file)
    rewrite(file, tensors | {"features.0.weight": torch.zeros(16, 3, 5, 5)})
    assert "features.0.weight" in sentence(file)


def test_weights_that_are_not_finite(file):
    tensors = load_file(file)
    tensors["features.0.bias"][3] = float("nan")
    rewrite(file, tensors)
    assert "not finite" in sentence(file)


def test_a_decoder_of_another_encoder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    checkpoints.save(tmp_path / "encoder.safetensors", VGG(**COMPACT))
    encoder = checkpoints.shipped("encoder")
    decoder = Decoder(1, COMPACT["depths"], COMPACT["widths"])
    checkpoints.save(tmp_path / "good.safetensors", decoder, encoder=checkpoints.fingerprint(encoder))
    checkpoints.save(tmp_path / "bad.safetensors", decoder, encoder="0" * 16)
    assert checkpoints.decoder("good", encoder).level == 1
    with pytest.raises(CheckpointError, match="same release"):
        checkpoints.decoder("bad", encoder)


@pytest.mark.parametrize("file", sorted((Path(__file__).parent / "data").glob("*.safetensors")), ids=lambda p: p.stem)
def test_files_of_every_format_so_far_still_load(file):
    network = checkpoints.load(file)
    assert torch.allclose(network.features["0"].bias, torch.arange(2) / 8)
    assert checkpoints.entry(file).family == "encoder"


def test_shipped_weights_are_small_and_complete():
    files = sorted(checkpoints.FOLDER.glob("*.safetensors"))
    assert {f.stem for f in files} >= {"encoder", "adain-decoder", *(f"wct-decoder-{n}" for n in range(1, 6))}
    assert sum(f.stat().st_size for f in files) < 40e6
    encoder = checkpoints.shipped("encoder")
    for file in files:
        if "decoder" in file.stem:
            checkpoints.decoder(file.stem, encoder)
