"""Train the decoder of AdaIN (Huang and Belongie 2017, section 6), or of WCT in one pass, on the compact encoder.

    python -m training.adain --photos PHOTOS --paintings PAINTINGS [--method wct] [--steps 8000]

It starts from a decoder of the cascade, which only paints what it is given, and learns on transformed features.

Loss: content + lambda style + Gram + artefacts + identity. Deviations from the paper: Gram matrices are matched beside means
and deviations, for strokes rather than tints; and, so that one weight serves all styles, the content loss compares
instance-normalised features (AdaIN changes nothing else, so t and the content have the same ones) at relu3_4 and relu4_1, and
each layer's style loss is relative to the style's own energy; pictures cost that are rougher than both of their sources, or
softer than both; photographs are painted on a canvas (style_transfer/canvas.py), with bilinear upsampling; the decoder learns
in whitened coordinates. Under `--recipe paper` all of this is off: equations 12 and 13 alone, a random decoder without shallow
layers, paintings as they are. (It still sees the encoder of --encoder, and reflection padding.)
"""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from style_transfer import canvas, checkpoints
from style_transfer.arbitrary import METHODS
from style_transfer.errors import InputError
from style_transfer.networks.decoder import Decoder
from style_transfer.transforms import apply, statistics
from training import loop, losses, sources, teachers
from training.data import SHORT_SIDE
from training.losses import CONTENT_LAYERS, RANGE, STYLE_LAYERS, style_statistics
from training.precondition import Preconditioned, whitening

PAPER_LAYERS = STYLE_LAYERS[:4]  # relu1_1 to relu4_1
LEVELS = {"adain": 4, "wct": 5}  # of the deepest layer that is transformed
HELD_OUT = 32  # pictures of each kind
VALIDATION = (16, 240)  # crops of these, pixels
PAINTED = 0.8  # part of the steps whose styles are paintings; photographs as styles add palettes
SCALE, JITTER = (1.0, 1.5), 0.2  # of the style's crops, whose strokes are to be seen; and of their colours, for more palettes
# Huang and Belongie 2017, section 6, and their code: Adam with decay on crops of 256 out of pictures of 512 pixels
PAPER = {"steps": 160000, "schedule": "inverse", "learning_rate": 1e-4, "batch": 8, "crop": 256, "short_side": 512,
         "style_weight": 10.0, "gram_weight": 0.0, "artefact_weight": 0.0, "identity_weight": 0.0, "no_skips": True}
HEARD = 0.15  # of a new deepest layer, when the others are taken over from a decoder that learnt without it
SMOKE = {"photos": [loop.EXAMPLES / "photos"], "paintings": [loop.EXAMPLES / "styles"], "output": "adain-decoder.safetensors"}


@torch.no_grad()
def take_over(decoder, shallow):
    """Let a decoder with skips paint almost as one from the layer above, which has learnt: its own deepest is hardly heard."""
    (*_, before, last), *blocks = decoder.blocks
    for parameter in before.parameters():
        parameter.mul_(HEARD)
    torch.nn.init.dirac_(decoder.joins[0].weight)
    for module, learnt in zip([last, *blocks, *decoder.joins[1:]], [shallow.head, *shallow.blocks, *shallow.joins]):
        module.load_state_dict(learnt.state_dict())


