"""The loop: what is learnt, recorded, saved and resumed."""

import argparse
import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from torch._dynamo.utils import counters
from torch._inductor import config

from style_transfer.errors import InputError, StyleTransferError
from tests.training.several import Buffer
from training import loop, records
from training.muon import Muon


def options(folder, **more):
    return argparse.Namespace(**{"program": "python -m training.test", "steps": 150, "learning_rate": 0.15, "batch": 64,
                                 "crop": 32, "run_folder": folder, "resume": False, "save_every": 40, "accumulate": 1,
                                 "compile": False, "recipe": None, "smoke": False, "optimizer": "adam", "schedule": "cosine",
                                 "device": "cpu", "precision": "float32", "seed": 0} | more)


class Linear(torch.nn.Linear):
    """PyTorch 2.8 compiles no module whose code is its own alone."""

    def forward(self, x):
        return super().forward(x)


def quadratic(folder, steps=150, on_step=lambda i, loss: loss):
    """A linear map learnt from noisy batches: (module, start of the training)."""
    torch.manual_seed(0)
    module, truth = Linear(4, 1), torch.tensor([[1.0], [-2.0], [0.5], [3.0]])

    def draw(rng):
        return torch.randn(64, 4, generator=torch.Generator().manual_seed(rng.getrandbits(32)))

    def step(i, x, rng):
        loss = (module(x) - x @ truth - 0.1 * rng.random()).pow(2).mean()
        return {"total": on_step(i, loss), "loss": loss}

    def train(resume=False, look=1, compile=False, **more):
        run = loop.Run(options(folder, steps=steps, resume=resume, compile=compile))
        run.look = look
        phase = loop.Phase(step, Muon(module.parameters(), 0.15), lambda i: loop.cosine(i, steps, warm_up=10))
        return run.train(draw, [phase], {"m": module}, log_every=10, **more)
    return module, train


def stop_at(iteration):
    def on_step(i, loss):
        if i == iteration:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss
    return on_step


@pytest.mark.parametrize("workers", [0, 3])
def test_the_loop_learns_and_records(tmp_path, workers):
    module, train = quadratic(tmp_path)
    exported = []
    result = train(workers=workers, export=exported.append,
                   validate=lambda: ({"weight": float(module.weight.norm())}, [torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8)]))
    assert result["steps"] == 150 and result["losses"]["weight"] == pytest.approx(14.25 ** 0.5, rel=0.1)
    assert [e["steps"] for e in exported] == [40, 80, 120, 150]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 15 and losses[-1] < 0.1 * losses[0]
    rates = [line["learning_rate"] for line in lines if "loss" in line]
    assert rates[1] == pytest.approx(0.15 * loop.cosine(19, 150, warm_up=10)) and rates[-1] < 0.03 * rates[1]
    assert all(line["pictures_per_second"] > 0 for line in lines if "loss" in line)
    with Image.open(tmp_path / "pictures.png") as sheet:  # two rows of four, with margins
        assert 32 < sheet.width < 60 and 16 < sheet.height < 30
    assert (tmp_path / "losses.png").exists()
    watched = events(tmp_path)
    assert {"loss", "learning_rate", "pictures_per_second", "validation/weight"} <= {*watched.Tags()["scalars"]}
    assert [image.step for image in watched.Images("pictures")] == [0, 40, 80, 120, 150]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["options"]["seed"] == ["--seed", "0"] and "--seed 0" in config["command"]
    assert config["torch"] == torch.__version__ and len(config["code"]) == 12
    assert records.status(tmp_path)["state"] == "finished" and not list(tmp_path.glob("*.part"))


def events(folder):
    found = event_accumulator.EventAccumulator(str(folder), {"images": 0, "scalars": 0, "tensors": 0})
    found.Reload()
    return found


def test_looking_at_the_losses_now_and_then_records_the_same(tmp_path):
    """As on a GPU, where each look makes the processor wait."""
    logs = []
    for look in (1, 20):
        _, train = quadratic(tmp_path / str(look), steps=70)
        train(look=look)
        logs.append([line["total"] for line in map(json.loads, (tmp_path / str(look) / "log.jsonl").read_text().splitlines())])
    assert len(logs[0]) == 7 and logs[0] == logs[1]


def test_workers_change_nothing(tmp_path):
    weights = []
    for workers in (0, 3):
        module, train = quadratic(tmp_path / str(workers), steps=7)
        train(workers=workers)
        weights.append(module.weight.detach().clone())
    assert torch.equal(*weights)


