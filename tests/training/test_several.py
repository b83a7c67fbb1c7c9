"""Several processes learn as one, and go on exactly where they stopped, each with what it has of its own."""

import json
import subprocess
import sys

import pytest
import torch

from style_transfer.errors import InputError
from tests.conftest import EXAMPLES
from tests.training import several

LAUNCHERS = {3: ("torch.distributed.run", "--standalone", "--nproc_per_node", "3"),
             2: ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                 "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")}


@pytest.mark.parametrize("number", LAUNCHERS)
def test_several_processes_learn_as_one_and_resume_exactly(number, tmp_path):
    command = [sys.executable, "-m", *LAUNCHERS[number], "-m", "tests.training.several", str(tmp_path)]
    result = subprocess.run(command, cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    one, buffer = several.train(tmp_path / "one", batch=12, accumulate=1)
    whole, halves = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "halves"))
    for name, weight in one["plain"].state_dict().items():
        assert torch.allclose(whole["modules"]["plain"][name], weight, rtol=1e-5, atol=1e-6)
    for name, module in whole["modules"].items():
        for key, weight in module.items():
            assert torch.equal(weight, halves["modules"][name][key]), (name, key)
    # Each has its own part of the pictures, and all have what one has.
    assert whole["local"] == halves["local"] and len(whole["local"]) == number
    kept = [seed for rank in whole["local"] for seed in rank["buffer"]["kept"]]
    assert sorted(kept) == sorted(buffer.kept) and len(set(kept)) == 12 * several.STEPS
    # One of them was asked to stop, all did; only the main one writes.
    assert all(f"stopped at step {several.STOP + 1};" in (tmp_path / f"{rank}.txt").read_text() for rank in range(number))
    assert {path.name for path in (tmp_path / "whole").glob("exported*")} == {"exported by 0"}
    for name in ("whole", "halves"):
        log = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        assert [record["step"] for record in log if "total" in record] == list(range(4, 25, 4))
        assert [record["step"] for record in log if "validation/total" in record] == [0, 5, 10, 15, 20, 24]
        assert all("learning_rate/2" in record for record in log if "total" in record)
    assert len(list((tmp_path / "whole").glob("events.out.tfevents*"))) == 1
    with pytest.raises(InputError, match=rf"saved by {number} process\(es\), each with buffer of its own.*not 1\."):
        several.train(tmp_path / "halves", resume=True)


def test_batches_whose_gradients_are_averaged_are_as_good_as_a_large_one(tmp_path):
    large, seen = several.train(tmp_path / "large", batch=12, accumulate=1)
    small, seen_too = several.train(tmp_path / "small", batch=4, accumulate=3)
    assert seen.kept == seen_too.kept
    for name, weight in large["plain"].state_dict().items():
        assert torch.allclose(weight, small["plain"].state_dict()[name], rtol=1e-5, atol=1e-6)
