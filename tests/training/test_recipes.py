"""--recipe and --smoke: words in front of the others."""

import sys
from pathlib import Path

import pytest
import torch

from style_transfer import checkpoints
from tests.conftest import EXAMPLES
from tests.training.conftest import COMMON, SMALL
from training import adain, cyclegan, decoders, johnson, loop, losses, multimodal

RECIPES = {"adain": adain.PAPER, "cyclegan": cyclegan.PAPER, "decoders": decoders.PAPER, "johnson": johnson.PAPER,
           "multimodal": multimodal.PAPER}


def parsed(monkeypatch, *words, **options):
    p = loop.parser("johnson", "", steps=7, learning_rate=0.5, batch=3, crop=32)
    p.add_argument("--photos", type=Path, nargs="+", required=True)
    p.add_argument("-o", "--output", type=Path, default=Path("checkpoints"))
    monkeypatch.setattr(sys, "argv", ["johnson", *words])
    return loop.parse(p, **options)


def test_a_recipe_replaces_defaults_and_what_is_named_beside_it_counts_more(monkeypatch):
    recipes = {"paper": {"steps": 100, "batch": 8, "photos": ["a", "b"]}}
    a = parsed(monkeypatch, "--recipe", "paper", "--batch", "2", recipes=recipes)
    assert (a.steps, a.batch, a.learning_rate, a.recipe) == (100, 2, 0.5, "paper")
    assert a.photos == [Path("a"), Path("b")]
    a = parsed(monkeypatch, "--batch", "2", "--recipe=paper", "--photos", "c", recipes=recipes)
    assert (a.steps, a.batch, a.photos) == (100, 2, [Path("c")])
    assert parsed(monkeypatch, "--photos", "c", recipes=recipes).steps == 7


def test_unknown_recipes_are_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit) as refused:
        parsed(monkeypatch, "--recipe", "papers", recipes={"paper": {}})
    assert refused.value.code == 2 and "paper" in capsys.readouterr().err


def test_a_smoke_run_leaves_checkpoints_alone_and_has_a_folder_of_its_own(monkeypatch):
    one, two = (parsed(monkeypatch, "--smoke", smoke={"photos": ["p"]}) for _ in range(2))
    assert one.steps == loop.SMOKE["steps"] and one.run_folder != two.run_folder
    assert one.output == one.run_folder / "checkpoints" and one.run_folder.parts[:2] == ("runs", "smoke")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name, script, inputs, tmp_path, monkeypatch):
    """As it is but for its length, its sizes, and the loss network, which is not at hand."""
    small = [*SMALL[name], "--steps", 2, "--batch", 2, "--loss-network", "compact"]
    if name not in ("johnson", "multimodal"):
        small = small[:-2]
    if name == "cyclegan":
        small += ["--epochs", 0.02, "--crop", 64]
    target = tmp_path / ("a.safetensors" if name == "adain" else "")
    script(name, "--recipe", "paper", *inputs[name], *COMMON, *small, "--run-folder", tmp_path / "run", "-o", target)
    path = next(iter(sorted(tmp_path.glob("*.safetensors"))))
    assert "--recipe paper" in checkpoints.describe(path)["command"]


def test_the_plain_losses_by_hand():
    output, content = {"a": torch.tensor([[[[1.0, 3.0]]]])}, {"a": torch.tensor([[[[0.0, 1.0]]]])}
    assert losses.feature_reconstruction(output, content) == pytest.approx((1 + 4) / 2)
    output = {"a": torch.tensor([[[[1.0, 1.0]], [[0.0, 2.0]]]])}  # Gram: 1, 1; 1, 2
    style = {"a": (torch.zeros(1, 2, 2), torch.tensor([[[[0.0]], [[1.0]]]]), torch.tensor([[[[1.0]], [[1.0]]]]))}
    assert losses.style_reconstruction(output, style) == pytest.approx((1 + 1 + 1 + 4) / 4 / 4)
    mu, sigma = losses.mean_and_deviation(output["a"])
    expected = (mu - style["a"][1]).pow(2).mean() + (sigma - style["a"][2]).pow(2).mean()
    assert losses.moment_reconstruction(output, style) == pytest.approx(float(expected))


@pytest.mark.parametrize("name, values", [
    ("cosine", (0.01, 0.505, 0.01)), ("constant", (1, 1, 1)), ("staircase", (1, 0.8, 0.64)), ("inverse", (1, 1 / 1.1, 1 / 1.2)),
    ("linear", (1, 1, 0))])
def test_schedules(name, values):
    found = [loop.SCHEDULES[name](step, 4000) for step in (0, 2000, 4000)]
    assert found == pytest.approx(values, abs=1e-6)


def test_smoke_pictures_exist():
    for module in (adain, cyclegan, decoders):
        for value in module.SMOKE.values():
            for path in value if isinstance(value, list) else []:
                assert path.is_dir() and path.is_relative_to(EXAMPLES)


def test_no_folder_of_this_machine_comes_into_the_command(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert loop._words("output", tmp_path / "checkpoints") == ["--output", "checkpoints"]
    assert loop._words("photos", [tmp_path / "a", Path("b")]) == ["--photos", "a", "b"]
    assert loop._words("encoder", tmp_path.parent / "x") == ["--encoder", str(tmp_path.parent / "x")]
