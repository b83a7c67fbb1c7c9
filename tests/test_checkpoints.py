"""Weight files: what is written comes back, and every kind of damage is one clear sentence."""

import gc
import json
import os
import random
import resource
import shutil
import time
import weakref
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from style_transfer import checkpoints, weights
from style_transfer.errors import CheckpointError, InputError
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
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


@pytest.mark.parametrize("file", sorted((Path(__file__).parent / "data").glob("*.safetensors")), ids=lambda p: p.stem)
def test_files_of_every_format_so_far_still_load(file):
    network = checkpoints.load(file)
    assert torch.allclose(network.features["0"].bias, torch.arange(2) / 8)
    assert checkpoints.entry(file).family == "encoder"


def test_shipped_weights_are_small_and_complete():
    files = sorted(checkpoints.FOLDER.glob("*.safetensors"))
    assert {f.stem for f in files} >= {"encoder", "adain-decoder", "wct-decoder", *(f"wct-decoder-{n}" for n in range(1, 6))}
    assert sum(f.stat().st_size for f in files) < 40e6
    encoder, decoders = weights.decoders([f.stem for f in files if "decoder" in f.stem])
    assert encoder is checkpoints.shared(checkpoints.FOLDER / "encoder.safetensors")
    assert [d.level for d in decoders] == [4, 1, 2, 3, 4, 5, 5]


HOSTILE = {
    "wide": ("johnson", {"width": 600}),
    "deep": ("johnson", {"blocks": 2000}),
    "endless": ("johnson", {"blocks": 10 ** 9}),
    "beyond": ("johnson", {"width": 10 ** 30}),
    "negative": ("johnson", {"width": -4}),
    "nothing": ("johnson", {"width": 0}),
    "text": ("johnson", {"width": "32"}),
    "fraction": ("johnson", {"width": 2.5}),
    "nan": ("johnson", {"width": float("nan")}),
    "infinite": ("johnson", {"blocks": float("inf")}),
    "null": ("johnson", {"width": None}),
    "object": ("johnson", {"width": {"a": 1}}),
    "unknown": ("johnson", {"colour": 3}),
    "no-widths": ("multimodal", {"widths": []}),
    "two-widths": ("multimodal", {"widths": [2, 2]}),
    "wide-list": ("multimodal", {"widths": [4000] * 3}),
    "number": ("multimodal", {"widths": 7}),
    "word": ("multimodal", {"widths": "abc"}),
    "empty-vgg": ("vgg", {"depths": [], "widths": []}),
    "long-vgg": ("vgg", {"depths": [60] * 5000, "widths": [1] * 5000}),
    "nested": ("vgg", {"depths": [[1]], "widths": [[2]]}),
    "level": ("decoder", {"level": 9, "depths": [1], "widths": [2]}),
    "level-minus": ("decoder", {"level": -1, "depths": [1], "widths": [2]}),
    "list": ("vgg", [1, 2]),
    "just-null": ("vgg", None),
}


@pytest.mark.parametrize("architecture, arguments", HOSTILE.values(), ids=HOSTILE)
def test_a_header_that_asks_for_another_network_costs_neither_time_nor_memory(tmp_path, architecture, arguments):
    path = tmp_path / "hostile.safetensors"
    save_file({"x": torch.zeros(2)}, path, {"format": checkpoints.FORMAT, "architecture": architecture,
                                           "arguments": json.dumps(arguments)})
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    sentence(path)
    assert time.monotonic() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


@pytest.mark.parametrize("arguments", ["", "{", "[" * 100_000, '{"depths":' * 100_000, "1" * 100_000, "[1] [2]",
                                       '{"depths": [' + "1," * 10 ** 6 + '1], "widths": [2]}'], ids=range(7))
def test_arguments_that_are_no_json_object(tmp_path, arguments):
    path = tmp_path / "hostile.safetensors"
    save_file({"x": torch.zeros(2)}, path, {"format": checkpoints.FORMAT, "architecture": "vgg", "arguments": arguments})
    start = time.monotonic()
    assert len(sentence(path)) < 1000
    assert time.monotonic() - start < 0.5


def test_a_header_without_arguments_or_of_another_kind_of_numbers(tmp_path, file):
    path = tmp_path / "x.safetensors"
    save_file({"x": torch.zeros(2)}, path, {"format": checkpoints.FORMAT, "architecture": "vgg"})
    sentence(path)
    rewrite(file, {k: v.int() for k, v in load_file(file).items()})
    assert "numbers" in sentence(file)


