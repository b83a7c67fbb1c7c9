"""Train the five reconstruction decoders of WCT on the compact encoder (Li et al. 2017, section 3.1).

    python -m training.decoders --pictures PHOTOS PAINTINGS [--steps 10000]

Each step trains one of the decoders 2 to 5. Loss: ||I - D(E(I))||^2 on features as they are, and lambda ||F - E(D(F))||^2
on features F = WCT(E(I), E(J)), because that is what the decoders are used on. The logarithm of both is taken: the levels
differ a hundredfold, and one lambda and rate shall serve all. In the last third batch normalisation is frozen, as it will
be when the decoders are used. Decoder 1 is one convolution, so least squares give it.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from style_transfer import checkpoints
from style_transfer.networks.blocks import reflection_pad
from style_transfer.networks.decoder import Decoder
from style_transfer.transforms import wct
from training import loop
from training.data import Pictures
from training.losses import relative_error
from training.precondition import Preconditioned, least_squares, whitening

HELD_OUT = 110  # pictures; more than 50 of them are photographs
SHARE = {2: 0.2, 3: 0.2, 4: 0.3, 5: 0.3}  # of the steps


def psnr(output, image):
    """Peak signal to noise ratio in dB of pictures in [0, 1], averaged over the batch."""
    error = (output.clamp(0, 1) - image).pow(2).flatten(1).mean(1)
    return float((-10 * error.log10()).mean())


@torch.no_grad()
def new_decoders(encoder, image):
    """Untrained decoders {"2": ..., "5": ...}, whitened by the features of `image`."""
    decoders = nn.ModuleDict()
    for level in SHARE:
        decoder, layer = Decoder(level, encoder.depths, encoder.widths), f"relu{level}_1"
        decoders[str(level)] = Preconditioned(decoder, {layer: whitening(encoder(image, [layer])[layer])}, fresh=True)
    return decoders


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
    out = []
    for f, s in zip(features.split(1), styles.split(1)):
        alpha = rng.uniform(0.3, 1.0)
        out.append(alpha * wct(f, s) + (1 - alpha) * f)
    return torch.cat(out).contiguous(memory_format=torch.channels_last)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pictures", type=Path, nargs="+", required=True)
    p.add_argument("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors")
    p.add_argument("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")
    p.add_argument("--levels", type=int, nargs="+", default=list(SHARE), choices=list(SHARE), help="train these only")
    p.add_argument("--feature-weight", type=float, default=0.3, help="lambda")
    p.add_argument("--start", type=Path, help="state.pt of training.distill's second phase: go on from its decoders")
    loop.arguments(p, steps=10000, learning_rate=3e-3, batch=8, crop=208, run="runs/decoders")
    a = p.parse_args()

    accelerator = loop.accelerator(a.run, a)
    where, share = accelerator.device, (accelerator.process_index, accelerator.num_processes)
    torch.manual_seed(a.seed)
    pictures, held_out = Pictures(*a.pictures, device=where, share=share).split(HELD_OUT)
    test = held_out.crops(24, a.crop, loop.seeded(1, 0), share=(0, 1))
    encoder = checkpoints.load(a.encoder, where)
    decoders = new_decoders(encoder, pictures.crops(32, 144, loop.seeded(2, 0), share=(0, 1)))
    if a.start:
        state = torch.load(a.start, map_location=where, weights_only=True)["modules"]["decoders"]
        decoders.load_state_dict(state)
    decoders = decoders.to(where, memory_format=torch.channels_last)

    def step(iteration, image, rng):
        if iteration > 0.65 * a.steps:
            decoders.eval()
        level = rng.choices(a.levels, [SHARE[n] for n in a.levels])[0]
        layer, part = f"relu{level}_1", max(1, len(image) // 4)  # is transformed; its second pass through the encoder is slow
        with torch.no_grad():
            features = encoder(image, [layer])[layer].float()
            with torch.autocast(where.type, enabled=False):
                stylized = transformed(features[:part], features[part:2 * part], rng)
        output = decoders[str(level)]({layer: torch.cat([features[part:], stylized])}).float()
        pixel = F.mse_loss(output[:-part], image[part:]) / image.var()
        feature = relative_error(encoder(output[-part:], [layer])[layer], stylized)
        total = (pixel + 1e-6).log() + a.feature_weight * (feature + 1e-6).log()
        return {"total": total, f"pixel{level}": pixel, f"feature{level}": feature}

    def validate():
        features, training = encoder(test, [f"relu{level}_1" for level in SHARE]), decoders.training
        decoders.eval()
        result = {f"psnr{level}": psnr(decoders[str(level)](features), test) for level in SHARE}
        decoders.train(training)
        return result, None

    result = loop.train(accelerator, lambda rng: pictures.crops(a.batch, a.crop, rng), step, {"decoders": decoders},
                        torch.optim.Adam(decoders.parameters(), a.learning_rate), steps=a.steps, run=a.run,
                        schedule=lambda i: loop.cosine(i, a.steps), seed=a.seed, resume=a.resume, validate=validate,
                        workers=pictures.workers, save_every=a.save_every)
    if not accelerator.is_main_process:
        return
    finished = {1: first_decoder(encoder, pictures.crops(64, 96, loop.seeded(3, 0), share=(0, 1)))}
    finished |= {level: decoders[str(level)].fold() for level in a.levels}
    for level, decoder in finished.items():
        checkpoints.save(a.output / f"wct-decoder-{level}.safetensors", decoder, name=f"wct-decoder-{level}",
                         title=f"WCT decoder from relu{level}_1", family="wct", license="mit",
                         encoder=checkpoints.fingerprint(encoder),
                         trained_on=f"{len(pictures)} pictures", command="python -m training.decoders", device=str(where),
                         **(result if level > 1 else {}))


if __name__ == "__main__":
    loop.run(main)
