"""Train Johnson's network for one painting (Johnson et al. 2016).

    python -m training.johnson --style PICTURE --photos FOLDER --name NAME [--steps 6000]

Loss: content + style + pixel + total variation + what lies outside of [0, 1], each times its weight. Deviations from the
paper, all off under `--recipe paper`: losses as in training/losses.py; what repeats with the network's strides costs,
which the loss network's own lattice would reward; a canvas (style_transfer/canvas.py); Muon; the first steps teach the network
to give its input back and the style's weight grows slowly, because losses in features say little to a random network. The loss
network is the compact encoder; with --vgg19 the full one looks as well, by default late, because it is slow.
"""

import torch.nn.functional as F

from style_transfer import canvas, images
from style_transfer.errors import InputError
from style_transfer.losses import total_variation
from style_transfer.networks.johnson import Johnson
from training import loop, styles, teachers
from training.data import SHORT_SIDE
from training.losses import RANGE, PerceptualLoss, grid_penalty, range_penalty

RAMP = 0.3  # part of the steps in which the style grows to its full weight
SCALE = (0.8, 1.06)  # of a crop's side is taken of a photograph: nearly its own size, with some variety
# Johnson et al. 2016, section 4.1: two epochs of COCO's 80,000 photographs. The authors' weight of the style is 5 for
# pictures from 0 to 255, whose features are about 57 times ours and enter the two losses squared and to the fourth.
PAPER = {"steps": 40000, "optimizer": "adam", "schedule": "constant", "learning_rate": 1e-3, "batch": 4, "crop": 256,
         "width": 32, "grid_weight": 0.0, "loss_network": "vgg16", "content_layers": ["relu2_2"],
         "style_layers": ["relu1_2", "relu2_2", "relu3_3", "relu4_3"], "style_weight": 5 * 57 ** 2}


def shifted(pictures, stride, rng):
    """Pictures [N, 3, H, W] less `stride` lines and columns, here or there, so that no lattice stays on the loss network's."""
    top, left = rng.randrange(stride + 1), rng.randrange(stride + 1)
    height, width = (side - stride for side in pictures[0].shape[2:])
    return [x[:, :, top:top + height, left:left + width] for x in pictures]


def main():
    p = loop.parser("johnson", __doc__, steps=6000, optimizer="muon", learning_rate=0.01, batch=2, crop=256, multiple=1)
    p.add_argument("--vgg19", help="VGG-19 (a file, or \"hub\" to fetch torchvision's), which looks at half of each batch too")
    p.add_argument("--vgg19-from", type=loop.number(), default=0.8, help="part of the steps after which it looks")
    p.add_argument("--pixel-weight", type=loop.number(), default=0.0)
    p.add_argument("--grid-weight", type=loop.number(), default=500.0, help="of what repeats with the network's strides")
    p.add_argument("--style-size", type=loop.number(int, 32), default=512, help="long side of the painting, pixels")
    p.add_argument("--width", type=loop.number(int, 1), default=16, help="channels of the first layer; 32 in the paper")
    a = styles.parse(p, paper=PAPER)
    run = loop.Run(a)
    plain = a.recipe == "paper"
    network = Johnson(a.width, canvas=not plain)
    network = styles.begin(a.start, network, [network.last], run.device, canvas=not plain)
    painting = images.load(a.style, a.style_size).to(run.device)
    compact = PerceptualLoss(styles.loss_network(a, run.device), painting, a.content_layers, a.style_layers, plain)
    full = teachers.vgg19(a.vgg19, run.device) if a.vgg19 else None  # as deep as its file reaches
    if full:
        kinds = [[n for n in layers if n in full.layers] for layers in (a.content_layers, a.style_layers)]
        if not all(kinds):
            raise InputError(f"--vgg19 {a.vgg19} must have one of --content-layers and one of --style-layers, but has "
                             f"{', '.join(full.layers)}.")
        full = PerceptualLoss(full, painting, *kinds, plain=plain)
    photos, held_out = run.pictures(a.photos, styles.HELD_OUT, short_side=max(SHORT_SIDE, a.crop))
    test = held_out.fixed(8, a.crop, 1)

    def losses_of(image, look, rng=None):
        output = network(canvas.prime(image, network, rng=rng)).float()
        grid = grid_penalty(output, network.multiple)
        if rng and not plain:
            output, image = shifted([output, image], network.multiple, rng)
        content, style = compact(output, image)
        if look:
            part = max(1, len(image) // 2)
            full_content, full_style = full(output[:part], image[:part])
            content, style = (content + full_content) / 2, (style + full_style) / 2
        return output, {"content": content, "style": style, "pixel": F.mse_loss(output, image),
                        "variation": total_variation(output), "grid": grid, "range": range_penalty(output)}

    def with_total(losses, ramp=1.0):
        total = (a.content_weight * losses["content"]
                 + ramp * a.style_weight * losses["style"]
                 + a.pixel_weight * losses["pixel"]
                 + a.variation_weight * losses["variation"]
                 + a.grid_weight * losses["grid"]
                 + RANGE * losses["range"])
        return {"total": total, **losses}

    def step(iteration, image, rng):
        if styles.warming_up(a, iteration):
            return styles.give_back([network(image)], [image])
        progress = iteration / a.steps
        _, losses = losses_of(image, full is not None and progress >= a.vgg19_from, rng)
        return with_total(losses, styles.ramp(a, progress, RAMP))

    def validate():
        output, losses = losses_of(test, full is not None)
        return {name: float(value) for name, value in with_total(losses).items()}, [test[:4], output[:4]]

    styles.train(run, network, photos, step, SCALE, validate=validate)


if __name__ == "__main__":
    loop.execute(main)
