"""Distil the compact encoder from VGG-19 and from Collaborative Distillation's encoder 5.

    python -m training.distill --pictures PHOTOS PAINTINGS --vgg19 FILE --compact-teacher FILE \\
        -o checkpoints/encoder.safetensors

Two phases, both from random weights (Wang et al. 2020, section 3.2, with the targets named below):
  1. every layer on its own: it gets the compact teacher's previous activation and predicts the next one, so all
     thirteen layers learn at once;
  2. end to end: relu1_1 to relu3_4 predict VGG-19's features through 1x1 projections that are thrown away
     afterwards, relu4_1 to relu5_1 the compact teacher's; beside them the reconstruction decoders learn, one of
     them in each step, so that the features keep what a picture is rebuilt from. With a full VGG-19 and no compact
     teacher, phase 1 is skipped and all levels are projected.
Three of relu1_1's channels are the picture itself (positive, so no ReLU cuts them) and are not trained: VGG-19's 64
channels lose nothing of a picture, and the 13 others predict them as well as 16 did.
training/decoders.py trains the decoders that ship, once the encoder is frozen; it can start from the ones trained here.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from style_transfer import checkpoints
from style_transfer.networks.vgg import COMPACT, VGG
from training import loop, teachers
from training.data import Pictures
from training.decoders import HELD_OUT, new_decoders
from training.losses import relative_error
from training.precondition import least_squares

PICTURE_GAIN = 11.0  # gives those channels the mean square of the others
PROJECTED = ("relu1_1", "relu2_1", "relu3_1", "relu3_4", "relu4_1", "relu4_2", "relu5_1")


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
    """Phase 1: error of each layer given the teacher's activation before it."""
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
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pictures", type=Path, nargs="+", required=True)
    p.add_argument("--vgg19", help="VGG-19's features (.safetensors or .pth), or \"hub\" to fetch torchvision's")
    p.add_argument("--compact-teacher", type=Path, help="Collaborative Distillation's encoder 5")
    p.add_argument("-o", "--output", type=Path, required=True)
    p.add_argument("--layerwise-steps", type=int, default=3000)
    p.add_argument("--vgg-share", type=float, default=0.25, help="part of each batch that the full VGG-19 looks at")
    p.add_argument("--pixel-weight", type=float, default=0.4,
                   help="of the reconstruction by the decoders, whose logarithm counts: levels 1 to 5 differ a hundredfold")
    p.add_argument("--start", type=Path, help="an encoder file to go on from, instead of random weights and phase 1")
    loop.arguments(p, steps=8000, learning_rate=1e-3, batch=16, crop=144, run="runs/encoder")
    a = p.parse_args()
    if not (a.vgg19 or a.compact_teacher):
        p.error("name a teacher: --vgg19, --compact-teacher or both")

    accelerator = loop.accelerator(a.run, a)
    where, share = accelerator.device, (accelerator.process_index, accelerator.num_processes)
    torch.manual_seed(a.seed)
    pictures, held_out = Pictures(*a.pictures, device=where, share=share).split(HELD_OUT)
    accelerator.print(f"{len(pictures)} pictures, {len(held_out)} held out", flush=True)
    test = held_out.crops(24, a.crop, loop.seeded(1, 0), share=(0, 1))
    if a.start:
        student = checkpoints.load(a.start, where).requires_grad_(True).train()
    else:
        student = VGG(**COMPACT).to(where, memory_format=torch.channels_last)
        for conv in student.features.values():
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
    carry_picture(student)
    compact = teachers.collaborative_distillation(a.compact_teacher).to(where) if a.compact_teacher else None
    large = teachers.vgg19(a.vgg19).to(where) if a.vgg19 else None
    projected = [n for n in PROJECTED if large is not None and n in large.layers]
    direct = [n for n in student.layers if compact is not None and n[:5] not in {m[:5] for m in projected}]
    projections = nn.ModuleDict({n: nn.Conv2d(student.channels(n), large.channels(n), 1) for n in projected}).to(where)
    with torch.no_grad():  # Oxford's activations are in the hundreds: the projections predict them over their spread
        spread = {n: f.std() for n, f in large(test, projected).items()} if projected else {}

    def end_to_end(image, share=1.0, own=None):
        own = own or student(image, {*projected, *direct})
        with torch.no_grad():
            part = image[:max(1, round(len(image) * share))]
            large_features = {n: f / spread[n] for n, f in large(part, projected).items()} if projected else {}
            compact_features = compact(image, direct) if direct else {}
        losses = {n: relative_error(projections[n](own[n][:len(part)]), large_features[n]) for n in projected}
        return losses | {n: relative_error(own[n], compact_features[n]) for n in direct}

    def draw(rng):
        return pictures.crops(a.batch, a.crop, rng, jitter=0.2)

    def phase_1(_, image, rng):
        with torch.no_grad():
            activations = compact(image, student.layers)
        return {"total": sum(layer_losses(student, activations, image).values())}

    def phase_2(iteration, image, rng):
        level = rng.choice(list(decoders))
        layer = f"relu{level}_1"
        own = student(image, {*projected, *direct, layer})
        losses = end_to_end(image, a.vgg_share, own)
        code = own if iteration > 500 else {layer: own[layer].detach()}  # an untrained decoder teaches nothing
        pixel = F.mse_loss(decoders[level](code).float(), image) / image.var()
        return {"total": sum(losses.values()) + a.pixel_weight * pixel.log(), **losses, f"pixel{level}": pixel}

    def error_against_compact():
        names = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
        own, target = student(test, names), compact(test, names)
        return {n: float(relative_error(own[n], target[n])) for n in names}, None

    def validate():
        return {n: float(v) for n, v in end_to_end(test).items()}, None

    def train(step, modules, steps, rate, folder, validate):
        parameters = [p for module in modules.values() for p in module.parameters()]
        return loop.train(accelerator, draw, step, modules, torch.optim.Adam(parameters, rate), steps=steps,
                          run=a.run / folder, schedule=lambda i: loop.cosine(i, steps), seed=a.seed, resume=a.resume,
                          validate=validate, workers=pictures.workers, save_every=a.save_every)

    if compact is not None and a.layerwise_steps and not a.start:
        train(phase_1, {"student": student}, a.layerwise_steps, 2 * a.learning_rate, "layerwise", error_against_compact)
    with torch.no_grad():
        for name, projection in projections.items():  # start at the least-squares solution
            features, target = student(test, [name])[name], large(test, [name])[name] / spread[name]
            weight, bias = least_squares(features, target)
            projection.weight.copy_(weight[:, :, None, None])
            projection.bias.copy_(bias)
    decoders = new_decoders(student, test).to(where, memory_format=torch.channels_last)
    result = train(phase_2, {"student": student, "projections": projections, "decoders": decoders}, a.steps, a.learning_rate,
                   "end-to-end", validate)
    if not accelerator.is_main_process:
        return
    checkpoints.save(a.output, student, name="encoder", title="Compact encoder", license="mit",
                     trained_on=f"{len(pictures)} pictures",
                     teachers=[Path(path).name for path in (a.vgg19, a.compact_teacher) if path],
                     command="python -m training.distill", device=str(where), layerwise_steps=a.layerwise_steps, **result)


if __name__ == "__main__":
    loop.run(main)