def test_a_run_that_was_stopped_goes_on_exactly(tmp_path):
    module, train = quadratic(tmp_path / "whole")
    train()
    _, first = quadratic(tmp_path / "halves", on_step=stop_at(62))
    with pytest.raises(SystemExit, match="stopped at step 63; the same command with --resume"):
        first()
    again, second = quadratic(tmp_path / "halves")
    with pytest.raises(InputError, match="holds a run"):
        second()
    second(resume=True)
    assert torch.equal(again.weight, module.weight) and torch.equal(again.bias, module.bias)


def test_what_a_process_has_of_its_own_goes_on_too_but_not_in_another_number_of_processes(tmp_path):
    def train(folder, stop=None, resume=False):
        buffer = Buffer()

        def keep(i, loss):
            buffer.kept.append(loss.detach())
            return stop(i, loss) if stop else loss
        quadratic(folder, steps=30, on_step=keep)[1](resume=resume, local={"buffer": buffer})
        return buffer.kept
    whole = train(tmp_path / "whole")
    with pytest.raises(SystemExit):
        train(tmp_path / "halves", stop_at(12))
    assert train(tmp_path / "halves", resume=True) == whole and len(whole) == 30
    state = torch.load(tmp_path / "halves/state.pt", weights_only=True)
    torch.save(state | {"local": state["local"] * 3}, tmp_path / "halves/state.pt")
    with pytest.raises(InputError, match=r"saved by 3 process\(es\), each with buffer of its own: go on with as many, not 1"):
        train(tmp_path / "halves", resume=True)


def test_the_best_is_kept_where_the_validations_total_is_lowest(tmp_path):
    totals = iter([0.0, 3.0, 2.0, 5.0, 1.0, 0.5, 0.1])  # the first of all, before any step, does not count
    kept, saved = [], []
    _, first = quadratic(tmp_path, on_step=stop_at(130))
    with pytest.raises(SystemExit):
        first(validate=lambda: ({"total": next(totals)}, None), export=saved.append, best=kept.append)
    assert [result["steps"] for result in kept] == [40, 80] and [result["steps"] for result in saved] == [40, 80, 120, 131]
    _, second = quadratic(tmp_path)
    second(resume=True, validate=lambda: ({"total": 2.5}, None), best=kept.append)
    assert [result["steps"] for result in kept] == [40, 80]  # it knows of those before


