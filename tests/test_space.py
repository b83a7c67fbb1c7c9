"""README.md as the Space's configuration, checkpoints/README.md as the model card, and the sizes of what is pushed."""

import subprocess
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, SpaceCardData
from huggingface_hub.repocard import RepoCard

ROOT = Path(__file__).resolve().parent.parent
KEYS = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "pinned", "license",
        "short_description", "models", "tags", "preload_from_hub", "startup_duration_timeout", "suggested_hardware",
        "custom_headers"}
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(scope="module")
def space():
    return RepoCard.load(ROOT / "README.md", ignore_metadata_errors=False).data.to_dict()


def test_front_matter(space):
    assert isinstance(SpaceCardData(**space), SpaceCardData)
    assert set(space) <= KEYS
    assert space["sdk"] == "gradio" and (ROOT / space["app_file"]).is_file()
    assert len(space["short_description"]) <= 60
    assert {space["colorFrom"], space["colorTo"]} <= COLORS and len(space["emoji"]) <= 2
    assert space["python_version"] in ("3.10", "3.12")  # what ZeroGPU offers
    for item in space.get("preload_from_hub", []):
        repo, _, files = item.partition(" ")
        assert repo.count("/") == 1 and all(files.split(","))


def test_gradio_of_the_space_is_one_that_the_requirements_admit(space):
    from packaging.requirements import Requirement
    requirements = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines() if line.strip()]
    assert next(r for r in requirements if r.name == "gradio").specifier.contains(space["sdk_version"])


def test_model_card():
    data = ModelCard.load(ROOT / "checkpoints/README.md", ignore_metadata_errors=False).data.to_dict()
    assert data["license"] == "mit" and data["pipeline_tag"] == "image-to-image"
    assert data["library_name"] and data["tags"] and data["base_model"]


def test_no_file_is_too_large_for_git():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    large = [f for f in listed.stdout.split("\0") if f and (ROOT / f).is_file() and (ROOT / f).stat().st_size > 10e6]
    assert not large
