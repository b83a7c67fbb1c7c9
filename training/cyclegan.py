"""Train CycleGAN between two unpaired collections (Zhu et al. 2017): photographs to a school's paintings, and back.

    python -m training.cyclegan --photos FOLDER --paintings FOLDER --name NAME [--steps 20000]

Two generators and two discriminators: least-squares adversarial losses, cycle consistency (lambda 10), identity. Deviations
from the paper, all off under `--recipe paper`: the discriminators are small heads on the features of the compact encoder
(Projected GANs), the first steps teach the generators to give their input back, and Muon trains them.
"""

from pathlib import Path

import torch
import torch.nn.functional as F

from style_transfer import checkpoints
from style_transfer.networks.cyclegan import FeatureDiscriminator, Generator, PatchDiscriminator
from training import loop, styles
from training.losses import RANGE, least_squares, range_penalty
from training.muon import Muon

FEATURES = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")  # that the heads look at
PHOTO_SCALE, PAINTING_SCALE = (0.7, 1.5), (0.5, 1.2)  # of a crop's side is taken of a picture: strokes are to be seen
BUFFER = 50  # generated pictures that a discriminator is shown again; Zhu et al. 2017, section 4
BETAS = (0.5, 0.999)  # of Adam


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
    p = loop.parser("cyclegan", __doc__, steps=20000, learning_rate=0.005, batch=2, crop=128)
    add = p.add_argument
    add("--photos", type=Path, nargs="+", required=True, help="folders of photographs")
    add("--paintings", type=Path, nargs="+", required=True, help="folders of one painter's or school's pictures")
    add("--name", required=True, help="of the painting generator's file; the other one's is NAME-to-photo")
    add("--title", help="what people read")
    add("--credit", default="", help="whose paintings")
    add("--license", default="mit", help="of the trained weights")
    add("--width", type=loop.number(int, 1), default=16, help="channels of the generators' first layer; 64 in the paper")
    add("--blocks", type=loop.number(int, 1), default=6, help="residual blocks; 9 in the paper")
    add("--discriminator", choices=("features", "patch"), default="features")
    add("--discriminator-rate", type=loop.number(), default=5e-4)
    add("--optimizer", choices=("muon", "adam"), default="muon", help="of the generators")
    add("--cycle-weight", type=loop.number(), default=10.0, help="lambda")
    add("--identity-weight", type=loop.number(), default=5.0, help="of pictures that are in a generator's style already")
    add("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors", help="for the discriminators")
    add("--start", type=Path, nargs=2, help="two generators to start from, the painting one first")
    add("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")
    a = p.parse_args()
    a.run_folder = a.run_folder or Path("runs", "cyclegan", a.name)
    run = loop.Run(a)
    photos, test_photos = run.pictures(a.photos, styles.HELD_OUT)
    paintings, test_paintings = run.pictures(a.paintings, styles.HELD_OUT)
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
    made = []  # (photographs, paintings) of the generators' part of a step, for the discriminators' part

    def scores(judge, pictures):
        return judge(encoder(pictures, FEATURES) if a.discriminator == "features" else pictures)

    def draw(rng):
        return (photos.crops(a.batch, a.crop, rng, scale=PHOTO_SCALE),
                paintings.crops(a.batch, a.crop, rng, scale=PAINTING_SCALE))

    def generate(iteration, pictures, _):
        paint, unpaint = generators
        if styles.warming_up(a, iteration):
            return styles.give_back([paint(pictures[0]), unpaint(pictures[1])], pictures)
        photo, painting = pictures
        painted, unpainted = paint(photo).float(), unpaint(painting).float()
        made.append((unpainted.detach(), painted.detach()))
        found = {"painted": least_squares(scores(discriminators[1], painted), 1.0),
                 "unpainted": least_squares(scores(discriminators[0], unpainted), 1.0),
                 "cycle": F.l1_loss(unpaint(painted), photo) + F.l1_loss(paint(unpainted), painting),
                 "identity": F.l1_loss(paint(painting), painting) + F.l1_loss(unpaint(photo), photo)}
        return {"total": found["painted"] + found["unpainted"] + a.cycle_weight * found["cycle"]
                + a.identity_weight * found["identity"] + RANGE * (range_penalty(painted) + range_penalty(unpainted)), **found}

    def discriminate(iteration, pictures, rng):
        real, fake = 0.0, 0.0
        if styles.warming_up(a, iteration):  # nothing is painted yet
            fakes = [x.detach() for x in pictures[::-1]]
        else:
            fakes = [buffer.exchange(x, rng) for buffer, x in zip(buffers, made.pop(0))]
        for judge, true, false in zip(discriminators, pictures, fakes):
            real = real + least_squares(scores(judge, true), 1.0)
            fake = fake + least_squares(scores(judge, false), 0.0)
        return {"total": (real + fake) / 2, "real": real, "fake": fake}

    def validate():
        painted, unpainted = generators[0](test[0]), generators[1](test[1])
        cycle = F.l1_loss(generators[1](painted), test[0]) + F.l1_loss(generators[0](unpainted), test[1])
        return {"cycle": float(cycle)}, torch.cat([test[0], painted, test[1], unpainted])

    def export(result, folder=run.folder):
        title = a.title or a.name.replace("-", " ").capitalize()
        for network, name, what in zip(generators, (a.name, f"{a.name}-to-photo"), (title, f"{title}, back to a photograph")):
            run.save(folder / f"{name}.safetensors", network, result, title=what, family="cyclegan", license=a.license,
                     credit=a.credit, trained_on=f"{len(photos)} photographs, {len(paintings)} paintings",
                     started_from=" and ".join(x.stem for x in a.start) if a.start else "random weights")
            styles.tile(run, folder / f"{name}.safetensors")

    parameters = [p for network in generators for p in network.parameters()]
    optimizer = (Muon(parameters, a.learning_rate) if a.optimizer == "muon"
                 else torch.optim.Adam(parameters, a.learning_rate, BETAS))
    judges = torch.optim.Adam([p for network in discriminators for p in network.parameters()], a.discriminator_rate, BETAS)
    phases = [loop.Phase(generate, optimizer, lambda i: loop.falling(i, a.steps)),
              loop.Phase(discriminate, judges, lambda i: loop.falling(i, a.steps))]
    modules = {f"{kind} {i}": m for kind, pair in (("generator", generators), ("discriminator", discriminators),
                                                   ("buffer", buffers)) for i, m in enumerate(pair)}
    export(run.train(draw, phases, modules, validate=validate, export=export,
                     workers=max(photos.workers, paintings.workers)), a.output)


if __name__ == "__main__":
    loop.execute(main)
