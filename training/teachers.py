"""Teachers and loss networks, read from files that the project does not ship."""

from contextlib import contextmanager, suppress

import torch

from style_transfer import backbones, checkpoints, convert
from style_transfer.errors import CheckpointError
from style_transfer.networks.vgg import COMPACT, VGG, VGG19


@contextmanager
def _weights(path):
    """The tensors of a file. Raises CheckpointError where it cannot be read or its tensors are not those expected."""
    state = convert.read(path)
    try:
        yield state
    except (KeyError, IndexError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not the teacher that was expected ({str(error).splitlines()[-1].strip()}): name "
                              "another file.") from None


def vgg19(path, where="cpu"):
    """Oxford's or torchvision's VGG-19 in torchvision's key names, as deep as the file reaches: a frozen VGG.

    path: .safetensors, or .pth (read with weights_only=True), or "hub" for torchvision's, fetched once; where: device.
    Input is ImageNet-normalised RGB, as in torchvision. Raises CheckpointError for other files.
    """
    if str(path) == "hub":
        return backbones.load("vgg19", device=where)
    with _weights(path) as state:
        full = VGG(**VGG19)
        present = [name for index, name in full.plan if f"features.{index}.weight" in state]
        depths = [d for b in range(1, 6) if (d := sum(name.startswith(f"relu{b}_") for name in present))]
        network = VGG(depths, full.widths[:len(depths)])
        network.load_state_dict({name: tensor for name, tensor in state.items() if name.startswith("features.")})
    return network.requires_grad_(False).eval().to(where, memory_format=torch.channels_last)


def collaborative_distillation(path, where="cpu"):
    """Encoder 5 of Collaborative Distillation (Wang et al. 2020) as a frozen VGG of the compact widths; where: device.

    path: its file, or one of an encoder of this project, which is taken as it is. Its first layer, a 1x1 convolution on RGB
    in [0, 1], and this project's normalisation are folded into conv1_1.
    Raises CheckpointError for other files.
    """
    with suppress(CheckpointError):
        if (own := checkpoints.load(path, where)).arguments == VGG(**COMPACT).arguments:
            return own
    with _weights(path) as state:
        network = VGG(**COMPACT)
        network.load_state_dict({f"features.{index}.{kind}": state[f"conv{name[4]}{name[6]}.{kind}"]
                                 for index, name in network.plan if name != "pool" for kind in ("weight", "bias")})
        convert.fold_first(network, state["conv0.weight"][:, :, 0, 0], state["conv0.bias"])
    return network.requires_grad_(False).eval().to(where, memory_format=torch.channels_last)