def raw(path, header, data=b""):
    """A safetensors file with this text as header."""
    header = header if isinstance(header, bytes) else header.encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


ENTRY = '"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
META = '"__metadata__":{"format":"style-transfer-1","architecture":"vgg","arguments":"{}"}'


@pytest.mark.parametrize("header", [
    "", "no json", "[]", "null", "{", "{" + ENTRY + "," + ENTRY + "," + META + "}", "{" + ENTRY + "," + META + "," + META + "}",
    "{" + ENTRY + ',"__metadata__":[1]}', "{" + ENTRY + ',"__metadata__":{"format":5}}', b"\xff\xfe\x00", "[" * 100_000,
    '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,400]},' + META + "}",
    '{"x":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,4]},' + META + "}",
    '{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]},' + META + "}",
    '{"x":{"dtype":"Z9","shape":[1],"data_offsets":[0,4]},' + META + "}", "{" + META + "}"], ids=range(16))
def test_headers_that_are_none(tmp_path, header):
    sentence(raw(tmp_path / "x.safetensors", header, bytes(4)))
    sentence(raw(tmp_path / "y.safetensors", header))


def test_a_length_that_no_file_has(tmp_path):
    path = tmp_path / "x.safetensors"
    for length in (2 ** 63, 2 ** 64 - 1, 10 ** 8):
        path.write_bytes(length.to_bytes(8, "little") + b"{}")
        sentence(path)


def test_mutated_files_are_loaded_rightly_or_refused_with_a_sentence(tmp_path):
    path = tmp_path / "tiny.safetensors"
    checkpoints.save(path, VGG((1,), (2,)))
    good, right = path.read_bytes(), checkpoints.load(path).state_dict()
    chance = random.Random(0)
    for _ in range(400):
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 8))):
            place = chance.randrange(len(data))
            kind = chance.randrange(3)
            if kind == 0:
                data[place] = chance.randrange(256)
            elif kind == 1:
                del data[place:place + chance.randrange(1, 9)]
            else:
                data[place:place] = data[:chance.randrange(1, 9)]
        path.write_bytes(data)
        try:
            network = checkpoints.load(path)
        except CheckpointError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
        else:
            assert {k: v.shape for k, v in network.state_dict().items()} == {k: v.shape for k, v in right.items()}


def test_what_is_no_regular_file(tmp_path, file):
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "dangling.safetensors").symlink_to(tmp_path / "gone")
    start = time.monotonic()
    for name in ("folder", "pipe", "dangling"):
        sentence(tmp_path / f"{name}.safetensors")
        for work in (checkpoints.sha256, checkpoints.describe, checkpoints.entry, checkpoints.shared, checkpoints.read_index):
            with pytest.raises(CheckpointError, match=name):
                work(tmp_path / f"{name}.safetensors")
    for path in ("/dev/zero", "x\0y.safetensors", "x" * 5000):
        with pytest.raises(CheckpointError):
            checkpoints.load(path)
    assert time.monotonic() - start < 2


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_that_may_not_be_read(file):
    file.chmod(0)
    os.seteuid(65534)
    try:
        with pytest.raises(CheckpointError, match="ermission"):
            checkpoints.load(file)
        with pytest.raises(CheckpointError, match="ermission"):
            checkpoints.sha256(file)
    finally:
        os.seteuid(0)


def test_a_name_is_the_files_stem_whatever_the_header_says(tmp_path):
    checkpoints.save(tmp_path / "mosaic.safetensors", VGG((1,), (2,)), name="Mosaic 2")
    assert checkpoints.entry(tmp_path / "mosaic.safetensors").name == "mosaic"
    item = checkpoints.write_index(tmp_path)[0]._asdict()
    (tmp_path / "index.json").write_text(json.dumps({"weights": [item | {"name": "Mosaic 2"}]}))
    assert checkpoints.read_index(tmp_path / "index.json")[0].name == "mosaic"


