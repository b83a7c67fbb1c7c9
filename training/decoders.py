"""Train the five reconstruction decoders of WCT on the compact encoder (Li et al. 2017, section 3.1).

    python -m training.decoders --pictures PHOTOS PAINTINGS [--steps 10000]

Each step trains one of the decoders 2 to 5. Loss: ||I - D(E(I))||^2 on features as they are, and lambda ||F - E(D(F))||^2
on features F = WCT(E(I), E(J)), because that is what the decoders are used on. The logarithm of both is taken: the levels
differ a hundredfold, and one lambda and rate shall serve all. In the last third batch normalisation is frozen, as it will
be when the decoders are used. Decoder 1 is one convolution, so least squares give it. Under `--recipe paper` the features
are the pictures' own, and errors count as they are, with a lambda of 1; how long to train is ours.
"""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from style_transfer import checkpoints
from style_transfer.networks.blocks import reflection_pad
from style_transfer.networks.decoder import Decoder
from style_transfer.transforms import apply, statistics, wct
from training import loop, sources
from training.data import HELD_OUT
from training.losses import feature_reconstruction, psnr, relative_error
from training.precondition import LEVELS, least_squares, new_decoders

FROZEN = 0.65  # part of the steps after which batch normalisation is
TRANSFORMED = 4  # one of so many pictures is transformed; its second pass through the encoder is slow
ALPHAS = (0.3, 1.0)  # of the transform: as people use it, from a trace to all of the style
LOG_FLOOR = 1e-6  # of errors, before their logarithm: a decoder that is perfect gets no infinite reward
PAPER = {"steps": 80000, "learning_rate": 1e-4, "schedule": "constant", "feature_weight": 1.0, "crop": 256, "batch": 8}
SMOKE = {"pictures": [loop.EXAMPLES / "photos", loop.EXAMPLES / "styles"]}


@torch.no_grad()
def first_decoder(encoder, image):
    """The decoder from relu1_1: the 3x3 convolution with the least squared error on `image`."""
    decoder = Decoder(1, encoder.depths, encoder.widths).to(image.device)
    neighbourhood = F.unfold(reflection_pad(encoder(image, ["relu1_1"])["relu1_1"]), 3)
    weight, bias = least_squares(neighbourhood.view(len(image), -1, *image.shape[2:]), image)
    decoder.head.weight.copy_(weight.view_as(decoder.head.weight))
    decoder.head.bias.copy_(bias)
    return decoder


def transformed(features, styles, rng):
    """Features [N, C, H, W] whitened and coloured by the N feature maps `styles`, each blended by an alpha of its own."""
    alphas = features.new_tensor([rng.uniform(*ALPHAS) for _ in features]).view(-1, 1, 1, 1)
    return features.lerp(apply(wct(statistics(features), statistics(styles)), features), alphas)


def main():
    p = loop.parser("decoders", __doc__, steps=10000, learning_rate=3e-3, batch=8, crop=208, run_folder="runs/decoders")
    add = p.add_argument
    add("--pictures", nargs="+", required=True, help=sources.HELP)
    add("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors")
    add("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")
    add("--levels", type=int, nargs="+", default=list(LEVELS), choices=list(LEVELS), help="train these only")
    add("--feature-weight", type=loop.number(), default=0.3, help="lambda")
    add("--start", type=Path, help="state.pt of training.distill's second stage: go on from its decoders")
    a = loop.parse(p, {"paper": PAPER}, SMOKE)
    run = loop.Run(a, smallest=2)  # one picture is transformed in the style of another

    encoder = checkpoints.load(a.encoder, run.device)
    pictures, held_out = run.pictures(a.pictures, HELD_OUT)
    test = held_out.fixed(24, a.crop, 1)
    decoders = new_decoders(encoder, pictures.fixed(32, 144, 2), a.seed)
    if a.start:
        loop.load_state(decoders, loop.read_state(a.start)["modules"].get("decoders", {}), a.start)
    decoders = decoders.to(run.device, memory_format=torch.channels_last)

    def papers_step(_, image, rng):
        level = rng.choices(a.levels, [LEVELS[n] for n in a.levels])[0]
        layer = f"relu{level}_1"
        with torch.no_grad():
            features = encoder(image, [layer])
        output = decoders[str(level)](features).float()
        pixel, feature = F.mse_loss(output, image), feature_reconstruction(encoder(output, [layer]), features)
        return {"total": pixel + a.feature_weight * feature, f"pixel{level}": pixel, f"feature{level}": feature}

    def step(iteration, image, rng):
        if iteration > FROZEN * a.steps:
            decoders.eval()
        level = rng.choices(a.levels, [LEVELS[n] for n in a.levels])[0]
        layer, part = f"relu{level}_1", max(1, len(image) // TRANSFORMED)
        with torch.no_grad():
            features = encoder(image, [layer])[layer].float()
            with torch.autocast(run.device.type, enabled=False):
                stylized = transformed(features[:part], features[part:2 * part], rng)
        output = decoders[str(level)]({layer: torch.cat([features[part:], stylized])}).float()
        pixel = F.mse_loss(output[:-part], image[part:]) / image.var()
        feature = relative_error(encoder(output[-part:], [layer])[layer], stylized)
        total = (pixel + LOG_FLOOR).log() + a.feature_weight * (feature + LOG_FLOOR).log()
        return {"total": total, f"pixel{level}": pixel, f"feature{level}": feature}

    def validate():
        """Peak signal to noise ratios of all levels, and as total the geometric mean of the trained ones' squared errors."""
        features, training = encoder(test, [f"relu{level}_1" for level in LEVELS]), decoders.training
        decoders.eval()
        rebuilt = {level: decoders[str(level)](features).float() for level in LEVELS}
        decoders.train(training)
        found = {f"psnr{level}": psnr(image, test) for level, image in rebuilt.items()}
        mean = sum(found[f"psnr{level}"] for level in a.levels) / len(a.levels)
        return {"total": 10 ** (-mean / 10), **found}, [image[:8] for image in (test, *rebuilt.values())]

    def export(result, folder=run.folder, mark="", first=None):
        """Save the decoders that learn, and the `first` where it is there."""
        finished = {} if first is None else {1: first}
        for level, decoder in (finished | {n: decoders[str(n)].fold() for n in a.levels}).items():
            run.save(folder / f"wct-decoder-{level}{mark}.safetensors", decoder, result if level > 1 else {}, family="wct",
                     title=f"WCT decoder from relu{level}_1", license="mit", encoder=checkpoints.fingerprint(encoder),
                     trained_on=f"{len(pictures)} pictures")

    phase = loop.Phase(papers_step if a.recipe == "paper" else step, loop.optimizer(a, decoders.parameters()), loop.schedule(a))
    result = run.train(lambda rng: pictures.crops(a.batch, a.crop, rng), [phase], {"decoders": decoders}, validate=validate,
                       export=export, best=partial(export, mark=loop.BEST), workers=pictures.workers)
    export(result, a.output, first=first_decoder(encoder, pictures.fixed(64, 96, 3)))


if __name__ == "__main__":
    loop.execute(main)
