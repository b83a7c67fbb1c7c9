"""Train Johnson's network for one or several paintings (Johnson et al. 2016), each exported as a network of its own.

    python -m training.johnson --style PICTURE... --photos FOLDER [--name NAME...] [--minutes 60]

Several styles share everything but the scale and shift of the instance normalisations while they learn (Dumoulin et al.
2017), which costs little more than one; a second run with --start and one style then gives a network its last touch.

Loss: content + style weight * (means and deviations, Gram matrices) + total variation. Deviations from the paper: content
compares instance-normalised features, and each layer's style loss is relative to the style's energy, so that the same
weights serve every painting; the style is looked at in two sizes; the loss networks are the compact encoder and, for a part
of each batch, the full VGG-19.
"""

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from style_transfer import checkpoints, device, images
from style_transfer.losses import gram_matrix, total_variation
from style_transfer.networks.johnson import Johnson
from style_transfer.transforms import mean_and_deviation
from training import loop, teachers
from training.data import Pictures
from training.losses import CONTENT_LAYERS, STYLE_LAYERS, content_loss

WARM_UP = 0.08  # part of the time in which the network learns to give its input back
RAMP = 0.4  # part of the time in which the style's weight grows to its full value


class SharedTrunk(nn.Module):
    """One Johnson network with a scale and a shift of every normalisation for each of several styles."""

    def __init__(self, trunk, count):
        super().__init__()
        self.trunk = trunk
        self.own = nn.ModuleList(nn.ParameterDict({
            name.replace(".", "|"): nn.Parameter(value.detach().clone())
            for name, value in trunk.named_parameters() if "norm" in name}) for _ in range(count))
        for name, parameter in trunk.named_parameters():
            parameter.requires_grad_("norm" not in name)

    def forward(self, image, style):
        return functional_call(self.trunk, {n.replace("|", "."): p for n, p in self.own[style].items()}, (image,))

    @torch.no_grad()
    def single(self, style):
        """The plain network of one style."""
        network = Johnson(**self.trunk.arguments)
        network.load_state_dict(self.trunk.state_dict() | {n.replace("|", "."): p for n, p in self.own[style].items()})
        return network


def statistics(features, layers):
    """{layer: (Gram matrix, mean, deviation)} of feature maps."""
    return {n: (gram_matrix(features[n]), *mean_and_deviation(features[n])) for n in layers}


