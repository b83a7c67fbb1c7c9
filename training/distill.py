"""Distil the compact encoder from VGG-19 and from Collaborative Distillation's encoder 5.

    python -m training.distill --pictures PHOTOS PAINTINGS --vgg19 FILE --compact-teacher FILE \\
        -o checkpoints/encoder.safetensors

Two stages, both from random weights (Wang et al. 2020, section 3.2, with the targets named below):
  1. every layer on its own: it gets the compact teacher's previous activation and predicts the next one, so all
     thirteen layers learn at once;
  2. end to end: relu1_1 to relu3_4 predict VGG-19's features through 1x1 projections that are thrown away
     afterwards, relu4_1 to relu5_1 the compact teacher's; beside them the reconstruction decoders learn, one of
     them in each step, so that the features keep what a picture is rebuilt from. With a full VGG-19 and no compact
     teacher, stage 1 is skipped and all levels are projected.
Three of relu1_1's channels are the picture itself (positive, so no ReLU cuts them) and are not trained: VGG-19's 64
channels lose nothing of a picture, and the 13 others predict them as well as 16 did.
training/decoders.py trains the decoders that ship, once the encoder is frozen; it can start from the ones trained here.
"""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from style_transfer import checkpoints
from style_transfer.errors import InputError
from style_transfer.networks.vgg import COMPACT, VGG
from training import loop, sources, teachers
from training.data import HELD_OUT
from training.losses import relative_error
from training.precondition import least_squares, new_decoders

PICTURE_GAIN = 11.0  # gives those channels the mean square of the others
JITTER = 0.2  # of the crops' colours
LAYERWISE_RATE = 2.0  # times the learning rate: a layer on its own bears more
DECODERS_TEACH = 500  # steps after which the decoders' gradient reaches the encoder: an untrained one teaches nothing
STAGES = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # where the first stage is validated
PROJECTED = ("relu1_1", "relu2_1", "relu3_1", "relu3_4", "relu4_1", "relu4_2", "relu5_1")
SMOKE = {"pictures": [loop.EXAMPLES / "photos", loop.EXAMPLES / "styles"], "layerwise_steps": 4,
         "compact_teacher": checkpoints.FOLDER / "encoder.safetensors", "output": "encoder.safetensors"}


@torch.no_grad()
def carry_picture(student):
    """Make the first three channels of relu1_1 the picture's red, green and blue times PICTURE_GAIN, and keep them so."""
    conv, rgb = student.features["0"], torch.arange(3)
    conv.weight[:3], conv.bias[:3] = 0, PICTURE_GAIN * student.mean.flatten()
    conv.weight[rgb, rgb, 1, 1] = PICTURE_GAIN * student.std.flatten()
    for parameter in (conv.weight, conv.bias):
        free = torch.ones_like(parameter)
        free[:3] = 0
        parameter.register_hook(lambda gradient, free=free: gradient * free)


def layer_losses(student, activations, image):
    """Stage 1: error of each layer given the teacher's activation before it."""
    x, losses = (image - student.mean) / student.std, {}
    for index, name in student.plan:
        if name == "pool":
            x = F.max_pool2d(x, 2)
            continue
        if name != "relu1_1":  # which carries the picture, as the teacher's does not
            losses[name] = relative_error(F.relu(student.features[index](x)), activations[name])
        x = activations[name]
    return losses