def test_only_one_version_of_a_file_is_kept(tmp_path):
    path, seen = tmp_path / "x.safetensors", []
    for width in range(2, 60):
        checkpoints.save(path, Johnson(width=2, blocks=1) if width % 2 else VGG((1,), (width,)))
        network = checkpoints.shared(path)
        assert checkpoints.shared(str(path)) is network and all(network is not old() for old in seen)
        seen.append(weakref.ref(network))
    del network
    gc.collect()
    assert sum(old() is not None for old in seen) == 1


def test_the_cache_is_bounded(tmp_path):
    seen = []
    for number in range(80):
        checkpoints.save(tmp_path / f"{number}.safetensors", VGG((1,), (2,)))
        seen.append(weakref.ref(checkpoints.shared(tmp_path / f"{number}.safetensors")))
    gc.collect()
    assert sum(old() is not None for old in seen) <= 40


def test_a_click_neither_hashes_nor_reads_a_header_again(file, monkeypatch):
    opened = []
    monkeypatch.setattr(checkpoints, "safe_open", lambda *a, **k: opened.append(a) or safe_open(*a, **k))
    monkeypatch.setattr(checkpoints.hashlib, "sha256", lambda *a: pytest.fail("hashed"))
    for _ in range(3):
        assert checkpoints.describe(file)["name"] == "encoder"
        checkpoints.entry(file)
    assert len(opened) == 1
    checkpoints.describe(file)["name"] = "changed by who read it"
    assert checkpoints.describe(file)["name"] == "encoder"
    shutil.copy(file, file.with_name("copy"))
    os.replace(file.with_name("copy"), file)
    checkpoints.describe(file)
    assert len(opened) == 2


def deep(depth):
    return "[" * depth + "]" * depth


GOOD = dict(name="x", title="x", family="adain", file="x.safetensors", sha256="0" * 64, size=1)


@pytest.mark.parametrize("field", GOOD)
@pytest.mark.parametrize("value", [5, None, [], ["x.safetensors"], {}, "../x.safetensors", "a\nb", True, float("nan")], ids=str)
def test_an_index_with_a_field_of_another_kind(tmp_path, field, value):
    (tmp_path / "index.json").write_text(json.dumps({"weights": [GOOD | {field: value}]}))
    try:
        item = checkpoints.read_index(tmp_path / "index.json")[0]
    except CheckpointError as error:
        assert "\n" not in str(error) and "index.json" in str(error)
    else:
        assert field == "name" or isinstance(value, int if field == "size" else str)
        assert (item.file, item.name) == ("x.safetensors", "x")


@pytest.mark.parametrize("text", [deep(1000), deep(100_000), '{"weights": ' + deep(5000) + "}", '{"weights": {}}', "5", "null",
                                  '{"weights": [5]}', '{"weights": [{}]}', '{"weights": "ab"}', "1" * 10_000, "\x00",
                                  b"\xff\xfe", '{"weights": [' + "{}, " * 10 ** 7 + "{}]}"], ids=range(13))
def test_an_index_that_is_none(tmp_path, text):
    path = tmp_path / "index.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    start = time.monotonic()
    with pytest.raises(CheckpointError, match="index.json") as caught:
        checkpoints.read_index(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500 and time.monotonic() - start < 0.5


def test_index_and_verify_of_a_folder_that_is_none_make_nothing(tmp_path, file):
    for folder in (tmp_path / "nonono", file):
        for work in (checkpoints.write_index, checkpoints.verify):
            with pytest.raises((CheckpointError, InputError), match=folder.name):
                work(folder)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_verify_of_a_folder_with_other_things_in_it(tmp_path, file):
    checkpoints.write_index(tmp_path)
    file.unlink()
    os.mkfifo(file)
    (tmp_path / "folder.safetensors").mkdir()
    found = dict(checkpoints.verify(tmp_path))
    assert all(found.values()) and set(found) == {"encoder.safetensors", "folder.safetensors"}


def test_verify_finds_an_encoder_that_is_not_what_its_header_names(tmp_path, file):
    rewrite(file, fingerprint="0" * 16)
    checkpoints.write_index(tmp_path)
    assert "fingerprint" in checkpoints.verify(tmp_path)[0][1]


def test_what_is_kept_serves_gradients_whoever_asked_first(tmp_path):
    checkpoints.save(tmp_path / "a.safetensors", Johnson(width=2, blocks=1))
    with torch.inference_mode():
        network = checkpoints.shared(tmp_path / "a.safetensors")
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    network(image).sum().backward()
    assert image.grad.abs().sum() > 0
