"""Teacher networks for distillation, read from files that the project does not ship."""

import torch
from safetensors.torch import load_file

from style_transfer import backbones
from style_transfer.convert import fold_first
from style_transfer.networks.vgg import COMPACT, VGG


def vgg19(path):
    """Oxford's or torchvision's VGG-19 in torchvision's key names, as deep as the file reaches: a frozen VGG.

    path: .safetensors, or .pth (read with weights_only=True), or "hub" for torchvision's, fetched once.
    Input is ImageNet-normalised RGB, as in torchvision.
    """
    path = str(path)
    if path == "hub":
        return backbones.load("vgg19")
    state = load_file(path) if path.endswith(".safetensors") else torch.load(path, map_location="cpu", weights_only=True)
    state = {k: v for k, v in state.items() if k.startswith("features.")}
    full = VGG(depths=(2, 2, 4, 4, 4), widths=(64, 128, 256, 512, 512))
    present = [name for index, name in full.plan if f"features.{index}.weight" in state]
    depths = [sum(name.startswith(f"relu{b}_") for name in present) for b in range(1, 6)]
    depths = [d for d in depths if d]
    network = VGG(depths, full.widths[:len(depths)])
    network.load_state_dict(state)
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last)


def collaborative_distillation(path):
    """Encoder 5 of Collaborative Distillation (Wang et al. 2020) as a frozen VGG of the compact widths.

    Its first layer, a 1x1 convolution on RGB in [0, 1], and this project's normalisation are folded into conv1_1.
    """
    state = load_file(str(path))
    network = VGG(**COMPACT)
    with torch.no_grad():
        for index, name in network.plan:
            if name != "pool":
                key = f"conv{name[4]}{name[6]}"
                network.features[index].weight.copy_(state[f"{key}.weight"])
                network.features[index].bias.copy_(state[f"{key}.bias"])
    fold_first(network, state["conv0.weight"][:, :, 0, 0], state["conv0.bias"])
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last)
