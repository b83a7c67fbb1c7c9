"""Teachers read from files of other projects' layouts."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from style_transfer.errors import CheckpointError
from style_transfer.networks.vgg import COMPACT, VGG, VGG19
from training import teachers


def compact_file(path):
    """Random weights in the layout of Collaborative Distillation's encoder 5."""
    generator, state, channels = torch.Generator().manual_seed(0), {}, 3
    state["conv0.weight"] = torch.tensor([[0.0, 0, 255], [0, 255, 0], [255, 0, 0]])[:, :, None, None] / 100
    state["conv0.bias"] = torch.tensor([-1.0, -1.1, -1.2])
    for block, (depth, width) in enumerate(zip(COMPACT["depths"], COMPACT["widths"]), 1):
        for conv in range(1, depth + 1):
            scale = (2 / (9 * channels)) ** 0.5
            state[f"conv{block}{conv}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) * scale
            state[f"conv{block}{conv}.bias"] = torch.randn(width, generator=generator) / 10
            channels = width
    save_file(state, path)
    return path


def test_vgg19_is_read_as_deep_as_its_file(tmp_path):
    full = VGG(**VGG19)
    state = {k: v for k, v in full.state_dict().items() if int(k.split(".")[1]) <= 16}
    torch.save(state | {"classifier.0.weight": torch.zeros(2)}, tmp_path / "vgg19.pth")
    save_file(state, tmp_path / "vgg19.safetensors")
    image = torch.rand(1, 3, 32, 32)
    for suffix in ("pth", "safetensors"):
        teacher = teachers.vgg19(tmp_path / f"vgg19.{suffix}")
        assert teacher.layers[-1] == "relu3_4" and not any(p.requires_grad for p in teacher.parameters())
        assert torch.allclose(teacher(image, ["relu3_4"])["relu3_4"], full(image, ["relu3_4"])["relu3_4"], atol=1e-5)


def test_collaborative_distillation_is_its_first_layer_and_then_vggs_plan(compact_teacher):
    """Against the plan of the paper written out: 1x1 convolution, reflection-padded 3x3 ones, max-pooling between blocks."""
    state, image = load_file(compact_teacher), torch.rand(2, 3, 48, 32)
    x, expected = F.conv2d(image, state["conv0.weight"], state["conv0.bias"]), {}
    for block, depth in enumerate(COMPACT["depths"], 1):
        x = F.max_pool2d(x, 2) if block > 1 else x
        for conv in range(1, depth + 1):
            name = f"conv{block}{conv}"
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), state[f"{name}.weight"], state[f"{name}.bias"]))
            expected[f"relu{block}_{conv}"] = x
    teacher = teachers.collaborative_distillation(compact_teacher)
    found = teacher(image, teacher.layers)
    assert set(found) == set(expected) and not any(p.requires_grad for p in teacher.parameters())
    for name, features in expected.items():
        assert torch.allclose(found[name], features, atol=1e-3 * float(features.std())), name


@pytest.mark.parametrize("read", [teachers.vgg19, teachers.collaborative_distillation])
def test_other_files_are_refused_with_a_sentence(read, tmp_path):
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "foreign.pth")
    torch.save({"features.0.weight": torch.zeros(3), "features.0.bias": torch.zeros(64)}, tmp_path / "shape.pth")
    for name in ("missing.pth", "text.pth", "empty.safetensors", "foreign.pth", "shape.pth"):
        with pytest.raises(CheckpointError, match=name) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
