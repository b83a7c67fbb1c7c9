"""Weight files of other projects, in layouts that people have, as checkpoints of this one.

Pickles are read with weights_only=True, which runs no code.
"""

import pickle
import re
from pathlib import Path

import torch
from safetensors.torch import load_file

from . import checkpoints
from .errors import CheckpointError
from .networks.vgg import VGG16, VGG19

LAYOUTS = """the layouts known are the fast-neural-style networks of PyTorch's examples, the AdaIN decoder and vgg_normalised \
of naoto0804's pytorch-AdaIN, and torchvision's VGG-16 and VGG-19"""


def read(path):
    """The tensors of a .pth, .pt or .safetensors file, {name: tensor}. Raises CheckpointError."""
    checkpoints.stamp(path)  # a pipe would wait for ever
    try:
        if str(path).endswith(".safetensors"):
            state = load_file(str(path))
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        state = {str(name): value for name, value in state.items() if torch.is_tensor(value)}
        for value in state.values():
            if value.layout != torch.strided or value.is_complex() or value.untyped_storage().nbytes() < value.nbytes:
                raise ValueError("a tensor without memory of its own")
        return {name: value.float() for name, value in state.items()}
    except pickle.UnpicklingError:
        raise CheckpointError(f"{path} holds more than tensors, or is damaged: only plain tensors are opened.") from None
    except Exception:  # any: a damaged pickle fails wherever it likes
        raise CheckpointError(f"{path} is no file of weights, or it is damaged: fetch it again.") from None


def _build(architecture, state, **arguments):
    """A network with these tensors, in the order of its own parameters where they are a list. Raises ValueError."""
    if isinstance(state, list):
        state = dict(zip(checkpoints.skeleton(architecture, arguments).state_dict(), state, strict=True))
    network = checkpoints.build(architecture, arguments, {name: tensor.shape for name, tensor in state.items()})
    network.load_state_dict(state)
    return network


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
    """Weights and biases of the convolutions of a Sequential, in its order: weight, bias, weight, ..."""
    return [state[f"{n}.{kind}"] for n in sorted({int(name.split(".")[0]) for name in state}) for kind in ("weight", "bias")]


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
    return _build("johnson", renamed, width=len(renamed["conv1.weight"]))


def vgg_normalised(state):
    """The encoder of naoto0804's pytorch-AdaIN: a 1x1 convolution of RGB in [0, 1], then VGG-19; kept up to relu4_1."""
    first, shift, *tensors = _in_order(state)
    if (first.shape, shift.shape) != ((3, 3, 1, 1), (3,)):
        raise ValueError("no 1x1 convolution of RGB")
    network = _build("vgg", tensors[:18], depths=[*VGG19["depths"][:3], 1], widths=[len(tensors[i]) for i in (0, 4, 8, 16)])
    return fold_first(network, first[:, :, 0, 0], shift)


def adain_decoder(state):
    """The decoder of naoto0804's pytorch-AdaIN, which mirrors VGG-19 up to relu4_1."""
    tensors = _in_order(state)
    return _build("decoder", tensors, level=4, depths=[*VGG19["depths"][:3], 1],
                  widths=[tensors[i].shape[1] for i in (16, 12, 8, 0)], skips=False)


def torchvision_vgg(state):
    """The convolutions of torchvision's VGG-16 or VGG-19."""
    state = {name: value for name, value in state.items() if name.startswith("features.")}
    plan = VGG16 if "features.34.weight" not in state else VGG19
    firsts = [index for index, name in checkpoints.skeleton("vgg", plan).plan if name.endswith("_1")]
    return _build("vgg", state, depths=list(plan["depths"]), widths=[len(state[f"features.{i}.bias"]) for i in firsts])


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

    name: its title; encoder: for an AdaIN decoder, the converted checkpoint of the encoder that it was trained on.
    Raises CheckpointError for a file that cannot be read or has another layout.
    """
    path, output, metadata = Path(path), Path(output), {}
    state = read(path)
    if output.suffix != ".safetensors" or output.exists() and output.samefile(path):
        raise CheckpointError(f"{output} cannot be the result: name another file that ends with .safetensors.")
    try:
        family, network = _network(state)
    except (LookupError, RuntimeError, TypeError, ValueError):
        raise CheckpointError(f"{path} has a layout that is not known: {LAYOUTS}.") from None
    if family == "adain":
        metadata["encoder"] = encoder and checkpoints.describe(encoder).get("fingerprint")
        if not metadata["encoder"]:
            raise CheckpointError("An AdaIN decoder only works with the encoder that it was trained on: convert vgg_normalised "
                                  "first, and name the result with --encoder.")
    values = torch.cat([tensor.flatten() for tensor in network.state_dict().values()])
    if not values.isfinite().all():
        raise CheckpointError(f"{path} holds values that are not finite: fetch it again.")
    dtype = torch.half if values.half().isfinite().all() else torch.float32
    checkpoints.save(output, network, dtype, name=output.stem, title=name or output.stem, family=family, license=license,
                     credit=credit, converted_from=path.name, **metadata)
    return checkpoints.entry(output)
