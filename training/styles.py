"""What the trainings of fixed styles share: options, loss network, first steps, and what the gallery shows of a style."""

from functools import partial
from pathlib import Path

import torch

from style_transfer import backbones, checkpoints, fixed, images
from style_transfer.errors import InputError
from training import loop, sources
from training.losses import CONTENT_LAYERS, STYLE_LAYERS, reconstruction_loss

HELD_OUT = 16  # photographs
WARM_UP = 0.04  # part of the steps in which a network learns to give its input back
RECONSTRUCTION = 10.0  # weight of that: its gradient is then about as large as those of the losses that follow
RAMP_START = 0.05  # part of the style's weight that it begins with, growing from there on
GREY, CONTRAST = 0.5, 0.3  # a random last layer begins near the photograph's greys, not at an arbitrary colour
TILE = loop.EXAMPLES / "photos" / "pagoda.jpg"
TILE_SIZE = 512  # long side, pixels
SMOKE = {"photos": [loop.EXAMPLES / "photos"], "style": loop.EXAMPLES / "styles" / "waves.jpg"}


def parse(parser, subnets=None, **recipes):
    """Add the options that the trainings of fixed styles share, and parse; weights are one number for each of the subnets."""
    def each(value):
        return dict(type=loop.number(), nargs=subnets, default=value if subnets is None else [value] * subnets)
    add = parser.add_argument
    add("--style", type=Path, required=True, help="the painting")
    add("--photos", nargs="+", required=True, help=f"photographs: {sources.HELP}")
    add("--name", help="default: the painting's file name")
    add("--title", help="what people read")
    add("--credit", default="", help="painter, title and year")
    add("--license", default="mit", help="of the trained weights")
    add("--loss-network", default="compact", help="compact, vgg16 or vgg19 (fetched once), or the file of an encoder")
    add("--content-layers", nargs="+", default=CONTENT_LAYERS)
    add("--style-layers", nargs="+", default=STYLE_LAYERS)
    add("--content-weight", **each(1.0))
    add("--style-weight", **each(5.0))
    add("--variation-weight", **each(3.0))
    add("--start", type=Path, help="a trained network to start from, of any style")
    add("-o", "--output", type=Path, default=checkpoints.FOLDER, help="folder")
    options = loop.parse(parser, recipes, SMOKE)
    options.name = options.name or options.style.stem
    options.run_folder = options.run_folder or Path("runs") / parser.prog.rpartition(".")[2] / options.name
    return options


def loss_network(options, where):
    """The extractor that --loss-network names. Raises InputError for layers that it does not have."""
    layers = {*options.content_layers, *options.style_layers}
    named = options.loss_network in backbones.BACKBONES
    network = backbones.load(options.loss_network, layers, where) if named else checkpoints.load(options.loss_network, where)
    if missing := layers - {*network.layers}:
        raise InputError(f"{options.loss_network} has no layer {', '.join(sorted(missing))}, but {', '.join(network.layers)}.")
    return network


@torch.no_grad()
def begin(path, network, last_layers, where, **own):
    """The network of the file `path`, or, for None, this random one, whose last layers are made to paint greys at first.

    own: arguments of the network in which it may differ from that in the file.
    """
    if path:
        start = checkpoints.load(path)
        if type(start) is not type(network):
            raise InputError(f"--start {path} holds a {type(start).__name__}, not a {type(network).__name__}: name a "
                             "file of that network.")
        network = type(network)(**start.arguments | own)
        network.load_state_dict(start.state_dict())
    else:
        for last in last_layers:
            last.weight *= CONTRAST
            last.bias.fill_(GREY)
    return network.to(where, memory_format=torch.channels_last)


def eased(options):
    """Whether the losses come one after the other, because they say little to a random network; not in the papers."""
    return not options.start and options.recipe != "paper"


def warming_up(options, iteration):
    """Whether this step still teaches the network to give its input back."""
    return eased(options) and iteration / options.steps < WARM_UP


def give_back(outputs, images):
    """Losses of such a step: pictures against those that they should be."""
    errors = [reconstruction_loss(x.float(), y) for x, y in zip(outputs, images)]
    return {"total": RECONSTRUCTION * sum(errors), "reconstruction": sum(errors) / len(errors)}


def ramp(options, progress, length):
    """Part of the style's weight, `progress` of the steps after it began to count, where it grows for `length` of them."""
    return min(1.0, RAMP_START + progress / length) if eased(options) else 1.0


def tile(run, path, picture=TILE):
    """Beside a saved network, an example picture as it paints it, for the app's gallery. Returns the path of that."""
    target = path.with_suffix(".jpg")
    if run.main and picture.exists():
        images.save(fixed.stylize(images.load(picture), path, size=TILE_SIZE, device=run.device), target)
    return target


def train(run, network, photos, step, scale, **more):
    """Train on crops of photographs; save the style at every saving, the best so far, and to --output at the end.

    Beside each lies what the gallery shows of it: an example photograph as the network paints it.
    """
    a = run.options

    def export(result, folder=run.folder, mark=""):
        path = folder / f"{a.name}{mark}.safetensors"
        run.save(path, network, result, license=a.license, credit=a.credit, style_weight=a.style_weight,
                 title=a.title or a.name.replace("-", " ").capitalize(), family=a.program.rpartition(".")[2],
                 trained_on=f"{len(photos)} photographs", started_from=a.start.stem if a.start else "random weights")
        tile(run, path)

    phase = loop.Phase(step, loop.optimizer(a, network.parameters()), loop.schedule(a))
    export(run.train(lambda rng: photos.crops(a.batch, a.crop, rng, scale=scale), [phase], {"network": network},
                     export=export, best=partial(export, mark=loop.BEST), workers=photos.workers, **more), a.output)
