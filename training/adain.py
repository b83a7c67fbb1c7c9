"""Train the AdaIN decoder on the compact encoder (Huang and Belongie 2017, section 6), started from WCT's fourth decoder.

    python -m training.adain --photos PHOTOS --paintings PAINTINGS [--steps 8000]

Loss: content + lambda style + Gram + identity. Deviations from the paper: Gram matrices are matched beside means and
deviations, for strokes rather than tints; and, so that one weight serves all styles, the content loss compares
instance-normalised features (AdaIN changes nothing else, so t and the content have the same ones) at relu3_4 and relu4_1,
and each layer's style loss is relative to the style's own energy.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

from style_transfer import checkpoints
from style_transfer.networks.decoder import Decoder
from style_transfer.transforms import adain
from training import loop, teachers
from training.data import Pictures
from training.johnson import outside
from training.losses import CONTENT_LAYERS, STYLE_LAYERS, content_loss, gram_loss, statistics, style_loss
from training.precondition import Preconditioned, whitening


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", type=Path, nargs="+", required=True)
    p.add_argument("--paintings", type=Path, nargs="+", required=True)
    p.add_argument("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors")
    p.add_argument("--start", type=Path, default=checkpoints.FOLDER / "wct-decoder-4.safetensors")
    p.add_argument("--vgg19", help="measure the losses of a part of each batch in this VGG-19 (a file, or \"hub\") as well")
    p.add_argument("--compact-teacher", type=Path, help="the same for Collaborative Distillation's encoder 5")
    p.add_argument("--judge-share", type=float, default=0.125, help="that part of the batch")
    p.add_argument("-o", "--output", type=Path, default=checkpoints.FOLDER / "adain-decoder.safetensors")
    p.add_argument("--style-weight", type=float, default=100.0, help="lambda")
    p.add_argument("--gram-weight", type=float, default=10.0, help="of Gram matrices beside means and deviations")
    p.add_argument("--identity-weight", type=float, default=50.0, help="of a picture stylised by itself, against itself")
    p.add_argument("--no-skips", action="store_true", help="the paper's decoder, without the shallow layers")
    loop.arguments(p, steps=8000, learning_rate=1e-3, batch=8, crop=176, run="runs/adain")
    a = p.parse_args()

    accelerator = loop.accelerator(a.run, a)
    where, share = accelerator.device, (accelerator.process_index, accelerator.num_processes)
    torch.manual_seed(a.seed)
    photos, held_out_photos = Pictures(*a.photos, device=where, share=share).split(32)
    paintings, held_out_paintings = Pictures(*a.paintings, device=where, share=share).split(32)
    test = (held_out_photos.crops(16, 240, loop.seeded(1, 0), share=(0, 1)),
            held_out_paintings.crops(16, 240, loop.seeded(2, 0), share=(0, 1)))
    encoder = checkpoints.load(a.encoder, where)
    decoder = Decoder(4, encoder.depths, encoder.widths, skips=not a.no_skips)
    decoder.load_state_dict(checkpoints.load(a.start).state_dict(), strict=False)  # the joins are new, and start at 0
    with torch.no_grad():
        features = encoder(photos.crops(32, a.crop, loop.seeded(3, 0), share=(0, 1)), decoder.layers)
    decoder = Preconditioned(decoder, {n: whitening(f) for n, f in features.items()})
    decoder = decoder.to(where, memory_format=torch.channels_last)
    judges = [teachers.vgg19(a.vgg19).to(where)] if a.vgg19 else []
    judges += [teachers.collaborative_distillation(a.compact_teacher).to(where)] if a.compact_teacher else []
    wanted = [n for n in encoder.layers if n in STYLE_LAYERS + CONTENT_LAYERS]

    def stylize(content, style):
        return decoder({n: adain(content[n], style[n]) for n in features}).float()

    def judged(output, content, style):
        """Losses in the judges' features: VGG-19's for the layers it has, the compact teacher's for the others."""
        content_total, style_total, taken = output.new_zeros(()), output.new_zeros(()), set()
        for judge in judges:
            layers = [n for n in judge.layers if n in wanted and n not in taken and n != "relu3_4"]
            taken |= set(layers)
            features = judge(output, layers)
            with torch.no_grad():
                of_style = statistics(judge(style, layers), layers)
            style_total = style_total + style_loss(features, of_style) * len(layers) / len(STYLE_LAYERS)
            if "relu4_1" in layers:
                content_total = content_total + content_loss(features, judge(content, ["relu4_1"]))
        return content_total, style_total

    def draw(rng):
        content = photos.crops(a.batch, a.crop, rng)
        source = paintings if rng.random() < 0.8 else photos  # photographs as styles add palettes
        return content, source.crops(a.batch, a.crop, rng, scale=(1.0, 1.5), jitter=0.2)

    def step(_, pictures, rng):
        content, style = pictures
        style[0] = content[0]  # a picture in its own style is itself: alpha 0 stays a reconstruction
        with torch.no_grad():
            of_content, of_style = encoder(content, wanted), encoder(style, wanted)
        output = stylize(of_content, of_style)
        of_output, of_style = encoder(output, wanted), statistics(of_style, STYLE_LAYERS)
        losses = {"content": content_loss({n: of_output[n][1:] for n in CONTENT_LAYERS},
                                          {n: of_content[n][1:] for n in CONTENT_LAYERS}),
                  "style": style_loss(of_output, of_style), "gram": gram_loss(of_output, of_style),
                  "identity": F.mse_loss(output[:1], content[:1])}
        total = (losses["content"] + a.style_weight * losses["style"] + a.gram_weight * losses["gram"]
                 + a.identity_weight * losses["identity"])
        if judges:
            part = slice(1, 1 + max(1, round(len(content) * a.judge_share)))
            losses["judged content"], losses["judged style"] = judged(output[part], content[part], style[part])
            total = total + losses["judged content"] + a.style_weight * losses["judged style"]
        total = total + 10 * outside(output)
        return {"total": total, **losses}

    def validate():
        of_content, of_style = encoder(test[0], wanted), encoder(test[1], wanted)
        output = stylize(of_content, of_style).clamp(0, 1)
        of_output = encoder(output, wanted)
        found = {"content": float(content_loss(of_output, {n: of_content[n] for n in CONTENT_LAYERS})),
                 "style": float(style_loss(of_output, statistics(of_style, STYLE_LAYERS)))}
        if judges:
            content, style = judged(output, *test)
            found |= {"judged content": float(content), "judged style": float(style)}
        return found, output[:4]

    result = loop.train(accelerator, draw, step, {"decoder": decoder}, torch.optim.Adam(decoder.parameters(), a.learning_rate),
                        steps=a.steps, run=a.run, schedule=lambda i: loop.cosine(i, a.steps), seed=a.seed, resume=a.resume,
                        validate=validate, workers=max(photos.workers, paintings.workers), save_every=a.save_every)
    if not accelerator.is_main_process:
        return
    checkpoints.save(a.output, decoder.fold(), name=a.output.stem, title="AdaIN decoder", family="adain", license="mit",
                     encoder=checkpoints.fingerprint(encoder),
                     trained_on=f"{len(photos)} photographs, {len(paintings)} paintings", command="python -m training.adain",
                     device=str(where), **result)


if __name__ == "__main__":
    loop.run(main)
