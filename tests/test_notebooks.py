"""The notebooks: every cell runs, and what is committed was run, is small, and says nothing of the machine it ran on.

`jupyter execute --inplace notebooks/*.ipynb` makes the outputs that are committed anew: on an idle machine, they hold seconds.
"""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from style_transfer import checkpoints

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
LARGEST = 5_000_000  # bytes
MACHINE = re.compile(r"/(?:tmp|work|home|root|Users|usr|opt|var|private|mnt)\b|[A-Z]:\\|site-packages|Traceback|Warning")


@pytest.fixture(params=["demo", "train", "experiments"])
def path(request):
    return FOLDER / f"{request.param}.ipynb"


def read(path):
    """A notebook, and those of its cells that are code."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """What a cell put out: "stdout", "stderr", "error", or types of pictures and text."""
    return {kind for output in cell.outputs
            for kind in output.get("data", {output.get("name", output.output_type): None})}


def test_all_are_tested():
    assert {path.name for path in FOLDER.glob("*.ipynb")} == {"demo.ipynb", "train.ipynb", "experiments.ipynb"}


def test_each_cell_runs_without_network_and_gives_what_is_committed(path, tmp_path, monkeypatch):
    monkeypatch.setenv("STYLE_TRANSFER_NOTEBOOK_QUICK", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    installed = {p: p.stat().st_mtime_ns for p in checkpoints.FOLDER.iterdir()}
    notebook, cells = read(path)
    committed = [kinds(cell) for cell in cells]
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute()
    assert [kinds(cell) for cell in cells] == committed
    assert {p: p.stat().st_mtime_ns for p in checkpoints.FOLDER.iterdir()} == installed
    assert not any(tmp_path.glob("tmp*")), "the training's folder is left"


def test_what_is_committed_was_run_from_top_to_bottom(path):
    _, cells = read(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [kinds(cell) for cell in cells]
    assert not {"error", "stderr"} & set().union(*shown)
    assert "image/jpeg" in set().union(*shown)
    for cell, kind in zip(cells, shown):
        assert kind or not re.search(r"^(show|plot|display|print)\(", cell.source, re.MULTILINE), cell.source


def test_what_is_committed_is_small_and_says_nothing_of_the_machine(path):
    assert path.stat().st_size < LARGEST
    notebook, cells = read(path)
    assert notebook.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
    for output in (output for cell in cells for output in cell.outputs):
        for kind in [kind for kind in output.get("data", {}) if kind.startswith("image/")]:
            del output.data[kind]  # whose base64 may spell anything
    found = MACHINE.search(json.dumps(notebook))
    assert not found, found