def main():
    p = loop.parser("adain", __doc__, steps=8000, learning_rate=1e-3, batch=8, crop=176, run_folder="runs/adain")
    add = p.add_argument
    add("--photos", nargs="+", required=True, help=sources.HELP)
    add("--paintings", nargs="+", required=True, help="the same")
    add("--method", choices=LEVELS, default="adain", help="whose transform the decoder paints")
    add("--encoder", type=Path, default=checkpoints.FOLDER / "encoder.safetensors")
    add("--start", type=Path, help="a decoder from the method's deepest layer; default: the cascade's")
    add("--take-over", type=Path, metavar="FILE", help="a decoder from the layer above, with skips, that has learnt already")
    add("--vgg19", help="measure the losses of a part of each batch in this VGG-19 (a file, or \"hub\") as well")
    add("--compact-teacher", type=Path, help="the same for Collaborative Distillation's encoder 5")
    add("--loss-networks-share", type=loop.number(), default=0.125, help="that part of the batch")
    add("-o", "--output", type=Path, help="default: the shipped decoder of the method")
    add("--style-weight", type=loop.number(), default=100.0, help="lambda")
    add("--gram-weight", type=loop.number(), default=10.0, help="of Gram matrices beside means and deviations")
    add("--identity-weight", type=loop.number(), default=50.0, help="of a picture stylised by itself, against itself")
    add("--artefact-weight", type=loop.number(), default=1.0, help="of what is rougher, or softer, than both pictures")
    add("--no-skips", action="store_true", help="the paper's decoder, without the shallow layers")
    add("--short-side", type=loop.number(int, 32), default=SHORT_SIDE, help="pixels to which larger pictures are reduced")
    a = loop.parse(p, {"paper": PAPER}, SMOKE)
    level = LEVELS[a.method]
    a.start = a.start or checkpoints.FOLDER / f"wct-decoder-{level}.safetensors"
    a.output = a.output or checkpoints.FOLDER / f"{a.method}-decoder.safetensors"
    run, paper = loop.Run(a, smallest=2), a.recipe == "paper"  # one picture of each process is stylised by itself

    encoder = checkpoints.load(a.encoder, run.device)
    decoder = Decoder(level, encoder.depths, encoder.widths, skips=not a.no_skips, canvas=not paper)
    if not paper:
        start = checkpoints.load(a.start)
        if getattr(start, "level", None) != decoder.level:
            raise InputError(f"--start {a.start} is no decoder from relu{level}_1: name one that training.decoders made.")
        loop.load_state(decoder, start.state_dict(), a.start, strict=False)  # the joins are new, and start at 0
        if a.take_over:
            learnt = checkpoints.load(a.take_over)
            if (getattr(learnt, "level", None), getattr(learnt, "skips", None)) != (level - 1, not a.no_skips):
                raise InputError(f"--take-over {a.take_over} is no decoder from relu{level - 1}_1 with skips.")
            take_over(decoder, learnt)
    loss_networks = [teachers.vgg19(a.vgg19, run.device)] if a.vgg19 else []
    loss_networks += [teachers.collaborative_distillation(a.compact_teacher, run.device)] if a.compact_teacher else []
    photos, test_photos = run.pictures(a.photos, HELD_OUT, short_side=a.short_side)
    paintings, test_paintings = run.pictures(a.paintings, HELD_OUT, short_side=a.short_side)
    test = test_photos.fixed(*VALIDATION, 1), test_paintings.fixed(*VALIDATION, 2)
    if not paper:
        with torch.no_grad():
            features = encoder(photos.fixed(32, a.crop, 3), decoder.layers)
        decoder = Preconditioned(decoder, {n: whitening(f) for n, f in features.items()})
    decoder = decoder.to(run.device, memory_format=torch.channels_last)
    plain = decoder if paper else decoder.decoder
    layers = plain.layers
    wanted = [n for n in encoder.layers if n in STYLE_LAYERS + CONTENT_LAYERS]

    def stylize(content, style):
        """Features {layer: [N, C, H, W]} with the style's statistics, and what the decoder paints of them."""
        transforms = METHODS[a.method].transforms
        with torch.autocast(run.device.type, enabled=False):  # statistics need the digits
            features = {n: apply(transforms[n](statistics(f), statistics(style[n])), f) for n, f in content.items()}
        return features, decoder(features).float()

    @torch.no_grad()
    def painted_on(content, style, rng=None):
        """Features of photographs on a canvas that suits their styles."""
        strength = content.new_tensor([canvas.strength_of(one) for one in style.split(1)]).view(-1, 1, 1, 1)
        return encoder(canvas.prime(content, plain, strength, rng), layers)

    def losses_elsewhere(output, content, style):
        """Losses in other features: VGG-19's for the layers that it has, the compact teacher's for the rest."""
        found, taken = {"content elsewhere": output.new_zeros(()), "style elsewhere": output.new_zeros(())}, {"relu3_4"}
        for network in loss_networks:
            layers = [n for n in network.layers if n in wanted and n not in taken]
            if not layers:
                continue
            taken |= set(layers)
            features = network(output, layers)
            with torch.no_grad():
                of_style = style_statistics(network(style, layers), layers)
            found["style elsewhere"] += losses.moment_loss(features, of_style) * len(layers) / len(STYLE_LAYERS)
            if "relu4_1" in layers:
                found["content elsewhere"] += losses.normalized_content_loss(features, network(content, ["relu4_1"]))
        return found

    def with_weights(found):
        """The sum that is minimised and validated, without what keeps pictures as they are."""
        total = (found["content"] + a.style_weight * found["style"] + a.gram_weight * found["gram"]
                 + a.artefact_weight * found["artefacts"])
        if loss_networks:
            total = total + found["content elsewhere"] + a.style_weight * found["style elsewhere"]
        return total

    def draw(rng):
        if paper:
            return [pictures.crops(a.batch, a.crop, rng, scale=(1.0, 1.0)) for pictures in (photos, paintings)]
        content = photos.crops(a.batch, a.crop, rng)
        source = paintings if rng.random() < PAINTED else photos
        return content, source.crops(a.batch, a.crop, rng, scale=SCALE, jitter=JITTER)

    def papers_step(_, pictures, rng):
        content, style = pictures
        with torch.no_grad():
            of_content, of_style = encoder(content, layers), encoder(style, PAPER_LAYERS)
        target, output = stylize(of_content, of_style)
        of_output, of_style = encoder(output, PAPER_LAYERS), style_statistics(of_style, PAPER_LAYERS)
        found = {"content": losses.feature_reconstruction(of_output, {n: t.detach() for n, t in target.items()}),
                 "style": losses.moment_reconstruction(of_output, of_style)}
        return {"total": found["content"] + a.style_weight * found["style"], **found}

    def step(_, pictures, rng):
        content, style = pictures
        style[0] = content[0]  # a picture in its own style is itself: alpha 0 stays a reconstruction
        with torch.no_grad():
            of_content, of_style = encoder(content, CONTENT_LAYERS), encoder(style, wanted)
        _, output = stylize(painted_on(content, style, rng), of_style)
        of_output, of_style = encoder(output, wanted), style_statistics(of_style, STYLE_LAYERS)
        found = {"content": losses.normalized_content_loss({n: of_output[n][1:] for n in CONTENT_LAYERS},
                                                           {n: of_content[n][1:] for n in CONTENT_LAYERS}),
                 "style": losses.moment_loss(of_output, of_style), "gram": losses.gram_loss(of_output, of_style),
                 "artefacts": losses.artefact_penalty(output[1:], content[1:], style[1:]),
                 "identity": F.mse_loss(output[:1], content[:1])}
        if loss_networks:
            part = slice(1, 1 + max(1, round(len(content) * a.loss_networks_share)))
            found |= losses_elsewhere(output[part], content[part], style[part])
        total = with_weights(found) + a.identity_weight * found["identity"] + RANGE * losses.range_penalty(output)
        return {"total": total, **found}

    def validate():
        of_content, of_style = encoder(test[0], CONTENT_LAYERS), encoder(test[1], wanted)
        output = stylize(painted_on(*test), of_style)[1].clamp(0, 1)
        of_output = encoder(output, wanted)
        of_style = style_statistics(of_style, STYLE_LAYERS)
        found = {"content": losses.normalized_content_loss(of_output, {n: of_content[n] for n in CONTENT_LAYERS}),
                 "style": losses.moment_loss(of_output, of_style), "gram": losses.gram_loss(of_output, of_style),
                 "artefacts": losses.artefact_penalty(output, *test)}
        found |= losses_elsewhere(output, *test) if loss_networks else {}
        total = with_weights(found)
        return {name: float(value) for name, value in {"total": total, **found}.items()}, [x[:8] for x in (*test, output)]

    def export(result, folder=run.folder, mark=""):
        path = folder / a.output.with_stem(f"{a.output.stem}{mark}").name
        run.save(path, decoder if paper else decoder.fold(), result, title=f"{METHODS[a.method].title} decoder",
                 family=a.method, license="mit", encoder=checkpoints.fingerprint(encoder),
                 trained_on=f"{len(photos)} photographs, {len(paintings)} paintings")

    phase = loop.Phase(papers_step if paper else step, loop.optimizer(a, decoder.parameters()), loop.schedule(a))
    export(run.train(draw, [phase], {"decoder": decoder}, validate=validate, export=export,
                     best=partial(export, mark=loop.BEST), workers=max(photos.workers, paintings.workers)), a.output.parent)


if __name__ == "__main__":
    loop.execute(main)
