"""The yardstick: its formulas against plain NumPy, its files and names, and another implementation where that is at hand."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import style_transfer as st
from benchmarks import quality
from style_transfer.errors import CheckpointError, InputError
from style_transfer.networks.vgg import COMPACT, VGG, VGG19

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
FILES = {"vgg19": SHARED / "teachers/vgg19_oxford_to_relu3_4.safetensors",
         "compact": SHARED / "teachers/collaborative_distillation_encoder5.safetensors"}
TOOL = SHARED / "tools/quality.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights laid out as Oxford's VGG-19 to relu3_4, and as Collaborative Distillation's encoder 5."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    oxford = VGG((2, 2, 4), VGG19["widths"][:3])
    save_file({k: v.contiguous() for k, v in oxford.state_dict().items()}, folder / "vgg.safetensors")
    compact = VGG(**COMPACT)
    state = {f"conv{name[4]}{name[6]}.{kind}": getattr(compact.features[index], kind).contiguous()
             for index, name in compact.plan if name != "pool" for kind in ("weight", "bias")}
    state |= {"conv0.weight": torch.randn(3, 3, 1, 1), "conv0.bias": torch.randn(3)}
    save_file(state, folder / "encoder5.safetensors")
    return folder


@pytest.fixture(scope="module")
def extractor(weights):
    return quality.Extractor(weights / "vgg.safetensors", weights / "encoder5.safetensors")


@pytest.fixture
def small(monkeypatch):
    """Everything at 128 px: the formulas are the same, and it is quick."""
    monkeypatch.setattr(quality, "SIZE", 128)


@pytest.fixture
def folders(tmp_path, photo, painting, painting_2):
    """contents/, styles/ and outputs/ with the photograph itself, the painting itself, and both mixed."""
    for name in ("contents", "styles", "outputs", "blends"):
        (tmp_path / name).mkdir()
    st.save(photo, tmp_path / "contents" / "photo.png")
    st.save(painting, tmp_path / "styles" / "one.png")
    st.save(painting_2, tmp_path / "styles" / "two.png")
    st.save(photo, tmp_path / "outputs" / "photo__one.png")
    st.save((photo + st.images.resize(painting_2, photo.shape[2:])) / 2, tmp_path / "outputs" / "photo__two.png")
    st.save(photo, tmp_path / "blends" / "photo__one+two.png")
    return tmp_path


def measure(folders, extractor, *outputs):
    return quality.measure([folders / name for name in outputs], folders / "contents", folders / "styles", extractor,
                           progress=lambda text: None)


def by_hand(output, content, style):
    """(style, gram, content) in float64 from features {layer: [C, M]} of NumPy."""
    def moments(f):
        return np.concatenate([f.mean(1), f.std(1, ddof=1)])

    def normal(f):
        return (f - f.mean(1, keepdims=True)) / (f.std(1, ddof=1, keepdims=True) + 1e-5)

    def gram(f):
        return f @ f.T / f.shape[1]

    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    return tuple(np.mean(x) for x in (
        [((f(output[n]) - f(style[n])) ** 2).sum() / (f(style[n]) ** 2).sum() for n in layers] for f in (moments, gram))) + (
        np.mean([((normal(output[n]) - normal(content[n])) ** 2).mean() for n in ("relu3_4", "relu4_1")]),)


def structure_by_hand(output, content):
    """CFSD in float64 from relu3_1 [C, M], row by row."""
    def similarities(f):
        rows = np.exp(f.T @ f / (content["relu3_1"] ** 2).sum(0).mean())
        return rows / rows.sum(1, keepdims=True)

    p, q = similarities(content["relu3_1"]), similarities(output["relu3_1"])
    return np.mean([sum(a * np.log(a / b)) for a, b in zip(p, q)])


def test_formulas(folders, extractor, small):
    def features(path, size=None):
        return {n: f[0].flatten(1).double().numpy() for n, f in extractor(quality.picture(path, size)).items()}

    content = folders / "contents" / "photo.png"
    size = quality.picture(content).shape[2:]
    rows = measure(folders, extractor, "outputs")["outputs"]
    assert [row["pair"] for row in rows] == ["photo__one", "photo__two"]
    for row in rows:
        expected = by_hand(features(folders / "outputs" / f"{row['pair']}.png", size), features(content),
                           features(folders / "styles" / f"{row['pair'].split('__')[1]}.png"))
        assert [row[name] for name in ("style", "gram", "content")] == pytest.approx(expected, rel=1e-3, abs=1e-6)
        expected = structure_by_hand(features(folders / "outputs" / f"{row['pair']}.png", size), features(content))
        assert row["cfsd"] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_structure_is_what_looks_alike_where(monkeypatch):
    """Other features at the same places are another style; the same features at other places are another picture."""
    generator = torch.Generator().manual_seed(0)
    content = torch.rand(1, 8, 9, 12, generator=generator)
    turned = torch.einsum("ij,njhw->nihw", torch.linalg.qr(torch.randn(8, 8, generator=generator))[0], content)
    distance = quality.structural_distance(content.flip(3), content)
    assert quality.structural_distance(turned, content) == pytest.approx(0, abs=1e-6) and distance > 1e-3
    assert quality.structural_distance(9 * content.flip(3), 9 * content) == pytest.approx(distance, rel=1e-4)
    mixed = [quality.structural_distance(torch.lerp(content, content.flip(3), share), content) for share in (0.1, 0.3, 0.5)]
    assert 0 < mixed[0] < mixed[1] < mixed[2]
    twice = torch.cat((content, content), 2)  # a larger picture of the same is at the same distance, but for its own rows
    assert quality.structural_distance(twice.flip(3), twice) == pytest.approx(distance, rel=1e-4)
    monkeypatch.setattr(quality, "PLACES", 54)  # of 108
    turn = content.flatten(2).roll(-1, 2).view_as(content), content.flip(3).flatten(2).roll(-1, 2).view_as(content)
    halves = quality.structural_distance(content.flip(3), content), quality.structural_distance(turn[1], turn[0])
    assert sum(halves) / 2 == pytest.approx(distance, rel=1e-6) and halves[0] != halves[1]


def test_what_is_the_photograph_or_the_painting_is_at_no_distance(folders, extractor, small, painting):
    st.save(painting, folders / "contents" / "itself.png")
    (folders / "same").mkdir()
    st.save(painting, folders / "same" / "itself__one.png")
    mean = quality.mean(measure(folders, extractor, "same")["same"])
    assert mean == pytest.approx(dict(style=0, gram=0, content=0, cfsd=0), abs=1e-6)
    assert measure(folders, extractor, "outputs")["outputs"][0]["content"] == pytest.approx(0, abs=1e-6)


def test_a_blend_has_the_mean_of_its_distances(folders, extractor, small, photo):
    (folders / "each").mkdir()
    for name in ("one", "two"):
        st.save(photo, folders / "each" / f"photo__{name}.png")
    results = measure(folders, extractor, "blends", "each")
    assert results["blends"][0] == pytest.approx({**quality.mean(results["each"]), "pair": "photo__one+two"})


def test_layers_are_said(weights, extractor):
    assert extractor.name == ("VGG-19 (vgg): relu1_1, relu2_1, relu3_1, relu3_4; encoder 5 (encoder5): relu4_1, relu5_1")
    alone = quality.Extractor(weights / "vgg.safetensors")
    assert alone.name.endswith("without relu4_1, relu5_1") and alone.content_layers == ["relu3_4"]
    assert set(alone(torch.rand(1, 3, 32, 32))) == {"relu1_1", "relu2_1", "relu3_1", "relu3_4"}


def test_files_that_are_no_weights(weights, tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="is no file of weights"):
        quality.Extractor(tmp_path / "no.safetensors")
    with pytest.raises(CheckpointError, match="is not the teacher that was expected"):
        quality.Extractor(weights / "vgg.safetensors", weights / "vgg.safetensors")


def test_outputs_of_other_pictures(folders, extractor, small, photo):
    st.save(photo, folders / "outputs" / "photo__three.png")
    with pytest.raises(InputError, match="photo__three"):
        measure(folders, extractor, "outputs")
    (folders / "empty").mkdir()
    with pytest.raises(InputError, match="no picture in"):
        measure(folders, extractor, "empty")


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "benchmarks.quality", *map(str, arguments)], cwd=ROOT, capture_output=True,
                          text=True)


def test_command(folders, weights):
    (folders / "outputs").rename(folders / "adain-0.5")
    arguments = [folders / "adain-0.5", folders / "blends", "--contents", folders / "contents", "--styles", folders / "styles"]
    networks = ["--vgg19", weights / "vgg.safetensors", "--compact-teacher", weights / "encoder5.safetensors"]
    done = run(*arguments, *networks, "--json", folders / "figures.json", "--curve", folders / "curve.png")
    assert done.returncode == 0, done.stderr
    figures = json.loads((folders / "figures.json").read_text())
    assert "relu4_1" in figures["features"] and figures["features"] in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("adain-0.5"))
    assert row.split()[1:4] == ["2", "of", "2"] and f"{figures['folders']['adain-0.5']['mean']['gram']:.4f}" in row
    assert min(st.load(folders / "curve.png").shape[2:]) >= 600
    wrong = run(*arguments, "--vgg19", folders / "nothing.safetensors")
    assert wrong.returncode == 1 and "Traceback" not in wrong.stderr and "nothing.safetensors" in wrong.stderr


@pytest.mark.skipif(not importlib.util.find_spec("lpips"), reason="lpips is not installed")
def test_lpips_with_weights_of_a_file(tmp_path, photo, painting):
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    save_file(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "squeezenet.safetensors")
    torch.manual_seed(1)
    lpips = quality.Lpips(tmp_path / "squeezenet.safetensors")
    torch.manual_seed(2)
    again = quality.Lpips(tmp_path / "squeezenet.safetensors")
    other = st.images.resize(painting, photo.shape[2:])
    assert lpips(photo, photo) == 0 and lpips(photo, other) == again(photo, other) > 0
    with pytest.raises(InputError, match="does not hold torchvision's SqueezeNet"):
        save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
        quality.Lpips(tmp_path / "other.safetensors")


@pytest.mark.skipif(not importlib.util.find_spec("lpips"), reason="lpips is not installed")
def test_lpips_without_its_network(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(InputError, match="--squeezenet"):
        quality.Lpips()


def shared_pair(folder):
    """One pair of the evaluation set, mixed, in folders as the commands take them."""
    for name in ("contents", "styles", "outputs"):
        (folder / name).mkdir()
    content, style = (sorted((SHARED / "eval" / name).iterdir())[3] for name in ("contents", "styles"))
    for name, path in (("contents", content), ("styles", style)):
        (folder / name / path.name).symlink_to(path)
    photo = st.load(content, 400)
    st.save(0.6 * photo + 0.4 * st.images.resize(st.load(style), photo.shape[2:]),
            folder / "outputs" / f"{content.stem}__{style.stem}.png")


@pytest.mark.skipif(not (TOOL.exists() and all(path.exists() for path in FILES.values())), reason="the files are not at hand")
def test_equals_the_other_implementation_with_the_same_files(tmp_path):
    shared_pair(tmp_path)
    subprocess.run([sys.executable, TOOL, tmp_path / "outputs", "--contents", tmp_path / "contents", "--styles",
                    tmp_path / "styles", "--json", tmp_path / "other.json"], check=True, capture_output=True)
    expected = json.loads((tmp_path / "other.json").read_text())["mean"]
    ours = quality.mean(measure(tmp_path, quality.Extractor(**FILES), "outputs")["outputs"])
    assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=5e-5)
