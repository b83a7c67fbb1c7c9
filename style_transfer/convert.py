"""Weight files of other projects, in layouts that people have, as checkpoints of this one.

Pickles are read with weights_only=True, which runs no code.
"""

import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from . import checkpoints
from .errors import CheckpointError
from .networks.decoder import Decoder
from .networks.johnson import Johnson
from .networks.vgg import VGG, VGG16, VGG19

LAYOUTS = """the layouts known are the fast-neural-style networks of PyTorch's examples, the AdaIN decoder and vgg_normalised \
of naoto0804's pytorch-AdaIN, and torchvision's VGG-16 and VGG-19"""


def read(path):
    """The tensors of a .pth, .pt or .safetensors file, {name: tensor}. Raises CheckpointError."""
    try:
        if str(path).endswith(".safetensors"):
            state = load_file(str(path))
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        return {str(name): value.float() for name, value in state.items() if torch.is_tensor(value)}
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}.") from None
    except pickle.UnpicklingError:
        raise CheckpointError(f"{path} holds more than tensors, or is damaged: only plain tensors are opened.") from None
    except (OSError, RuntimeError, ValueError, EOFError, AttributeError, SafetensorError):
        raise CheckpointError(f"{path} is no file of weights, or it is damaged: fetch it again.") from None


def fold_first(network, weight, bias):
    """Let the network's first convolution do what a 1x1 convolution of RGB in [0, 1] before it did.

    weight: [3, 3]; bias: [3]. The network's own normalisation of its input is undone by the same step.
    """
    first = network.features["0"]
    with torch.no_grad():
        first.bias += torch.einsum("oihw,i->o", first.weight, weight @ network.mean.flatten() + bias)
        first.weight.copy_(torch.einsum("omhw,mi->oihw", first.weight, weight * network.std.flatten()))
    return network


def _in_order(state):
    """Weights and biases of the convolutions of a Sequential, in its order."""
    numbers = sorted({int(name.split(".")[0]) for name in state})
    return [(state[f"{n}.weight"], state[f"{n}.bias"]) for n in numbers]


def _copy(convs, pairs):
    with torch.no_grad():
        for conv, (weight, bias) in zip(convs, pairs):
            if conv.weight.shape != weight.shape:
                raise ValueError(f"a convolution has the shape {list(weight.shape)} instead of {list(conv.weight.shape)}")
            conv.weight.copy_(weight)
            conv.bias.copy_(bias)


def fast_neural_style(state):
    """The transformer networks of pytorch/examples (fast_neural_style): pictures in [0, 255] in and out.

    The oldest files hold running statistics of instance normalisation, which were never used, and are left out.
    """
    names = {"conv1.conv2d": "conv1", "conv2.conv2d": "conv2", "conv3.conv2d": "conv3", "in1": "norm1", "in2": "norm2",
             "in3": "norm3", "deconv1.conv2d": "up1", "in4": "norm4", "deconv2.conv2d": "up2", "in5": "norm5",
             "deconv3.conv2d": "last"}
    for i in range(1, 6):
        names |= {f"res{i}.{old}": f"blocks.{i - 1}.{new}" for old, new in (
            ("conv1.conv2d", "conv1"), ("in1", "norm1"), ("conv2.conv2d", "conv2"), ("in2", "norm2"))}
    renamed = {}
    for name, value in state.items():
        module, _, kind = name.rpartition(".")
        if kind not in ("running_mean", "running_var", "num_batches_tracked"):
            renamed[f"{names[module]}.{kind}"] = value
    renamed["conv1.weight"] = renamed["conv1.weight"] * 255
    renamed["last.weight"], renamed["last.bias"] = renamed["last.weight"] / 255, renamed["last.bias"] / 255
    network = Johnson(width=len(renamed["conv1.weight"]))
    network.load_state_dict(renamed)
    return network


def vgg_normalised(state):
    """The encoder of naoto0804's pytorch-AdaIN: a 1x1 convolution of RGB in [0, 1], then VGG-19; kept up to relu4_1."""
    (weight, bias), *pairs = _in_order(state)
    network = VGG((*VGG19["depths"][:3], 1), [len(pairs[i][1]) for i in (0, 2, 4, 8)])
    _copy(network.features.values(), pairs)
    return fold_first(network, weight[:, :, 0, 0], bias)


def adain_decoder(state):
    """The decoder of naoto0804's pytorch-AdaIN, which mirrors VGG-19 up to relu4_1."""
    pairs = _in_order(state)
    network = Decoder(4, (*VGG19["depths"][:3], 1),
                      [pairs[8][0].shape[1], pairs[6][0].shape[1], pairs[4][0].shape[1], pairs[0][0].shape[1]])
    _copy([network.head, *(conv for block in network.blocks for conv in block)], pairs)
    return network


def torchvision_vgg(state):
    """The convolutions of torchvision's VGG-16 or VGG-19."""
    state = {name: value for name, value in state.items() if name.startswith("features.")}
    plan = VGG16 if "features.34.weight" not in state else VGG19
    indices = sorted({int(name.split(".")[1]) for name in state})
    probe = VGG(**plan)
    firsts = [i for i, (_, name) in zip(indices, [p for p in probe.plan if p[1] != "pool"]) if name.endswith("_1")]
    network = VGG(plan["depths"], [len(state[f"features.{i}.bias"]) for i in firsts])
    network.load_state_dict(state)
    return network


def _network(state):
    names = set(state)
    if "deconv1.conv2d.weight" in names:
        return "johnson", fast_neural_style(state)
    if "features.0.weight" in names:
        return "encoder", torchvision_vgg(state)
    if names and all(re.fullmatch(r"\d+\.(weight|bias)", name) for name in names):
        return ("encoder", vgg_normalised(state)) if "0.weight" in names else ("adain", adain_decoder(state))
    raise KeyError


def convert(path, output, name=None, encoder=None, license="", credit=""):
    """Write another project's weight file as a checkpoint, and return its index entry.

    encoder: for an AdaIN decoder, the converted checkpoint of the encoder that it was trained on.
    Raises CheckpointError for a file that cannot be read or has another layout.
    """
    path, output = Path(path), Path(output)
    try:
        family, network = _network(read(path))
    except (KeyError, ValueError, IndexError, RuntimeError):
        raise CheckpointError(f"{path} has a layout that is not known: {LAYOUTS}.") from None
    metadata = {}
    if family == "adain":
        if encoder is None:
            raise CheckpointError("An AdaIN decoder only works with the encoder that it was trained on: convert vgg_normalised "
                                  "first, and name the result with --encoder.")
        metadata["encoder"] = checkpoints.fingerprint(checkpoints.load(encoder))
    checkpoints.save(output, network, name=name or output.stem, title=name or output.stem, family=family, license=license,
                     credit=credit, converted_from=path.name, **metadata)
    return checkpoints.entry(output)