def adversaries(folder, on_step=lambda i, loss: loss):
    """Two players in turn, as in adversarial training: g wants d(g(x)) high, d wants it low; each with an optimiser."""
    torch.manual_seed(0)
    g, d = torch.nn.Linear(3, 2), torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    made, seen_by_d = {}, []

    def draw(rng):
        return torch.randn(8, 3, generator=torch.Generator().manual_seed(rng.getrandbits(32)))

    def generator_step(i, x, rng):
        made["fake"] = g(x)
        loss = (d(made["fake"]) - 1).pow(2).mean() + 0.1 * rng.random()
        return {"total": on_step(i, loss), "generator": loss}

    def discriminator_step(i, x, rng):
        seen_by_d.append([p.grad for p in d.parameters()])  # nothing may be left of the generator's turn
        loss = d(made["fake"].detach()).pow(2).mean() + (d(x[:, :2]) - 1).pow(2).mean() + 0.1 * rng.random()
        return {"total": loss, "discriminator": loss}

    def train(resume=False, **more):
        run = loop.Run(options(folder, steps=20, batch=8, save_every=4, resume=resume, **more))
        return run.train(draw, [loop.Phase(generator_step, torch.optim.Adam(g.parameters(), 0.05), lambda i: 1.0),
                                loop.Phase(discriminator_step, torch.optim.Adam(d.parameters(), 0.02),
                                           lambda i: 0.8 ** (i // 5))],
                         {"g": g, "d": d}, log_every=10)
    return g, d, seen_by_d, train


def test_two_optimisers_alternate_and_resume_exactly(tmp_path):
    g, d, seen, train = adversaries(tmp_path / "whole")
    before = [p.detach().clone() for p in (*g.parameters(), *d.parameters())]
    train()
    assert all(not torch.equal(p, old) for p, old in zip((*g.parameters(), *d.parameters()), before))
    assert len(seen) == 20 and all(gradient is None for gradients in seen for gradient in gradients)
    lines = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert all({"generator", "discriminator"} <= set(line) for line in lines)
    with pytest.raises(SystemExit, match="stopped at step 10"):
        adversaries(tmp_path / "halves", stop_at(9))[3]()
    g2, d2, _, again = adversaries(tmp_path / "halves")
    again(resume=True)
    assert all(torch.equal(p, q) for a, b in ((g, g2), (d, d2)) for p, q in zip(a.parameters(), b.parameters()))


@pytest.mark.parametrize("look", [1, 20])
def test_a_loss_that_is_not_finite_stops_with_a_sentence(tmp_path, look):
    module, train = quadratic(tmp_path, on_step=lambda i, loss: loss * float("nan") if i == 55 else loss)
    saved = []
    with pytest.raises(StyleTransferError, match="not finite at step 55.*a lower --learning-rate"):
        train(look=look, export=lambda result: saved.append(module.weight.isfinite().all()))
    assert saved == [True] and (look > 1 or module.weight.isfinite().all())
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["iteration"] == 40 and state["modules"]["m"]["weight"].isfinite().all()
    status = records.status(tmp_path)
    assert status["state"] == "failed" and "not finite" in status["message"]


def test_a_run_that_died_leaves_no_record_twice_and_nothing_half_written(tmp_path):
    def died(i, loss):
        if i == 67:  # after the saving at 40, and a record at 60
            raise KeyboardInterrupt
        return loss
    _, whole = quadratic(tmp_path / "whole")
    whole(validate=lambda: ({"total": 1.0}, None))
    folder = tmp_path / "died"
    with pytest.raises(KeyboardInterrupt):
        quadratic(folder, on_step=died)[1](validate=lambda: ({"total": 1.0}, None))
    with open(folder / "log.jsonl", "a") as log:
        log.write('{"step": 70, "tot')
    stale, other = folder / ".state.0123456789abcdef.part", folder / ".mine.part"
    stale.write_bytes(b"half")
    other.write_text("not ours")
    quadratic(folder)[1](resume=True, validate=lambda: ({"total": 1.0}, None))
    assert not stale.exists() and other.exists()
    clock = {"minutes": 0, "pictures_per_second": 0}
    one, two = ([json.loads(line) | clock for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
                for name in ("whole", "died"))
    assert one == two and len(one) == 15 + 5
    assert [event.step for event in events(folder).Scalars("total")] == list(range(10, 160, 10))
    config = json.loads((folder / "config.json").read_text())
    assert len(config["resumed"]) == 1 and config["began"] <= config["resumed"][0]


def test_a_finished_run_is_not_trained_again(tmp_path):
    saved = []
    for resume in (False, True):
        _, train = quadratic(tmp_path)
        saved.append(train(resume=resume, validate=lambda: ({"total": 1.0}, None), export=lambda result: None))
        log = (tmp_path / "log.jsonl").read_text()
        saved.append(log)
    assert saved[0]["losses"] == saved[2]["losses"] and saved[1] == saved[3]


def test_a_folder_in_which_a_run_is_at_work_is_left_alone(tmp_path):
    saved_run(tmp_path)
    process = subprocess.Popen(["sleep", "600"])
    try:
        alive = {"state": "running", "pid": process.pid, "since": psutil.Process(process.pid).create_time()}
        records.write(tmp_path / "status.json", records.status(tmp_path) | alive)
        with pytest.raises(InputError, match=f"process {process.pid} is still at: wait for its end"):
            loop.Run(options(tmp_path, resume=True))
    finally:
        process.kill()
        process.wait()
    loop.Run(options(tmp_path, resume=True))


def test_compiled_networks_are_saved_as_others_are(tmp_path):
    states = []
    torch.compiler.reset()
    counters.clear()
    for compiled in (False, True):
        module, train = quadratic(tmp_path / str(compiled), steps=12)
        train(compile=compiled, validate=lambda module=module: ({"loss": float(module(torch.ones(3, 4)).sum())}, None))
        states.append(torch.load(tmp_path / str(compiled) / "state.pt", weights_only=True)["modules"]["m"])
    assert states[0].keys() == states[1].keys() == {"weight", "bias"}
    assert all(torch.allclose(states[0][name], states[1][name], atol=1e-3) for name in states[0])
    assert counters["stats"]["unique_graphs"] == 2  # the one that tries the compiler, and the module for the training's batches


@pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled")
def test_no_compiler_is_a_sentence(tmp_path):
    with config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        torch.compiler.reset()
        with pytest.raises(InputError, match="--compile found no compiler that works.*install g\\+\\+"):
            quadratic(tmp_path, steps=2)[1](compile=True)
    torch.compiler.reset()
    assert not (tmp_path / "config.json").exists()


def saved_run(folder):
    _, train = quadratic(folder, on_step=stop_at(5))
    with pytest.raises(SystemExit):
        train()


@pytest.mark.parametrize("harm", ["truncated", "empty", "text", "foreign", "list", "folder"])
def test_a_harmed_state_is_a_sentence(tmp_path, harm):
    saved_run(tmp_path)
    path = tmp_path / "state.pt"
    whole = path.read_bytes()
    path.unlink()
    if harm in ("truncated", "empty", "text"):
        path.write_bytes({"truncated": whole[:len(whole) // 2], "empty": b"", "text": b"no state"}[harm])
    elif harm == "folder":
        path.mkdir()
    else:
        torch.save({"weights": torch.zeros(2)} if harm == "foreign" else [1, 2], path)
    with pytest.raises(InputError, match="state.pt is missing, damaged or no state") as caught:
        loop.Run(options(tmp_path, resume=True))
    assert "\n" not in str(caught.value)


def test_a_state_of_another_network_is_a_sentence(tmp_path):
    saved_run(tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    state["modules"]["m"]["weight"] = torch.zeros(1, 7)
    torch.save(state, tmp_path / "state.pt")
    _, train = quadratic(tmp_path)
    with pytest.raises(InputError, match="state.pt does not fit") as caught:
        train(resume=True)
    assert "\n" not in str(caught.value)


def test_other_options_are_refused_and_named(tmp_path):
    saved_run(tmp_path)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["config"]["steps"] == ["--steps", "150"]
    other = options(tmp_path, resume=True, steps=200, seed=1, photos=[Path("a"), Path("b")])
    named = "--steps 150 and not --steps 200, --seed 0 and not --seed 1, nothing and not --photos a b"
    with pytest.raises(InputError, match=named):
        loop.Run(other)
    with pytest.raises(InputError, match="--precision float32 and not --precision bfloat16"):
        loop.Run(options(tmp_path, resume=True, precision="bfloat16"))
    # These leave the weights as they are; a precision that was chosen at the start stays.
    free = loop.Run(options(tmp_path, resume=True, save_every=7, device=None if not torch.cuda.is_available() else "cpu",
                            title="Other", precision=None))
    assert free.precision == "float32"


def test_the_command_has_every_option(tmp_path):
    given = {"photos": [Path("a b"), Path("c")], "name": "it's", "start": None, "no_skips": True, "weights": (1.0, 0.5)}
    words = shlex.split(loop.Run(options(tmp_path, **given)).command)
    assert words[:3] == ["python", "-m", "training.test"]
    parser = loop.parser("test", "", steps=1, learning_rate=1.0, batch=1, crop=32)
    parser.add_argument("--photos", type=Path, nargs="+")
    parser.add_argument("--name")
    parser.add_argument("--start")
    parser.add_argument("--no-skips", action="store_true")
    parser.add_argument("--weights", type=float, nargs=2)
    found = vars(parser.parse_args(words[3:]))
    expected = vars(options(tmp_path, **given)) | {"weights": [1.0, 0.5]}
    assert found == expected


@pytest.mark.parametrize("wrong", [("--steps", "0"), ("--steps", "-3"), ("--steps", "1.5"), ("--batch", "0"), ("--crop", "0"),
                                   ("--crop", "33"), ("--learning-rate", "nan"), ("--learning-rate", "inf"),
                                   ("--learning-rate", "-1"), ("--save-every", "0"), ("--device", "tpu"),
                                   ("--precision", "half")])
def test_wrong_numbers_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        loop.parser("test", "", steps=1, learning_rate=1.0, batch=1, crop=32).parse_args(wrong)
    assert caught.value.code == 2 and f"argument {wrong[0]}: " in capsys.readouterr().err


def test_a_device_that_is_not_here(tmp_path):
    missing = next(kind for kind, here in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
                   if not here)
    with pytest.raises(InputError, match=missing):
        loop.Run(options(tmp_path, device=missing))


def test_schedules():
    assert loop.staircase(1999, 1) == 1 and loop.staircase(2000, 1) == 0.8 and loop.staircase(4000, 1) == pytest.approx(0.64)
    assert loop.cosine(0, 1000) == pytest.approx(0.01) and loop.cosine(500, 1000) == pytest.approx(0.505)
    assert loop.cosine(1000, 1000) == pytest.approx(0.01)


def test_one_process_trains_in_one_precision_and_then_in_another(tmp_path):
    for precision in ("bfloat16", "float32", "bfloat16"):
        run = loop.Run(options(tmp_path / f"{len(list(tmp_path.iterdir()))}", precision=precision))
        assert run.accelerator.mixed_precision == loop.PRECISIONS[precision]
