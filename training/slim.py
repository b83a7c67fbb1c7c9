"""Distil a style's network to a slimmer one of Johnson's, for browsers' cameras.

    python -m training.slim --teacher NAME --photos FOLDER [--width 8] [--blocks 4] [--steps 3000]

Loss: squared error against the teacher's picture over its variance, because a mean keeps rare colours where a median would
grey them, and absolute error of the differences between neighbouring pixels, which keeps lines sharp.
`python -m training.export_onnx` makes the files for browsers of what it leaves.
"""

from pathlib import Path

import torch

from style_transfer import canvas, checkpoints, weights
from style_transfer.errors import InputError
from style_transfer.networks.johnson import Johnson
from training import loop, sources, styles
from training.losses import psnr, reconstruction_loss

FOLDER = checkpoints.FOLDER / checkpoints.CAMERA
EDGES = 2.0  # weight of the differences between neighbouring pixels
SCALE = (0.5, 1.06)  # of a crop's side is taken of a photograph: a camera's pictures are small
SMOKE = {"photos": [loop.EXAMPLES / "photos"], "width": 4, "blocks": 1}


def origin(path):
    """What a weight file's header says of the painting, for what is made of it: {"title", "credit", "license"}."""
    return {key: value for key, value in checkpoints.describe(path).items() if key in ("title", "credit", "license")}


def distance(output, target):
    """Squared error over the variance of `target`, [N, 3, H, W], and `EDGES` times the absolute error of its differences."""
    error = output - target
    return reconstruction_loss(output, target) + EDGES * sum(error.diff(dim=axis).abs().mean() for axis in (2, 3))


def main():
    p = loop.parser("slim", __doc__, steps=3000, optimizer="muon", learning_rate=0.01, batch=2, crop=256, multiple=4)
    p.add_argument("--teacher", required=True, help="a fixed style, or its weight file")
    p.add_argument("--photos", nargs="+", required=True, help=f"photographs: {sources.HELP}")
    p.add_argument("--width", type=loop.number(int, 1), default=8, help="channels of the first layer")
    p.add_argument("--blocks", type=loop.number(int, 0), default=4, help="residual blocks")
    p.add_argument("--start", help="a trained network to start from, of the same size and any style")
    p.add_argument("-o", "--output", type=Path, default=FOLDER, help="folder")
    a = loop.parse(p, smoke=SMOKE)
    path = weights.find(a.teacher)
    a.run_folder = a.run_folder or Path("runs") / "slim" / path.stem
    run = loop.Run(a)
    teacher = checkpoints.load(path, run.device).to(memory_format=torch.channels_last)
    if type(teacher) is not Johnson:
        raise InputError(f"{path.stem} is none of Johnson's networks: name a style of those.")
    network = styles.begin(a.start, Johnson(a.width, a.blocks), [], run.device, canvas=False)
    photos, held_out = run.pictures(a.photos, styles.HELD_OUT, short_side=a.crop)
    test = held_out.fixed(8, a.crop, 1)

    @torch.no_grad()
    def wanted(image):
        return teacher(canvas.prime(image, teacher)).float().clamp(0, 1)

    def step(iteration, image, _):
        return {"total": distance(network(image).float(), wanted(image))}

    def validate():
        output, target = network(test).float(), wanted(test)
        return {"total": float(distance(output, target)), "psnr": psnr(output, target)}, [test[:4], target[:4], output[:4]]

    def export(result, folder=run.folder, mark=""):
        run.save(folder / f"{path.stem}{mark}.safetensors", network, result, teacher=path.stem,
                 trained_on=f"{len(photos)} photographs", **origin(path))

    phase = loop.Phase(step, loop.optimizer(a, network.parameters()), loop.schedule(a))
    export(run.train(lambda rng: photos.crops(a.batch, a.crop, rng, scale=SCALE), [phase], {"network": network},
                     export=export, best=lambda result: export(result, mark=loop.BEST), workers=photos.workers,
                     validate=validate), a.output)


if __name__ == "__main__":
    loop.execute(main)
