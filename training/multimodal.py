"""Train Multimodal Transfer for one painting (Wang et al. 2017).

    python -m training.multimodal --style PICTURE --photos FOLDER --name NAME [--steps 8000]

Loss: sum over the three subnets of lambda * (content + style + total variation), each against the photograph at its own
size and the painting at 256, 512 and 1024 pixels. Deviations from the paper: as in training/losses.py; Muon instead
of Adam, with a cosine instead of the staircase that --decay gives; and the style subnet learns alone at first, because
steps are cheap while the two large pictures are not painted.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

from style_transfer import checkpoints, images
from style_transfer.losses import total_variation
from style_transfer.networks.multimodal import Multimodal
from training import loop
from training.data import Pictures
from training.johnson import arguments, export, loss_network, outside, reconstruction_loss
from training.losses import PerceptualLoss, hierarchical
from training.muon import Muon

SIZES = (256, 512, 1024)  # long sides of the painting, pixels
WARM_UP = 0.04  # part of the steps in which all three subnets learn to give the photograph back
SCALE = (0.4, 0.65)  # of a crop's side is taken of a photograph: 1024 pixels are about 400 of those of 272 on the short side
ALONE = 0.4  # part of the steps in which the style subnet learns alone
RAMP = 0.2  # part of the steps in which a subnet's style grows to its full weight


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments(p, subnets=3)
    loop.arguments(p, steps=8000, learning_rate=0.01, batch=1, crop=384, run=None)
    p.add_argument("--widths", type=int, nargs=3, default=(16, 16, 16), help="channels of the subnets; 16 32 32 in the paper")
    p.add_argument("--lambdas", type=float, nargs=3, default=(1.0, 0.5, 0.25), help="weights of the three losses")
    p.add_argument("--decay", type=int, help="steps after which the learning rate falls to 0.8 of itself, 2000 in the paper; "
                                             "default: it falls along a cosine")
    a = p.parse_args()
    if a.crop % 16:
        p.error("--crop must be a multiple of 16")
    name = a.name or a.style.stem
    run = a.run or Path("runs/multimodal") / name

    accelerator = loop.accelerator(run, a)
    where, share = accelerator.device, (accelerator.process_index, accelerator.num_processes)
    torch.manual_seed(a.seed)
    short_side = max(272, round(a.crop * SCALE[1]))
    photos, held_out = Pictures(*a.photos, short_side=short_side, device=where, share=share).split(16)
    test = held_out.crops(4, a.crop, loop.seeded(1, 0), scale=SCALE, share=(0, 1))
    encoder = loss_network(a, where)
    perceptual = [PerceptualLoss(encoder, images.load(a.style, size).to(where), a.content_layers, a.style_layers)
                  for size in SIZES]
    if a.start:
        network = checkpoints.load(a.start).requires_grad_(True).train()
    else:
        network = Multimodal(a.widths)
        with torch.no_grad():
            for last in (network.style.both[-1], network.enhance[-1]):
                last.weight *= 0.3
                last.bias.fill_(0.5)
            network.refine[-1].weight.zero_()  # begin as the identity
            network.refine[-1].bias.zero_()
    network.to(where, memory_format=torch.channels_last)

    def pyramid(image):
        """The photograph at a quarter, half and all of its sides."""
        return [F.avg_pool2d(image, 4), F.avg_pool2d(image, 2), image]

    def losses_of(image, outputs=3):
        photographs = pyramid(image)
        painted = [x.float() for x in network(photographs[0], outputs)]
        losses = []
        for output, photograph, loss in zip(painted, photographs, perceptual):
            content, style = loss(output, photograph)
            losses.append({"content": content, "style": style, "variation": total_variation(output),
                           "outside": outside(output)})
        return painted, losses

    def named(losses):
        """What is recorded of each subnet's losses."""
        return {f"{name} {size}": of[name] for size, of in zip(SIZES, losses) for name in ("content", "style")}

    def ramp(progress, start):
        return 1.0 if a.start else min(1.0, 0.05 + (progress - start) / RAMP)

    def step(iteration, image, _):
        progress = iteration / a.steps
        if progress < WARM_UP and not a.start:
            photographs = pyramid(image)
            errors = [reconstruction_loss(x.float(), y) for x, y in zip(network(photographs[0]), photographs)]
            return {"total": 10 * sum(errors), "reconstruction": sum(errors) / 3}
        alone = progress < ALONE and not a.start
        _, losses = losses_of(image, 1 if alone else 3)
        ramps = [ramp(progress, start) for start in (0, ALONE, ALONE)]
        weights = zip(a.content_weight, a.style_weight, a.variation_weight, ramps, losses)
        totals = [content * of["content"] + grown * style * of["style"] + variation * of["variation"] + 10 * of["outside"]
                  for content, style, variation, grown, of in weights]
        return {"total": hierarchical(totals, a.lambdas), **named(losses)}

    def validate():
        painted, losses = losses_of(test)
        return {name: float(value) for name, value in named(losses).items()}, painted[-1]

    def save(result, folder=run):
        export(folder / f"{name}.safetensors", network, a, result, family="multimodal", command="python -m training.multimodal",
               trained_on=f"{len(photos)} photographs", device=str(where))

    def schedule(i):
        return loop.staircase(i, a.decay) if a.decay else loop.cosine(i, a.steps)

    result = loop.train(accelerator, lambda rng: photos.crops(a.batch, a.crop, rng, scale=SCALE), step,
                        {"network": network}, Muon(network.parameters(), a.learning_rate), steps=a.steps, run=run,
                        schedule=schedule, seed=a.seed, resume=a.resume,
                        validate=validate, export=save, workers=photos.workers, save_every=a.save_every)
    if accelerator.is_main_process:
        save(result, a.output)


if __name__ == "__main__":
    loop.run(main)