def main():
    p = loop.parser("distill", __doc__, steps=8000, learning_rate=1e-3, batch=16, crop=144, run_folder="runs/encoder")
    add = p.add_argument
    add("--pictures", nargs="+", required=True, help=sources.HELP)
    add("--vgg19", help="VGG-19's features (.safetensors or .pth), or \"hub\" to fetch torchvision's")
    add("--compact-teacher", type=Path, help="Collaborative Distillation's encoder 5, or an encoder of this project")
    add("-o", "--output", type=Path, required=True)
    add("--layerwise-steps", type=loop.number(int, 0), default=3000)
    add("--vgg-share", type=loop.number(), default=0.25, help="part of each batch that the full VGG-19 looks at")
    add("--pixel-weight", type=loop.number(), default=0.4,
        help="of the reconstruction by the decoders, whose logarithm counts: levels 1 to 5 differ a hundredfold")
    add("--start", type=Path, help="an encoder file to go on from, instead of random weights and stage 1")
    a = loop.parse(p, smoke=SMOKE)
    if not (a.vgg19 or a.compact_teacher):
        p.error("name a teacher: --vgg19, --compact-teacher or both")
    run = loop.Run(a)

    if a.start:
        student = checkpoints.load(a.start, run.device)
        if student.arguments != VGG(**COMPACT).arguments:
            raise InputError(f"--start {a.start} holds no compact encoder: name a file that this script made.")
        student.requires_grad_(True).train()
    else:
        student = VGG(**COMPACT).to(run.device, memory_format=torch.channels_last)
        for conv in student.features.values():
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
    carry_picture(student)
    compact = teachers.collaborative_distillation(a.compact_teacher, run.device) if a.compact_teacher else None
    large = teachers.vgg19(a.vgg19, run.device) if a.vgg19 else None
    pictures, held_out = run.pictures(a.pictures, HELD_OUT)
    test = held_out.fixed(24, a.crop, 1)
    projected = [n for n in PROJECTED if large is not None and n in large.layers]
    direct = [n for n in student.layers if compact is not None and n[:5] not in {m[:5] for m in projected}]
    projections = nn.ModuleDict({n: nn.Conv2d(student.channels(n), large.channels(n), 1) for n in projected}).to(run.device)
    with torch.no_grad():  # Oxford's activations are in the hundreds: the projections predict them over their spread
        spread = {n: f.std() for n, f in large(test, projected).items()} if projected else {}

    def end_to_end(image, share=1.0, own=None):
        own = own or student(image, {*projected, *direct})
        with torch.no_grad():
            seen = image[:max(1, round(len(image) * share))]
            large_features = {n: f / spread[n] for n, f in large(seen, projected).items()} if projected else {}
            compact_features = compact(image, direct) if direct else {}
        losses = {n: relative_error(projections[n](own[n][:len(seen)]), large_features[n]) for n in projected}
        return losses | {n: relative_error(own[n], compact_features[n]) for n in direct}

    def layerwise_step(_, image, rng):
        with torch.no_grad():
            activations = compact(image, student.layers)
        return {"total": sum(layer_losses(student, activations, image).values())}

    def end_to_end_step(iteration, image, rng):
        level = rng.choice(list(decoders))
        layer = f"relu{level}_1"
        own = student(image, {*projected, *direct, layer})
        losses = end_to_end(image, a.vgg_share, own)
        code = own if iteration > DECODERS_TEACH else {layer: own[layer].detach()}
        pixel = F.mse_loss(decoders[level](code).float(), image) / image.var()
        return {"total": sum(losses.values()) + a.pixel_weight * pixel.log(), **losses, f"pixel{level}": pixel}

    def error_against_compact():
        own, target = student(test, STAGES), compact(test, STAGES)
        return with_total({n: float(relative_error(own[n], target[n])) for n in STAGES}), None

    def validate():
        return with_total({n: float(v) for n, v in end_to_end(test).items()}), None

    def with_total(errors):
        return {"total": sum(errors.values()), **errors}

    def export(result, folder=run.folder, mark=""):
        run.save(folder / a.output.with_stem(f"{a.output.stem}{mark}").name, student, result, title="Compact encoder",
                 license="mit", trained_on=f"{len(pictures)} pictures", layerwise_steps=a.layerwise_steps,
                 teachers=[Path(path).name for path in (a.vgg19, a.compact_teacher) if path])

    def train(stage, step, modules, steps, rate, validate, **more):
        optimizer = loop.optimizer(a, [p for module in modules.values() for p in module.parameters()], rate)
        return run.train(lambda rng: pictures.crops(a.batch, a.crop, rng, jitter=JITTER),
                         [loop.Phase(step, optimizer, loop.schedule(a, steps))], modules, steps=steps, stage=stage,
                         validate=validate, workers=pictures.workers, **more)

    if compact is not None and a.layerwise_steps and not a.start:
        train("layerwise", layerwise_step, {"student": student}, a.layerwise_steps, LAYERWISE_RATE * a.learning_rate,
              error_against_compact, last=False)
    with torch.no_grad():
        for name, projection in projections.items():  # start at the least-squares solution
            features, target = student(test, [name])[name], large(test, [name])[name] / spread[name]
            weight, bias = least_squares(features, target)
            projection.weight.copy_(weight[:, :, None, None])
            projection.bias.copy_(bias)
    decoders = new_decoders(student, test, a.seed).to(run.device, memory_format=torch.channels_last)
    result = train("end-to-end", end_to_end_step, {"student": student, "projections": projections, "decoders": decoders},
                   a.steps, a.learning_rate, validate, export=export, best=partial(export, mark=loop.BEST))
    export(result, a.output.parent)


if __name__ == "__main__":
    loop.execute(main)
