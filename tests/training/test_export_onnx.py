"""The networks that a browser runs: written as ONNX, they paint what PyTorch paints, and belong to the weights beside them."""

import pytest
import torch

from style_transfer import checkpoints, fixed, images, weights
from style_transfer.networks.blocks import reflection_pad
from style_transfer.networks.johnson import Johnson

onnx = pytest.importorskip("onnx", reason="onnx writes the networks: pip install onnx")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs them: pip install onnxruntime")
from training import export_onnx, slim  # noqa: E402

SHIPPED = sorted(slim.FOLDER.glob("*.onnx"))
LARGEST = 10_000_000  # bytes; above it, repositories want large file storage


def run(model, picture):
    session = runtime.InferenceSession(str(model) if hasattr(model, "exists") else model.SerializeToString())
    return torch.from_numpy(session.run(None, {"picture": picture.numpy()})[0])


@pytest.fixture(scope="module")
def picture(photo):
    return images.resize(photo, (96, 128))


def test_every_shipped_johnson_network_has_its_file():
    assert [path.stem for path in SHIPPED] == [s.entry.name for s in weights.installed("johnson")[0]]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_of_the_weights_beside_them(path, picture):
    stored = {item.key: item.value for item in onnx.load(path).metadata_props}
    source = path.with_suffix(".safetensors")
    assert stored["sha256"] == checkpoints.sha256(source), "run python -m training.export_onnx"
    assert stored["title"] == checkpoints.describe(source)["title"]
    assert path.stat().st_size < LARGEST
    painting, slim_one, own = run(path, picture), *(fixed.outputs(picture, x, device="cpu")[-1] for x in (source, path.stem))
    assert (painting - slim_one).abs().mean() < 2 / 255
    assert (painting - own).abs().mean() < (picture - own).abs().mean() / 2  # it has learnt the style


@pytest.mark.parametrize("width, blocks, sides", [(8, 2, (48, 64)), (4, 1, (64, 32)), (16, 3, (112, 80))])
def test_any_network_of_full_rank_is_painted_exactly(width, blocks, sides, monkeypatch, tmp_path):
    monkeypatch.setattr(export_onnx, "RANK", 27)
    torch.manual_seed(width)
    network = Johnson(width, blocks).eval()
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.InstanceNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    torch.nn.init.constant_(network.last.bias, 0.5)
    checkpoints.save(tmp_path / "random.safetensors", network)
    picture = torch.rand(1, 3, *sides)
    with torch.no_grad():  # in float32, as `fixed.outputs` may not compute
        expected = checkpoints.load(tmp_path / "random.safetensors")(reflection_pad(picture, fixed.MARGIN)).clamp(0, 1)
    expected = expected[:, :, fixed.MARGIN:-fixed.MARGIN, fixed.MARGIN:-fixed.MARGIN]
    assert expected.std() > 0.05
    made = run(export_onnx.export(tmp_path / "random.safetensors", tmp_path), picture)
    assert made.shape == expected.shape
    assert (made - expected).abs().max() < 1 / 255  # the first layer's two factors are rounded to half precision


@pytest.mark.parametrize("name, words", [("emaki", "Only Johnson's networks"), ("no-such-style", "There are no weights")])
def test_what_cannot_be_written_is_said(name, words, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["export_onnx", name, "-o", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        export_onnx.main()
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
