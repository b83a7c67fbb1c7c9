"""Take the grid out of a decoder of AdaIN or WCT: it learns to paint as its mean over shifts of the photograph.

    python -m training.spin --decoder checkpoints/wct-decoder.safetensors --photos PHOTOS --paintings PAINTINGS [--steps 400]

What a decoder lays over plain areas to meet a style's statistics keeps to the places of its upsampling, as a mesh. The mean
over shifts (cycle spinning, Coifman and Donoho 1995) has none, but takes as many passes: here it is what is learnt from.
"""

from pathlib import Path

import torch

from style_transfer import checkpoints
from style_transfer.arbitrary import METHODS
from style_transfer.errors import InputError
from style_transfer.transforms import apply, statistics
from training import loop, sources
from training.adain import HELD_OUT, JITTER, LEVELS, SCALE
from training.losses import psnr
from training.precondition import Preconditioned, whitening
from training.slim import distance

SHIFTS = ((0, 0), (4, 12), (10, 6), (14, 10))  # pixels down and right; no two agree in a row or a column of a cell of 8
PERIOD = 16  # pixels of the photograph around a crop, so that it can be shifted
VALIDATION = (16, 240)  # crops of held-out pictures, pixels
SMOKE = {"photos": [loop.EXAMPLES / "photos"], "paintings": [loop.EXAMPLES / "styles"], "output": "decoder.safetensors"}


def shifted(paint, image, shift):
    """What paint makes of a picture [N, 3, H, W] that begins `shift` pixels later, but for a border of PERIOD: [N, 3, h, w]."""
    (down, right), (height, width) = shift, (side - PERIOD for side in image.shape[2:])
    out = paint(image[:, :, down:down + height, right:right + width])
    return out[:, :, PERIOD - down:height - down, PERIOD - right:width - right]


def spun(paint, image):
    """The mean of what paint makes of a picture at all `SHIFTS`, of the same extent as `shifted`."""
    return sum(shifted(paint, image, shift) for shift in SHIFTS) / len(SHIFTS)


def main():
    p = loop.parser("spin", __doc__, steps=400, optimizer="muon", learning_rate=2e-3, batch=4, crop=176)
    add = p.add_argument
    add("--decoder", type=Path, default=checkpoints.FOLDER / "adain-decoder.safetensors", help="what is trained on")
    add("--photos", nargs="+", required=True, help=sources.HELP)
    add("--paintings", nargs="+", required=True, help="the same")
    add("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors")
    add("-o", "--output", type=Path, help="default: the decoder's own file")
    a = loop.parse(p, smoke=SMOKE)
    a.output, family = a.output or a.decoder, checkpoints.describe(a.decoder).get("family")
    a.run_folder = a.run_folder or Path("runs/spin") / a.decoder.stem
    run = loop.Run(a)
    encoder, teacher = checkpoints.load(a.encoder, run.device), checkpoints.load(a.decoder, run.device)
    if getattr(teacher, "level", None) != LEVELS.get(family):
        raise InputError(f"{a.decoder} is no decoder of AdaIN or WCT in one pass: name one that training.adain made.")
    transforms, layers = METHODS[family].transforms, teacher.layers
    photos, test_photos = run.pictures(a.photos, HELD_OUT)
    paintings, test_paintings = run.pictures(a.paintings, HELD_OUT)
    test = test_photos.fixed(*VALIDATION, 1), test_paintings.fixed(*VALIDATION, 2)
    with torch.no_grad():
        features = encoder(photos.fixed(32, a.crop, 3), layers)
    network = Preconditioned(teacher, {n: whitening(f) for n, f in features.items()}).requires_grad_(True)
    network = network.to(run.device, memory_format=torch.channels_last)
    teacher = teacher.to(memory_format=torch.channels_last)

    def painter(decoder, style):
        """image -> what a decoder paints of it with the statistics of a batch of styles."""
        with torch.no_grad():
            of_style = {n: statistics(f) for n, f in encoder(style, layers).items()}

        def paint(image):
            with torch.no_grad():
                found = encoder(image, layers)
            with torch.autocast(run.device.type, enabled=False):  # statistics need the digits
                found = {n: apply(transforms[n](statistics(f), of_style[n]), f) for n, f in found.items()}
            return decoder(found).float()
        return paint

    def draw(rng):
        style = (paintings if rng.random() < 0.8 else photos).crops(a.batch, a.crop, rng, scale=SCALE, jitter=JITTER)
        return photos.crops(a.batch, a.crop, rng), style, rng.choice(SHIFTS)

    def step(_, drawn, rng):
        content, style, shift = drawn
        with torch.no_grad():
            target = spun(painter(teacher, style), content)
        return {"total": distance(shifted(painter(network, style), content, shift), target)}

    def validate():
        target = spun(painter(teacher, test[1]), test[0])
        output = shifted(painter(network, test[1]), test[0], SHIFTS[0])
        return ({"total": float(distance(output, target)), "psnr": psnr(output, target)},
                [x[:8, :, :target.shape[2], :target.shape[3]] for x in (test[0][:, :, PERIOD:, PERIOD:], target, output)])

    def export(result, folder=run.folder, mark=""):
        header = {key: checkpoints.describe(a.decoder)[key] for key in ("title", "license", "encoder")}
        run.save(folder / a.output.with_stem(f"{a.output.stem}{mark}").name, network.fold(), result, family=family, **header,
                 trained_on=f"{len(photos)} photographs, {len(paintings)} paintings")

    phase = loop.Phase(step, loop.optimizer(a, network.parameters()), loop.schedule(a))
    export(run.train(draw, [phase], {"decoder": network}, validate=validate, export=export,
                     best=lambda result: export(result, mark=loop.BEST), workers=max(photos.workers, paintings.workers)),
           a.output.parent)


if __name__ == "__main__":
    loop.execute(main)
