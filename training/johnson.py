"""Train Johnson's network for one painting (Johnson et al. 2016).

    python -m training.johnson --style PICTURE --photos FOLDER --name NAME [--steps 6000]

Loss: content + style + pixel + total variation + what lies outside of [0, 1], each times its weight. The first steps teach
the network to give its input back and the style's weight grows slowly, because losses in features say little to a random
network. The loss network is the compact encoder; with --vgg19 the full one looks as well, late, because it is slow.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

from style_transfer import backbones, checkpoints, fixed, images
from style_transfer.losses import total_variation
from style_transfer.networks.johnson import Johnson
from training import loop, teachers
from training.data import Pictures
from training.losses import CONTENT_LAYERS, STYLE_LAYERS, PerceptualLoss
from training.muon import Muon

WARM_UP = 0.04  # part of the steps in which the network learns to give its input back
RAMP = 0.3  # part of the steps after which the style has its full weight
JUDGE = 0.8  # part of the steps after which the full VGG-19 looks as well
TILE = Path(__file__).resolve().parents[1] / "examples" / "photos" / "pagoda.jpg"
TILE_SIZE = 512  # long side, pixels


def arguments(parser, subnets=None):
    """The options that the trainings of fixed styles share; weights are one number for each of so many subnets."""
    def each(value):
        return dict(type=float, nargs=subnets, default=value if subnets is None else [value] * subnets)
    add = parser.add_argument
    add("--style", type=Path, required=True, help="the painting")
    add("--photos", type=Path, nargs="+", required=True, help="folders of photographs")
    add("--name", help="default: the painting's file name")
    add("--title", help="what people read")
    add("--credit", default="", help="painter, title and year")
    add("--license", default="mit", help="of the trained weights")
    add("--loss-network", default="compact", help="compact, vgg16 or vgg19 (fetched once), or the file of an encoder")
    add("--content-layers", nargs="+", default=CONTENT_LAYERS)
    add("--style-layers", nargs="+", default=STYLE_LAYERS)
    add("--content-weight", **each(1.0))
    add("--style-weight", **each(5.0))
    add("--variation-weight", **each(3.0))
    add("--start", type=Path, help="a trained network to start from, of any style")
    add("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")


def loss_network(a, where):
    """The extractor that --loss-network names. Raises SystemExit for layers that it does not have."""
    layers = {*a.content_layers, *a.style_layers}
    named = a.loss_network in backbones.BACKBONES
    network = backbones.load(a.loss_network, layers) if named else checkpoints.load(a.loss_network)
    if missing := layers - {*network.layers}:
        raise SystemExit(f"{a.loss_network} has no layer {', '.join(sorted(missing))}, but {', '.join(network.layers)}")
    return network.to(where)


def export(path, network, a, result, **metadata):
    """Save a style, and beside it what the gallery shows of it: an example photograph as the network paints it."""
    name = path.stem
    checkpoints.save(path, network, name=name, license=a.license, title=a.title or name.replace("-", " ").capitalize(),
                     credit=a.credit, style_weight=a.style_weight,
                     started_from=a.start.stem if a.start else "random weights", **metadata, **result)
    if TILE.exists():
        images.save(fixed.stylize(images.load(TILE), path, size=TILE_SIZE, device=a.device), path.with_suffix(".jpg"))


def reconstruction_loss(output, image):
    """Mean squared error over each picture's variance."""
    return ((output - image).pow(2).mean((1, 2, 3)) / (image.var((1, 2, 3)) + 1e-3)).mean()


def outside(image):
    """Mean square of what clamping to [0, 1] would cut off."""
    return (image - image.clamp(0, 1)).pow(2).mean()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments(p)
    loop.arguments(p, steps=6000, learning_rate=0.01, batch=2, crop=256, run=None)
    p.add_argument("--vgg19", help="VGG-19 (a file, or \"hub\" to fetch torchvision's), which looks at half of each batch too")
    p.add_argument("--pixel-weight", type=float, default=0.0)
    p.add_argument("--style-size", type=int, default=512, help="long side of the painting, pixels")
    p.add_argument("--width", type=int, default=16, help="channels of the first layer; 32 in the paper")
    a = p.parse_args()
    name = a.name or a.style.stem
    run = a.run or Path("runs/johnson") / name

    accelerator = loop.accelerator(run, a)
    where, share = accelerator.device, (accelerator.process_index, accelerator.num_processes)
    torch.manual_seed(a.seed)
    photos, held_out = Pictures(*a.photos, short_side=max(272, a.crop), device=where, share=share).split(16)
    test = held_out.crops(8, a.crop, loop.seeded(1, 0), share=(0, 1))
    painting = images.load(a.style, a.style_size).to(where)
    loss, judge = PerceptualLoss(loss_network(a, where), painting, a.content_layers, a.style_layers), None
    if a.vgg19:
        vgg19 = teachers.vgg19(a.vgg19).to(where)  # as deep as its file reaches
        judge = PerceptualLoss(vgg19, painting, *([n for n in layers if n in vgg19.layers]
                                                  for layers in (a.content_layers, a.style_layers)))
    if a.start:
        network = checkpoints.load(a.start).requires_grad_(True).train()
    else:
        network = Johnson(a.width)
        with torch.no_grad():  # begin near the photograph's greys, not at an arbitrary colour
            network.last.bias.fill_(0.5)
            network.last.weight *= 0.3
    network.to(where, memory_format=torch.channels_last)

    def losses_of(image, look):
        output = network(image).float()
        content, style = loss(output, image)
        if look:
            part = max(1, len(image) // 2)
            judged_content, judged_style = judge(output[:part], image[:part])
            content, style = (content + judged_content) / 2, (style + judged_style) / 2
        return output, {"content": content, "style": style, "pixel": F.mse_loss(output, image),
                        "variation": total_variation(output), "outside": outside(output)}

    def step(iteration, image, _):
        progress = iteration / a.steps
        if progress < WARM_UP and not a.start:
            reconstruction = reconstruction_loss(network(image).float(), image)
            return {"total": 10 * reconstruction, "reconstruction": reconstruction}
        _, losses = losses_of(image, judge is not None and progress >= JUDGE)
        ramp = 1.0 if a.start else min(1.0, 0.05 + progress / RAMP)
        total = (a.content_weight * losses["content"] + ramp * a.style_weight * losses["style"]
                 + a.pixel_weight * losses["pixel"] + a.variation_weight * losses["variation"] + 10 * losses["outside"])
        return {"total": total, **losses}

    def validate():
        output, losses = losses_of(test, judge is not None)
        return {name: float(value) for name, value in losses.items()}, output[:4]

    def save(result, folder=run):
        export(folder / f"{name}.safetensors", network, a, result, family="johnson", command="python -m training.johnson",
               trained_on=f"{len(photos)} photographs", device=str(where))

    result = loop.train(accelerator, lambda rng: photos.crops(a.batch, a.crop, rng, scale=(0.8, 1.06)), step,
                        {"network": network}, Muon(network.parameters(), a.learning_rate), steps=a.steps, run=run,
                        schedule=lambda i: loop.cosine(i, a.steps), seed=a.seed, resume=a.resume, validate=validate,
                        export=save, workers=photos.workers, save_every=a.save_every)
    if accelerator.is_main_process:
        save(result, a.output)


if __name__ == "__main__":
    loop.run(main)
