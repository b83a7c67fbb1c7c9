"""Train Multimodal Transfer for one painting (Wang et al. 2017).

    python -m training.multimodal --style PICTURE --photos FOLDER --name NAME [--steps 8000]

Loss: sum over the three subnets of lambda * (content + style + total variation), each against the photograph at its own
size and the painting at 256, 512 and 1024 pixels. Deviations from the paper, all but the first off under `--recipe paper`:
what each subnet is shown is a crop; losses as in training/losses.py; Muon and a cosine instead of Adam and a staircase; and
the style subnet learns alone at first, because steps are cheap while the two large pictures are not painted.
"""

import torch.nn.functional as F
from torch import nn

from style_transfer import images
from style_transfer.losses import total_variation
from style_transfer.networks.multimodal import Multimodal
from training import loop, styles
from training.data import SHORT_SIDE
from training.losses import RANGE, STYLE_LAYERS, PerceptualLoss, hierarchical, range_penalty

SIZES = (256, 512, 1024)  # long sides of the painting, pixels
SCALE = (0.4, 0.65)  # of a crop's side is taken of a photograph: 1024 pixels are about 400 of those of 272 on the short side
ALONE = 0.4  # part of the steps in which the style subnet learns alone
RAMP = 0.2  # part of the steps in which a subnet's style grows to its full weight
# Wang et al. 2017, section 4, with Johnson's weight of the style; how long to train is ours.
PAPER = {"steps": 80000, "optimizer": "adam", "schedule": "staircase", "learning_rate": 1e-3, "batch": 1, "crop": 1024,
         "widths": [16, 32, 32], "loss_network": "vgg19", "content_layers": ["relu4_2"], "style_layers": STYLE_LAYERS,
         "style_weight": 3 * [5 * 57 ** 2]}


def main():
    p = loop.parser("multimodal", __doc__, steps=8000, optimizer="muon", learning_rate=0.01, batch=1, crop=384, smallest=64)
    add = p.add_argument
    add("--widths", type=loop.number(int, 1), nargs=3, default=(16, 16, 16), help="of the subnets; 16 32 32 in the paper")
    add("--lambdas", type=loop.number(), nargs=3, default=(1.0, 0.5, 0.25), help="weights of the three losses")
    a = styles.parse(p, subnets=3, paper=PAPER)
    run = loop.Run(a)
    network = Multimodal(a.widths)
    for parameter in network.refine[-1].parameters():
        nn.init.zeros_(parameter)  # it begins as the identity
    network = styles.begin(a.start, network, [network.style.both[-1], network.enhance[-1]], run.device)
    encoder = styles.loss_network(a, run.device)
    perceptual = [PerceptualLoss(encoder, images.load(a.style, size).to(run.device), a.content_layers, a.style_layers,
                                 a.recipe == "paper") for size in SIZES]
    photos, held_out = run.pictures(a.photos, styles.HELD_OUT, short_side=max(SHORT_SIDE, round(a.crop * SCALE[1])))
    test = held_out.fixed(4, a.crop, 1, scale=SCALE)

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
                           "range": range_penalty(output)})
        return painted, losses

    def with_total(losses, grown=(1.0, 1.0, 1.0)):
        """What is minimised and what is recorded of each subnet's losses; grown: parts of the styles' weights."""
        weights = zip(a.content_weight, a.style_weight, a.variation_weight, grown, losses)
        totals = [content * of["content"] + ramp * style * of["style"] + variation * of["variation"] + RANGE * of["range"]
                  for content, style, variation, ramp, of in weights]
        named = {f"{name} {size}": of[name] for size, of in zip(SIZES, losses) for name in ("content", "style")}
        return {"total": hierarchical(totals, a.lambdas), **named}

    def step(iteration, image, _):
        if styles.warming_up(a, iteration):
            photographs = pyramid(image)
            return styles.give_back(network(photographs[0]), photographs)
        progress = iteration / a.steps
        _, losses = losses_of(image, 1 if progress < ALONE and styles.eased(a) else 3)
        return with_total(losses, [styles.ramp(a, progress - start, RAMP) for start in (0, ALONE, ALONE)])

    def validate():
        painted, losses = losses_of(test)
        return {name: float(value) for name, value in with_total(losses).items()}, [test, painted[-1]]

    styles.train(run, network, photos, step, SCALE, validate=validate)


if __name__ == "__main__":
    loop.execute(main)
