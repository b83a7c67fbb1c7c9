"""What a training step costs beside the training: measured in a training of seconds."""

from benchmarks import training
from tests.conftest import EXAMPLES


def test_shares_of_a_step():
    found, (wall, processor, crops) = training.shares(EXAMPLES / "photos", 9, 1, "--crop", 32, "--batch", 2, "--save-every", 4)
    assert found.keys() == training.SHARES.keys()
    assert 0 < crops < processor and wall > 0
    in_memory, in_files = (found[f"crops of pictures in {place}"][1] for place in ("memory", "files"))
    assert 0 < in_memory < in_files  # what is read again and again costs more
    assert all(abs(share) < 3 for shares in found.values() for share in shares)  # of a step; others' work disturbs it
