"""Every script for a few steps on small pictures: what it leaves, resumed, started from a network, and made again."""

import json
import shlex
import subprocess
import sys

import pytest
import torch

from style_transfer import checkpoints
from style_transfer.networks.vgg import COMPACT, VGG
from tests.conftest import EXAMPLES
from tests.training.conftest import COMMON, SMALL, output
from training import loop


def weights(path):
    return checkpoints.load(path).state_dict()


def assert_same(*paths):
    one, two = map(weights, paths)
    assert all(torch.equal(one[n], two[n]) for n in one)


def test_all_scripts_in_a_row(script, inputs, tmp_path):
    """From teachers to checkpoints that belong together; decoders also go on from those that the encoder was trained with."""
    encoder = tmp_path / "encoder.safetensors"
    script("distill", *inputs["distill"], *SMALL["distill"], *COMMON, "--steps", 6, "--run-folder", tmp_path / "1",
           "-o", encoder)
    state = tmp_path / "1/end-to-end/state.pt"
    script("decoders", *inputs["decoders"], *SMALL["decoders"], *COMMON, "--encoder", encoder, "--start", state, "--steps", 8,
           "--run-folder", tmp_path / "2", "-o", tmp_path)
    script("adain", *inputs["adain"], *SMALL["adain"], *COMMON, "--encoder", encoder, "--start",
           tmp_path / "wct-decoder-4.safetensors", *inputs["distill"][2:], "--steps", 4, "--run-folder", tmp_path / "3", "-o",
           tmp_path / "adain-decoder.safetensors")
    encoder = checkpoints.load(encoder)
    assert encoder.arguments == VGG(**COMPACT).arguments
    for name in ("adain-decoder", *(f"wct-decoder-{n}" for n in range(1, 6))):
        assert checkpoints.describe(tmp_path / f"{name}.safetensors")["encoder"] == checkpoints.fingerprint(encoder)
        assert checkpoints.load(tmp_path / f"{name}.safetensors").arguments["widths"] == list(encoder.widths)


@pytest.mark.parametrize("name", SMALL)
def test_the_headers_command_makes_the_network_again_and_so_does_a_killed_run(name, script, inputs, tmp_path, monkeypatch):
    target, file = output(name, tmp_path / "whole")
    script(name, *inputs[name], *SMALL[name], *COMMON, "--steps", 4, "--save-every", 2, "--run-folder", tmp_path / "1", "-o",
           target)
    header = checkpoints.describe(file)
    assert header["steps"] == "4" and json.loads(header["losses"])

    python, m, module, *words = shlex.split(header["command"])
    assert (python, m, module) == ("python", "-m", f"training.{name}")
    target, again = output(name, tmp_path / "again")
    script(name, *words, "--run-folder", tmp_path / "2", "-o", target)
    assert_same(file, again)

    learn, calls = loop.Run._learn, []
    # distill's second is in its second stage, cyclegan's between its two optimisers, after a saving
    deaths = {"distill": (3, 7), "cyclegan": (3, 9)}.get(name, (3,))

    def killed(*arguments):
        calls.append(1)
        if len(calls) in deaths:
            raise KeyboardInterrupt
        return learn(*arguments)
    monkeypatch.setattr(loop.Run, "_learn", killed)
    target, resumed = output(name, tmp_path / "killed")
    arguments = (*words, "--run-folder", tmp_path / "3", "-o", target, "--resume")
    for _ in deaths:
        with pytest.raises(KeyboardInterrupt):
            script(name, *arguments)
    script(name, *arguments)
    assert_same(file, resumed)


@pytest.mark.parametrize("name", ["johnson", "multimodal"])
def test_a_style_starts_from_another(name, script, inputs, tmp_path):
    shipped = {"johnson": "udnie", "multimodal": "wheat-field"}
    start = checkpoints.FOLDER / f"{shipped[name]}.safetensors"
    arguments = (*inputs[name], *SMALL[name], *COMMON, "--steps", 1, "--learning-rate", 0.0)
    script(name, *arguments, "--start", start, "--run-folder", tmp_path / "run", "-o", tmp_path)
    assert_same(start, tmp_path / "waves.safetensors")  # at a rate of 0 nothing is learnt, so it began there
    header = checkpoints.describe(tmp_path / "waves.safetensors")
    assert header["started_from"] == start.stem and header["family"] == name and header["title"] == "Waves"
    assert json.loads(header["arguments"]).get("canvas", False) == (name == "johnson")
    assert (tmp_path / "waves.jpg").exists()  # the gallery's tile
    logged = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[0])
    assert logged["step"] == 0 and any("style" in name for name in logged)


def test_an_encoder_starts_from_another(script, inputs, tmp_path):
    start = checkpoints.FOLDER / "encoder.safetensors"
    script("distill", *inputs["distill"], *SMALL["distill"], *COMMON, "--start", start, "--steps", 1, "--learning-rate", 0.0,
           "--run-folder", tmp_path / "run", "-o", tmp_path / "encoder.safetensors")
    assert_same(start, tmp_path / "encoder.safetensors")
    assert not (tmp_path / "run/layerwise").exists()


