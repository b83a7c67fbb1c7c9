"""Train Johnson's network for one painting (Johnson et al. 2016).

    python -m training.johnson --style PICTURE --photos FOLDER --name NAME [--minutes 15]

Loss: content + style weight * (means and deviations, Gram matrices) + total variation. Deviations from the paper: content
compares instance-normalised features, and each layer's style loss is relative to the style's energy, so that the same
weights serve every painting; the loss network is the compact encoder, in the last part of the training the full VGG-19
beside it; Muon instead of Adam.
"""

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F

from style_transfer import checkpoints, device, images
from style_transfer.losses import gram_matrix, total_variation
from style_transfer.networks.johnson import Johnson
from style_transfer.transforms import mean_and_deviation
from training import loop, teachers
from training.data import Pictures
from training.losses import CONTENT_LAYERS, STYLE_LAYERS, content_loss
from training.muon import Muon

WARM_UP = 0.04  # part of the time in which the network learns to give its input back
RAMP = 0.3  # part of the time in which the style's weight grows to its full value
JUDGE = 0.6  # part of the time after which the full VGG-19 looks as well


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
    p.add_argument("--style", type=Path, required=True, help="the painting")
    p.add_argument("--photos", type=Path, nargs="+", required=True)
    p.add_argument("--name", help="default: the file's name")
    p.add_argument("--title", help="what people read")
    p.add_argument("--credit", default="", help="painter, title and year")
    p.add_argument("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors")
    p.add_argument("--vgg19", help="look with this VGG-19 (a file, or \"hub\") as well")
    p.add_argument("--start", type=Path, help="a Johnson network to start from")
    p.add_argument("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")
    p.add_argument("--width", type=int, default=16, help="channels of the first layer; 32 in the paper")
    p.add_argument("--minutes", type=float, default=15)
    p.add_argument("--learning-rate", type=float, default=0.01)
    p.add_argument("--style-weight", type=float, default=10.0)
    p.add_argument("--variation", type=float, default=1.0, help="weight of the total variation")
    p.add_argument("--style-size", type=int, default=512, help="long side of the painting, pixels")
    p.add_argument("--batch", type=int, default=2)
    p.add_argument("--crop", type=int, default=256, help="side of the crops, pixels")
    p.add_argument("--run", type=Path)
    p.add_argument("--device")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    name = a.name or a.style.stem
    run = a.run or Path("runs/johnson") / name

    where, rng = device.pick(a.device), random.Random(a.seed)
    torch.manual_seed(a.seed)
    photos, held_out = Pictures(*a.photos).split(16)
    test = held_out.crops(8, a.crop, random.Random(1), device=where)
    encoder = checkpoints.load(a.encoder, where)
    judge = teachers.vgg19(a.vgg19).to(where) if a.vgg19 else None
    judged = [n for n in STYLE_LAYERS if judge is not None and n in judge.layers]
    judged_content = [n for n in CONTENT_LAYERS if judge is not None and n in judge.layers]
    network = checkpoints.load(a.start, where).requires_grad_(True).train() if a.start else Johnson(a.width)
    network.to(where, memory_format=torch.channels_last)
    wanted = {*STYLE_LAYERS, *CONTENT_LAYERS}
    with torch.no_grad():
        painting = images.load(a.style, a.style_size).to(where)
        target = statistics(encoder(painting, STYLE_LAYERS), STYLE_LAYERS)
        judged_target = statistics(judge(painting, judged), judged) if judge else {}

    def losses_of(image, look=False):
        output = network(image).float()
        features = encoder(output, wanted)
        with torch.no_grad():
            content = encoder(image, CONTENT_LAYERS)
        losses = {"content": content_loss(features, content), "style": style_distance(features, target),
                  "variation": total_variation(output), "outside": (output - output.clamp(0, 1)).pow(2).mean()}
        if look:
            seen = judge(output[:1], {*judged, *judged_content})
            with torch.no_grad():
                content = judge(image[:1], judged_content)
            losses["style"] = (losses["style"] + style_distance(seen, judged_target)) / 2
            losses["content"] = (2 * losses["content"] + content_loss(seen, content)) / 3
        return output, losses

    def step(_, progress):
        image = photos.crops(a.batch, a.crop, rng, scale=(0.8, 1.06), device=where)
        with device.autocast(where):
            if progress < WARM_UP and not a.start:  # learn to see first: losses in features say little to a random network
                reconstruction = F.mse_loss(network(image).float(), image) / image.var()
                return {"total": 10 * reconstruction, "reconstruction": reconstruction}
            _, losses = losses_of(image, look=judge is not None and progress > JUDGE)
        ramp = 1.0 if a.start else min(1.0, 0.05 + progress / RAMP)
        total = losses["content"] + ramp * a.style_weight * losses["style"]
        return {"total": total + a.variation * losses["variation"] + 10 * losses["outside"], **losses}

    @torch.no_grad()
    def validate():
        output, losses = losses_of(test, look=judge is not None)
        images.save(torch.cat(list(output[:4].clamp(0, 1)), 2)[None], run / "pictures.png")
        return {"validation content": float(losses["content"]), "validation style": float(losses["style"])}

    if not a.start:
        with torch.no_grad():  # begin near the photograph's greys, not at an arbitrary colour
            network.last.bias.fill_(0.5)
            network.last.weight *= 0.3
    result = loop.train(step, {"network": network}, minutes=a.minutes, learning_rate=a.learning_rate, run=run,
                        validate=validate, optimizer=Muon(network.parameters(), a.learning_rate))
    checkpoints.save(a.output / f"{name}.safetensors", network, name=name,
                     title=a.title or name.replace("-", " ").capitalize(), family="johnson", license="mit", credit=a.credit,
                     command="python -m training.johnson", trained_on=f"{len(photos)} photographs", device=str(where),
                     started_from=a.start.stem if a.start else "random weights", minutes=result["minutes"],
                     steps=result["steps"], losses=result["losses"])


if __name__ == "__main__":
    main()
