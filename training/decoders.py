"""Train the five reconstruction decoders of WCT on the compact encoder (Li et al. 2017, section 3.1).

    python -m training.decoders --pictures PHOTOS PAINTINGS [--minutes 30]

Each step trains one of the decoders, the deep ones more often. Loss: ||I - D(E(I))||^2 and lambda ||E(I) - E(D(E(I)))||^2,
of which the logarithm is taken, because the levels differ a hundredfold and one lambda and rate shall serve all. In the
last third batch normalisation is frozen, as it will be when the decoders are used.
"""

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from style_transfer import checkpoints, device
from style_transfer.networks.decoder import Decoder
from training import loop
from training.data import Pictures
from training.losses import relative_error
from training.precondition import Preconditioned, whitening

HELD_OUT = 110  # pictures; more than 50 of them are photographs
SHARE = {1: 0.09, 2: 0.17, 3: 0.21, 4: 0.28, 5: 0.25}  # of the steps


def psnr(output, image):
    """Peak signal to noise ratio in dB of pictures in [0, 1], averaged over the batch."""
    error = (output.clamp(0, 1) - image).pow(2).flatten(1).mean(1)
    return float((-10 * error.log10()).mean())


@torch.no_grad()
def new_decoders(encoder, image):
    """One untrained decoder a level, the level's number minus one its place, whitened by the features of `image`."""
    decoders = nn.ModuleList()
    for level in SHARE:
        decoder, layer = Decoder(level, encoder.depths, encoder.widths), f"relu{level}_1"
        decoders.append(Preconditioned(decoder, {layer: whitening(encoder(image, [layer])[layer])}, fresh=True))
    return decoders


def save_decoders(folder, decoders, encoder, **metadata):
    """Fold the five decoders and write their files, with the encoder that they belong to."""
    for level in SHARE:
        checkpoints.save(folder / f"wct-decoder-{level}.safetensors", decoders[level - 1].fold(), name=f"wct-decoder-{level}",
                         title=f"WCT decoder from relu{level}_1", encoder=checkpoints.fingerprint(encoder), **metadata)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pictures", type=Path, nargs="+", required=True)
    p.add_argument("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors")
    p.add_argument("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--learning-rate", type=float, default=3e-3)
    p.add_argument("--feature-weight", type=float, default=0.1, help="lambda")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--crop", type=int, default=144, help="side of the crops, pixels, a multiple of 16")
    p.add_argument("--run", type=Path, default=Path("runs/decoders"))
    p.add_argument("--device")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()

    where, rng = device.pick(a.device), random.Random(a.seed)
    torch.manual_seed(a.seed)
    pictures, held_out = Pictures(*a.pictures).split(HELD_OUT)
    test = held_out.crops(24, a.crop, random.Random(1), device=where)
    encoder = checkpoints.load(a.encoder, where)
    decoders = new_decoders(encoder, pictures.crops(32, a.crop, random.Random(2), device=where))
    decoders = decoders.to(where, memory_format=torch.channels_last)

    def step(_, progress):
        if progress > 0.65:
            decoders.eval()
        level = rng.choices(list(SHARE), SHARE.values())[0]
        layer = f"relu{level}_1"
        with device.autocast(where):
            image = pictures.crops(a.batch, a.crop, rng, device=where)
            with torch.no_grad():
                features = encoder(image, [layer])
            output = decoders[level - 1](features).float()
            pixel = F.mse_loss(output, image) / image.var()
            part = slice(0, max(1, a.batch // 8))  # the second pass through the encoder is what costs time
            feature = relative_error(encoder(output[part], [layer])[layer], features[layer][part])
        total = (pixel + 1e-6).log() + a.feature_weight * (feature + 1e-6).log()
        return {"total": total, f"pixel{level}": pixel, f"feature{level}": feature}

    @torch.no_grad()
    def validate():
        features, training = encoder(test, [f"relu{level}_1" for level in SHARE]), decoders.training
        decoders.eval()
        result = {f"psnr{level}": psnr(decoders[level - 1](features), test) for level in SHARE}
        decoders.train(training)
        return result

    result = loop.train(step, {"decoders": decoders}, minutes=a.minutes, learning_rate=a.learning_rate, run=a.run,
                        validate=validate)
    save_decoders(a.output, decoders, encoder, trained_on=f"{len(pictures)} pictures",
                  command="python -m training.decoders", device=str(where), minutes=result["minutes"],
                  steps=result["steps"], losses=result["losses"])


if __name__ == "__main__":
    main()
