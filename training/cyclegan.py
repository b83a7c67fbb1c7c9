"""Train CycleGAN between two unpaired collections (Zhu et al. 2017): photographs to a school's paintings, and back.

    python -m training.cyclegan --photos FOLDER --paintings FOLDER --name NAME [--steps 4500]

Two generators and two discriminators: least-squares adversarial losses, lambda * cycle consistency, identity. Deviations from
the paper, off under `--recipe paper`: the discriminators are small heads on the features of the compact encoder (Projected
GANs), the first steps teach the generators to give their input back, Muon trains them, crops are scaled, and lambda is 3.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F

from style_transfer import checkpoints
from style_transfer.networks.cyclegan import FeatureDiscriminator, Generator, PatchDiscriminator
from training import loop, sources, styles
from training.data import SHORT_SIDE
from training.losses import RANGE, least_squares, range_penalty

FEATURES = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")  # that the heads look at
PHOTO_SCALE, PAINTING_SCALE = (0.45, 1.2), (0.7, 1.2)  # of a crop's side is taken of a picture: strokes are to be seen
BUFFER = 50  # generated pictures that a discriminator is shown again; Zhu et al. 2017, section 4
BETAS = (0.5, 0.999)  # of Adam
# Zhu et al. 2017, section 4 and appendix: crops of 256 out of pictures of 286 pixels, one at a time, 200 epochs
PAPER = {"epochs": 200, "cycle_weight": 10.0, "identity_weight": 5.0, "optimizer": "adam", "learning_rate": 2e-4,
         "discriminator": "patch", "discriminator_rate": 2e-4, "batch": 1, "crop": 256, "short_side": 286,
         "width": 64, "blocks": 9}
SMOKE = {"photos": [loop.EXAMPLES / "photos"], "paintings": [loop.EXAMPLES / "styles"], "name": "smoke"}


class ImageBuffer:
    """The last generated pictures, so that a discriminator does not forget them (Shrivastava et al. 2017, section 2.3)."""

    def __init__(self, size=BUFFER):
        self.size, self.images = size, []

    def exchange(self, images, rng):
        """images: [N, 3, H, W]. Returns as many: each new one is kept, and half of the time an old one given back for it."""
        out = []
        for image in images:
            if len(self.images) < self.size:
                self.images.append(image)
            elif rng.random() < 0.5:
                place = rng.randrange(self.size)
                image, self.images[place] = self.images[place], image
            out.append(image)
        return torch.stack(out)

    def state_dict(self):
        return {"images": self.images}

    def load_state_dict(self, state):
        self.images = list(state["images"])


def main():
    p = loop.parser("cyclegan", __doc__, steps=4500, optimizer="muon", schedule="linear", learning_rate=0.005, batch=2,
                    crop=128)
    add = p.add_argument
    add("--photos", nargs="+", required=True, help=f"photographs: {sources.HELP}")
    add("--paintings", nargs="+", required=True, help="one painter's or school's: the same")
    add("--name", required=True, help="of the painting generator's file; the other one's is NAME-to-photo")
    add("--title", help="what people read")
    add("--credit", default="", help="whose paintings")
    add("--license", default="mit", help="of the trained weights")
    add("--width", type=loop.number(int, 1), default=16, help="channels of the generators' first layer; 64 in the paper")
    add("--blocks", type=loop.number(int, 1), default=6, help="residual blocks; 9 in the paper")
    add("--discriminator", choices=("features", "patch"), default="features")
    add("--discriminator-rate", type=loop.number(), default=1e-3)
    add("--short-side", type=loop.number(int, 32), default=SHORT_SIDE, help="pixels to which larger pictures are reduced")
    add("--epochs", type=loop.number(), help="passes through the larger collection, instead of --steps")
    add("--cycle-weight", type=loop.number(), default=3.0, help="lambda; 10 in the paper")
    add("--identity-weight", type=loop.number(), default=1.0, help="of pictures that are in a generator's style already")
    add("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors", help="for the discriminators")
    add("--start", type=Path, nargs=2, help="two generators to start from, the painting one first")
    add("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")
    a = loop.parse(p, {"paper": PAPER}, SMOKE)
    a.run_folder = a.run_folder or Path("runs", "cyclegan", a.name)
    run = loop.Run(a)
    photos, test_photos = run.pictures(a.photos, styles.HELD_OUT, short_side=a.short_side)
    paintings, test_paintings = run.pictures(a.paintings, styles.HELD_OUT, short_side=a.short_side)
    if a.epochs:
        a.steps = math.ceil(a.epochs * max(len(photos), len(paintings)) / a.batch)
    photo_scale, painting_scale = ((1.0, 1.0), (1.0, 1.0)) if a.recipe == "paper" else (PHOTO_SCALE, PAINTING_SCALE)
    test = [x.fixed(6, max(a.crop, 192), 1) for x in (test_photos, test_paintings)]

    def generator(number):
        network = Generator(a.width, a.blocks)
        return styles.begin(a.start and a.start[number], network, [network.last], run.device)

    # G: photographs to paintings, F: back; the index of a discriminator is that of the collection that it judges
    generators = [generator(0), generator(1)]
    encoder = checkpoints.load(a.encoder, run.device)

    def discriminator(pictures):
        if a.discriminator == "patch":
            return PatchDiscriminator().to(run.device, memory_format=torch.channels_last)
        with torch.no_grad():
            return FeatureDiscriminator(encoder(pictures.fixed(16, a.crop, 2), FEATURES)).to(run.device)

    discriminators = [discriminator(photos), discriminator(paintings)]
    buffers = [ImageBuffer(), ImageBuffer()]

    def scores(judge, pictures):
        return judge(encoder(pictures, FEATURES) if a.discriminator == "features" else pictures)

    def draw(rng):
        return {"real": (photos.crops(a.batch, a.crop, rng, scale=photo_scale),
                         paintings.crops(a.batch, a.crop, rng, scale=painting_scale))}

    def generate(iteration, pictures, _):
        paint, unpaint = generators
        photo, painting = pictures["real"]
        if styles.warming_up(a, iteration):
            pictures["fake"] = painting, photo  # nothing is painted yet
            return styles.give_back([paint(photo), unpaint(painting)], [photo, painting])
        painted, unpainted = paint(photo).float(), unpaint(painting).float()
        pictures["fake"] = unpainted.detach(), painted.detach()
        found = {"painted": least_squares(scores(discriminators[1], painted), 1.0),
                 "unpainted": least_squares(scores(discriminators[0], unpainted), 1.0),
                 "cycle": F.l1_loss(unpaint(painted), photo) + F.l1_loss(paint(unpainted), painting),
                 "identity": F.l1_loss(paint(painting), painting) + F.l1_loss(unpaint(photo), photo)}
        return {"total": found["painted"] + found["unpainted"] + a.cycle_weight * found["cycle"]
                + a.identity_weight * found["identity"] + RANGE * (range_penalty(painted) + range_penalty(unpainted)), **found}

    def discriminate(iteration, pictures, rng):
        real, fake = 0.0, 0.0
        for judge, buffer, true, false in zip(discriminators, buffers, pictures["real"], pictures["fake"]):
            if not styles.warming_up(a, iteration):
                false = buffer.exchange(false, rng)
            real = real + least_squares(scores(judge, true), 1.0)
            fake = fake + least_squares(scores(judge, false), 0.0)
        return {"total": (real + fake) / 2, "real": real, "fake": fake}

    def validate():
        painted, unpainted = generators[0](test[0]), generators[1](test[1])
        cycle = F.l1_loss(generators[1](painted), test[0]) + F.l1_loss(generators[0](unpainted), test[1])
        return {"cycle": float(cycle)}, [test[0], painted, test[1], unpainted]

    def export(result, folder=run.folder):
        title = a.title or a.name.replace("-", " ").capitalize()
        directions = (a.name, title, "photograph"), (f"{a.name}-to-photo", f"{title}, back to a photograph", "painting")
        picture = styles.TILE
        for network, (name, what, takes) in zip(generators, directions):
            path = folder / f"{name}.safetensors"
            run.save(path, network, result, title=what, family="cyclegan", input=takes, license=a.license, credit=a.credit,
                     trained_on=f"{len(photos)} photographs, {len(paintings)} paintings",
                     started_from=" and ".join(x.stem for x in a.start) if a.start else "random weights")
            picture = styles.tile(run, path, picture)  # the second one's is what it makes of the first one's

    parameters = [p for network in generators for p in network.parameters()]
    judges = torch.optim.Adam([p for network in discriminators for p in network.parameters()], a.discriminator_rate, BETAS)
    phases = [loop.Phase(generate, loop.optimizer(a, parameters, betas=BETAS), loop.schedule(a)),
              loop.Phase(discriminate, judges, loop.schedule(a))]
    modules = {f"{kind} {i}": m for kind, pair in (("generator", generators), ("discriminator", discriminators))
               for i, m in enumerate(pair)}
    local = {f"buffer {i}": buffer for i, buffer in enumerate(buffers)}
    export(run.train(draw, phases, modules, local=local, validate=validate, export=export,
                     workers=max(photos.workers, paintings.workers)), a.output)


if __name__ == "__main__":
    loop.execute(main)