def style_distance(output, targets):
    """Difference of Gram matrices, means and deviations from those of a style, over its energy, averaged over layers."""
    total = 0.0
    for name, (target, mu_s, sigma_s) in targets.items():
        gram, mu, sigma = gram_matrix(output[name]), *mean_and_deviation(output[name])
        total = total + ((gram - target).pow(2).sum((1, 2)) / target.pow(2).sum((1, 2))).mean()
        moments = (mu - mu_s).pow(2).sum((1, 2, 3)) + (sigma - sigma_s).pow(2).sum((1, 2, 3))
        total = total + 10 * (moments / (mu_s.pow(2).sum() + sigma_s.pow(2).sum())).mean()
    return total / len(targets)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--style", type=Path, nargs="+", required=True, help="one picture a style")
    p.add_argument("--photos", type=Path, nargs="+", required=True)
    p.add_argument("--name", nargs="+", help="default: the files' names")
    p.add_argument("--title", nargs="+", help="what people read")
    p.add_argument("--credit", nargs="+", default=[], help="painter, title and year of each")
    p.add_argument("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors")
    p.add_argument("--vgg19", help="look at a part of each batch with this VGG-19 (a file, or \"hub\") as well")
    p.add_argument("--start", type=Path, help="a Johnson network to start from")
    p.add_argument("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")
    p.add_argument("--width", type=int, default=16, help="channels of the first layer; 32 in the paper")
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--learning-rate", type=float, default=2e-3)
    p.add_argument("--style-weight", type=float, default=5.0)
    p.add_argument("--variation", type=float, default=1.0, help="weight of the total variation")
    p.add_argument("--style-size", type=int, nargs="+", default=[320, 512], help="long sides of the style, pixels")
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--crop", type=int, default=256, help="side of the crops, pixels")
    p.add_argument("--run", type=Path, default=Path("runs/johnson"))
    p.add_argument("--device")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    names = a.name or [path.stem for path in a.style]
    titles = a.title or [name.replace("-", " ").capitalize() for name in names]
    credits = a.credit or [""] * len(names)
    if not len(names) == len(titles) == len(credits) == len(a.style):
        p.error("--name, --title and --credit need one value for each --style")

    where, rng = device.pick(a.device), random.Random(a.seed)
    torch.manual_seed(a.seed)
    photos, held_out = Pictures(*a.photos).split(16)
    test = held_out.crops(8, a.crop, random.Random(1), device=where)
    encoder = checkpoints.load(a.encoder, where)
    judge = teachers.vgg19(a.vgg19).to(where) if a.vgg19 else None
    judged = [n for n in STYLE_LAYERS if judge is not None and n in judge.layers]
    trunk = checkpoints.load(a.start, where).requires_grad_(True).train() if a.start else Johnson(a.width)
    network = SharedTrunk(trunk, len(names)).to(where, memory_format=torch.channels_last)
    wanted = {*STYLE_LAYERS, *CONTENT_LAYERS}

    def averaged(extractor, pictures, layers):
        """Statistics of a style, averaged over its sizes."""
        found = [statistics(extractor(x, layers), layers) for x in pictures]
        return {n: tuple(sum(parts) / len(parts) for parts in zip(*(f[n] for f in found))) for n in layers}

    targets, judged_targets = [], []
    with torch.no_grad():
        for path in a.style:
            pictures = [images.load(path, size).to(where) for size in a.style_size]
            targets.append(averaged(encoder, pictures, STYLE_LAYERS))
            judged_targets.append(averaged(judge, pictures, judged) if judge else {})

    def losses_of(image, style):
        output = network(image, style).float()
        features = encoder(output, wanted)
        with torch.no_grad():
            content = encoder(image, CONTENT_LAYERS)
        losses = {"content": content_loss(features, content), "style": style_distance(features, targets[style]),
                  "variation": total_variation(output), "outside": (output - output.clamp(0, 1)).pow(2).mean()}
        if judge is not None:
            losses["judged"] = style_distance(judge(output[:1], judged), judged_targets[style])
        return output, losses

    def step(_, progress):
        style = rng.randrange(len(names))
        image = photos.crops(a.batch, a.crop, rng, scale=(0.8, 1.06), device=where)
        with device.autocast(where):
            if progress < WARM_UP and not a.start:  # learn to see first: losses in features say little to a random network
                reconstruction = F.mse_loss(network(image, style).float(), image) / image.var()
                return {"total": (reconstruction + 1e-3).log(), "reconstruction": reconstruction}
            _, losses = losses_of(image, style)
        ramp = 1.0 if a.start else min(1.0, 0.05 + progress / RAMP)
        of_style = losses["style"] + losses.get("judged", 0.0)
        total = losses["content"] + ramp * a.style_weight * of_style
        return {"total": total + a.variation * losses["variation"] + 10 * losses["outside"], **losses}

    @torch.no_grad()
    def validate():
        found = {}
        for style, name in enumerate(names):
            output, losses = losses_of(test, style)
            found |= {f"{name} content": float(losses["content"]), f"{name} style": float(losses["style"])}
            images.save(torch.cat(list(output[:4].clamp(0, 1)), 2)[None], a.run / f"{name}.png")
        return found

    if not a.start:
        with torch.no_grad():  # begin near the photograph's greys, not at an arbitrary colour
            network.trunk.last.bias.fill_(0.5)
            network.trunk.last.weight *= 0.3
    result = loop.train(step, {"network": network}, minutes=a.minutes, learning_rate=a.learning_rate, run=a.run,
                        validate=validate)
    for style, name in enumerate(names):
        losses = {n.removeprefix(f"{name} "): v for n, v in result["losses"].items() if n.startswith(f"{name} ")}
        checkpoints.save(a.output / f"{name}.safetensors", network.single(style), name=name, title=titles[style],
                         family="johnson", license="mit", credit=credits[style], command="python -m training.johnson",
                         trained_on=f"{len(photos)} photographs", styles_in_the_run=len(names), device=str(where),
                         minutes=result["minutes"], steps=result["steps"], losses=losses)


if __name__ == "__main__":
    main()