def command(script, folder, run, *arguments):
    return [sys.executable, "-m", f"training.{script}", "--photos", str(folder), *map(str, COMMON), "--run-folder", str(run),
            "-o", str(run / "out"), *map(str, (*SMALL[script], *arguments))]


def call(arguments):
    result = subprocess.run(arguments, cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize("name", ["johnson", "multimodal"])
def test_two_processes_learn_as_one(name, script, folder, tmp_path):
    """Through all phases the kernels end close to each other, measured by how far they came.

    (Each process with the gradient of its own half ends at 0.9 of that in Multimodal's first subnet; losses do not tell.)
    """
    options = ("--batch", 4, "--steps", 8, "--learning-rate", 0.1)
    script(name, *command(name, folder, tmp_path / "begun", *options, "--steps", 1, "--learning-rate", 0.0)[3:])
    call(command(name, folder, tmp_path / "one", *options))
    call([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
          *command(name, folder, tmp_path / "two", *options)[1:]])
    starts = [json.loads((tmp_path / run / "log.jsonl").read_text().splitlines()[0]) for run in ("one", "two")]
    assert starts[0] == pytest.approx(starts[1] | {"minutes": starts[0]["minutes"]}, rel=1e-3)
    begun, one, two = (weights(tmp_path / run / "out/waves.safetensors") for run in ("begun", "one", "two"))
    kernels = [n for n, w in one.items() if w.ndim > 1 and not n.startswith(("enhance", "refine"))]
    apart, learnt = (sum(float((one[n] - other[n]).square().sum()) for n in kernels) ** 0.5 for other in (two, begun))
    assert apart < 0.5 * learnt  # Muon enlarges what rounding makes of small gradients; wrong ones end at 0.9


UDNIE, ENCODER = checkpoints.FOLDER / "udnie.safetensors", checkpoints.FOLDER / "encoder.safetensors"
WRONG = {  # script, options, words of the sentence
    "no layer relu9_9": ("johnson", ["--style-layers", "relu9_9"]),
    "none.jpg": ("johnson", ["--style", "none.jpg"]),
    "no picture that can be read": ("johnson", ["--photos", EXAMPLES.parent / "training"]),
    "holds a Johnson, not a Multimodal": ("multimodal", ["--start", UDNIE]),
    "holds a VGG, not a Johnson": ("johnson", ["--start", ENCODER]),
    "no decoder from relu4_1": ("adain", ["--start", ENCODER]),
    "no compact encoder": ("distill", ["--start", UDNIE]),
    "none.safetensors": ("decoders", ["--encoder", "none.safetensors"]),
    "none.pth": ("distill", ["--vgg19", "none.pth"]),
    "none.st": ("adain", ["--compact-teacher", "none.st"]),
    "none.pt is missing": ("decoders", ["--start", "none.pt"]),
    "--batch 1 is not possible": ("adain", ["--batch", "1"]),
    "--batch 1 is not possible with 1": ("decoders", ["--batch", "1"]),
    "is no multiple of 16 >= 64": ("multimodal", ["--crop", "32"]),
    "is no multiple of 16 >= 32": ("decoders", ["--crop", "100"]),
    "argument --style-weight": ("johnson", ["--style-weight", "nan"]),
    "argument --width": ("johnson", ["--width", "0"]),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_input_is_a_sentence(words, script, inputs, tmp_path, capsys):
    name, arguments = WRONG[words]
    target, _ = output(name, tmp_path)
    with pytest.raises(SystemExit) as caught:
        script(name, *inputs[name], *SMALL[name], *COMMON, "--run-folder", tmp_path / "run", "-o", target, "--steps", 1,
               *arguments)
    error = capsys.readouterr().err.strip()
    assert caught.value.code == 2 and words in error and "Traceback" not in error
    assert error.startswith("usage:") or "\n" not in error


def test_a_full_network_without_the_layers_is_refused(script, inputs, vgg19, tmp_path, capsys):
    with pytest.raises(SystemExit):
        script("johnson", *inputs["johnson"], *SMALL["johnson"], *COMMON, "--vgg19", vgg19, "--run-folder", tmp_path)
    assert "must have one of --content-layers and one of --style-layers, but has relu1_1" in capsys.readouterr().err


def test_adain_with_two_pictures_a_step(script, inputs, tmp_path):
    target = tmp_path / "adain.safetensors"
    script("adain", *inputs["adain"], *SMALL["adain"], *COMMON, "--batch", 2, "--steps", 1, "--run-folder", tmp_path / "run",
           "-o", target)
    assert all(tensor.isfinite().all() for tensor in weights(target).values())


def test_no_script_imports_another():
    scripts = {path.stem: path.read_text() for path in (EXAMPLES.parent / "training").glob("*.py")
               if "loop.parser(" in path.read_text()}
    assert set(scripts) == {*SMALL}
    for text in scripts.values():
        lines = [line for line in text.splitlines() if line.startswith(("from training", "import training"))]
        assert lines and not any(other in line.replace(",", " ").replace(".", " ").split()
                                 for line in lines for other in scripts)
