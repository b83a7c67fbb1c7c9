"""The command line: python -m style_transfer gatys | neighbours | adain | wct | fixed | compare | video | settings | ..."""

import contextlib
import inspect
import json
import os
import signal
import sys
from collections import Counter
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from . import (
    arbitrary,
    backbones,
    checkpoints,
    cluster,
    compare,
    convert,
    fixed,
    folders,
    gatys,
    hub,
    images,
    neighbours,
    regions,
    settings,
    video,
)
from . import device as devices
from . import weights as sources
from .errors import CheckpointError, InputError, StyleTransferError
from .transforms import normalize_weights

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Turn photographs into paintings.")
console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)  # names are printed as they are


def _declared(option):
    """One of the core's options as typer takes it: type, range or choices, and help."""
    kind = int if isinstance(option.low, int) or isinstance(option.default, int) else float
    if isinstance(option.default, str):  # whose members are equal to the strings
        kind = Enum("Choice", {name: name for name in option.choices}, type=str)
    return Annotated[kind if option.default is not None else kind | None,
                     typer.Option(min=option.low, max=option.high, help=option.help, callback=lambda context, param, value:
                                  None if value is None else option.check(f"--{param.name}", value))]  # refuses NaN


def _path(text):
    if not text:  # what a shell makes of a variable that is not set, and pathlib of that the folder at hand
        raise InputError("An empty name was given for a file: name the file or folder, or . for this folder.")
    return Path(text)


def _precision(name):
    if name is not None:
        devices.use_precision(name)
    return name


Content = Annotated[Path, typer.Argument(parser=_path, metavar="CONTENT", help="The photograph, or a folder of photographs.")]
Styles = Annotated[list[Path], typer.Argument(help="One or several style pictures; a folder of pictures is one style.")]
Output = Annotated[Path, typer.Option("--output", "-o", parser=_path, metavar="PATH",
                                      help="The result; a folder where CONTENT is one.")]
Weights = Annotated[str | None, typer.Option(help="A number for each style, with commas: 0.7,0.3.")]
StyleSize = _declared(images.STYLE_SIZE)
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Paint anew what a folder has already; replace even originals.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu; default: the best there is.",
                                            callback=lambda name: None if name is None else str(devices.pick(name)))]
Precision = Annotated[str | None, typer.Option(help=f"{', '.join(devices.PRECISIONS)}: the same seed gives the same picture in "
                                                    "the same precision only.", envvar="STYLE_TRANSFER_PRECISION",
                                               callback=_precision)]
Ray = Annotated[str | None, typer.Option(metavar="local|auto|HOST:PORT", callback=cluster.check, help=(
    "Paint a folder on all cores or GPUs of a Ray cluster: this machine (local), or the cluster that it belongs to. "
    f"Needs {cluster.INSTALL}; {cluster.SHARED}.").replace("[", r"\["))]
Masks = Annotated[list[Path] | None, typer.Option(metavar="FILE...", help=(
    "Where the styles go: a picture for each of them, white there, or one with a colour for each, in this order: "
    f"{', '.join(regions.COLORS)}. Where it is black, the photograph stays. All up to the next option."))]
StyleMasks = Annotated[list[Path] | None, typer.Option(metavar="FILE...", help=(
    "For each style a picture that is white where it counts. All up to the next option."))]
Size, Alpha, Strength = (_declared(option) for option in (images.SIZE, arbitrary.OPTIONS["alpha"], fixed.OPTIONS["strength"]))
Gatys, DEFAULTS = SimpleNamespace(**{name: _declared(option) for name, option in gatys.OPTIONS.items()}), gatys.DEFAULTS
Neighbours = SimpleNamespace(**{name: _declared(option) for name, option in neighbours.OPTIONS.items()})
LOOK = ("stroke", "preserve_color", "color_strength", "texture_strength")  # what all methods have in common
SHARED = {**{name: (_declared(fixed.OPTIONS[name]), fixed.OPTIONS[name].default) for name in LOOK}, "masks": (Masks, None),
          "bits": (_declared(images.BITS), images.BITS.default), "overwrite": (Overwrite, False),
          "jobs": (_declared(folders.JOBS), None), "ray": (Ray, None), "device": (Device, None), "precision": (Precision, None)}


class _Command(typer.core.TyperCommand):
    """A command whose lists of files need their option's name only once: --masks a.png b.png."""

    def parse_args(self, ctx, args):
        names = {name for parameter in self.params if getattr(parameter, "multiple", False) and parameter.metavar == "FILE..."
                 for name in parameter.opts}
        expanded, last = [], None
        for arg in args:
            if last and arg[:1] != "-" and expanded[-1] != last:
                expanded.append(last)
            expanded.append(arg)
            last = arg if arg in names else None if arg[:1] == "-" else last
        return super().parse_args(ctx, expanded)


def _command(name, without=()):
    """A command with the SHARED options but some, which its function takes as a dictionary."""
    def register(function):
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        more = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
                for key, (annotation, default) in SHARED.items() if key not in without]
        function.__signature__ = signature.replace(parameters=[*own, *more])
        return app.command(name, cls=_Command)(function)
    return register


def _style(path, size=None):
    """A style's picture, or the list of those in a folder."""
    if not os.path.isdir(path):
        return images.load(path, size)
    return [images.load(work, size) for work in folders.pictures(path)]


def _look(options, count):
    """The keyword arguments that the SHARED options are for every method, of so many styles."""
    masks = options["masks"]
    return {name: options[name] for name in LOOK} | {"masks": masks and regions.load(masks, count)}


def _numbers(text, kind=float):
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        example = {float: "numbers with commas, such as 0.7,0.3", int: "whole numbers with commas, such as 4,3,2,1"}[kind]
        raise InputError(f"{text!r} cannot be read: write {example}.") from None


def _record(method, styles, options, style_masks=None, **more):
    """What the results carry of these options of the method and the SHARED ones, for `settings.read`."""
    look = {name: options[name] for name in LOOK}
    return settings.make(method, styles, masks=options["masks"] or style_masks, **look, **more)


def _todo(content, output, styles, options, record):
    """What is to be painted, a `folders.Todo`; what is left out is said. Ends the program where there is nothing to do.

    record: the settings that the results carry.
    """
    if options["ray"] and options["jobs"]:
        raise InputError("--jobs is for this process, and --ray paints on all cores of its cluster: leave one of them away.")
    if options["ray"] and os.path.exists(content) and not content.is_dir():
        raise InputError(f"--ray is for many pictures, and {content} is one: name a folder, or leave --ray away.")
    originals = (*styles, *(options["masks"] or ()))
    todo = folders.find(content, output, originals, options["overwrite"], options["bits"])
    for note in todo.notes:
        console.print(note)
    if not todo.jobs:
        raise typer.Exit
    return todo._replace(jobs=[job._replace(settings=record) for job in todo.jobs])


def _progress(unit):
    return Progress(TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
                    TimeRemainingColumn(), console=console)


def _each(todo, prepare, options, size=None, unit="pictures", total=1):
    """Paint every job, here or on a Ray cluster; in a folder one bad file does not stop the others.

    prepare(device) -> work(content, advance) -> image, with total calls of advance(message or nothing) a picture, for
    several pictures at once in threads. options: the SHARED; size: long side of the results, None for the contents'.
    """
    folder, paths, _ = todo
    device, ray = options["device"], options["ray"]
    failures, steps, work = 0, Counter(), prepare(device)  # for a cluster too, so that what is wrong with it is told at once
    with _progress(unit) as progress:
        task = progress.add_task("Ray" if ray else paths[0].name, total=total * len(paths))

        def advance(number, message=""):
            steps[number] += 1
            progress.advance(task)
            if message:
                console.print(f"{paths[number].name}: {message}", style="yellow")

        results = (cluster.paint(folder, paths, prepare, ray, device, options["precision"], 1 if total > 1 else
                                 cluster.TOGETHER) if ray
                   else folders.paint(folder, paths, work, advance, options["jobs"], size, device))
        with contextlib.closing(results):
            for number, error, messages in results:
                for message in messages:
                    console.print(f"{paths[number].name}: {message}", style="yellow")
                if error:
                    if len(paths) == 1:
                        raise error
                    failures += 1
                    console.print(f"{paths[number].name}: {error}", style="red")
                progress.update(task, description=paths[number].name, advance=total - steps[number])
    if failures:
        raise StyleTransferError(f"{failures} of {len(paths)} pictures could not be stylised.")


def _fetch_backbone(name, layers):
    if not backbones.present(name, layers):
        with Progress(TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("", total=None)
            for done, total in backbones.download(name, layers):
                progress.update(task, completed=done, total=total)


def _optimize(function, todo, content, layers, options, *, backbone, iterations, size, **given):
    """Each picture by a generator of the core that yields steps; layers: of the backbone, which is fetched first."""
    if not content.is_dir():
        images.load(content)
    _fetch_backbone(backbone, layers)

    def prepare(device):
        def work(picture, advance):
            for step in function(picture, backbone=backbone, iterations=iterations, size=size, device=device, **given):
                advance(getattr(step, "message", ""))
            return step.image
        return work

    _each(todo, prepare, options, size, "iterations", iterations)


@_command("gatys")
def gatys_command(content: Content, styles: Styles, output: Output, weights: Weights = None,
                  alpha: Gatys.alpha = DEFAULTS["alpha"], beta: Gatys.beta = DEFAULTS["beta"],
                  content_layer: str = DEFAULTS["content_layer"],
                  style_layers: Annotated[str, typer.Option(help="Names with commas, each with an optional weight: "
                                                                 "relu1_1,relu4_1=2.")] = ",".join(gatys.STYLE_LAYERS),
                  iterations: Gatys.iterations = DEFAULTS["iterations"], scales: Gatys.scales = DEFAULTS["scales"],
                  size: Gatys.size = 512, variation: Gatys.variation = DEFAULTS["variation"],
                  loss: Gatys.loss = DEFAULTS["loss"], init: Gatys.init = DEFAULTS["init"],
                  optimizer: Gatys.optimizer = DEFAULTS["optimizer"], backbone: Gatys.backbone = DEFAULTS["backbone"],
                  seed: Gatys.seed = DEFAULTS["seed"], style_masks: StyleMasks = None, **options):
    """Optimise the picture itself (Gatys et al. 2016): the most beautiful and the slowest."""
    layers = {name.strip(): _numbers(weight)[0] if equals else 1.0
              for name, equals, weight in (part.partition("=") for part in style_layers.split(","))}
    terms = gatys.standard_terms(alpha, beta, variation, content_layer, layers, loss)
    numbers, pictures, look = _numbers(weights), [_style(p) for p in styles], _look(options, len(styles))
    normalize_weights(numbers, len(styles))
    of_styles = style_masks and regions.load(style_masks, len(style_masks))
    record = _record("gatys", styles, options, style_masks, weights=numbers, alpha=alpha, beta=beta,
                     content_layer=content_layer, style_layers=list(layers) if set(layers.values()) == {1.0} else layers,
                     iterations=iterations, scales=scales, size=size, variation=variation, loss=loss, init=init,
                     optimizer=optimizer, backbone=backbone, seed=seed)
    todo = _todo(content, output, (*styles, *(style_masks or ())), options, record)
    _optimize(gatys.optimize, todo, content, {content_layer, *layers}, options, styles=pictures, style_weights=numbers,
              style_masks=of_styles, terms=terms, iterations=iterations, scales=scales, size=size, init=init,
              optimizer=optimizer, backbone=backbone, seed=seed, **look)


@_command("neighbours")
def neighbours_command(content: Content, styles: Styles, output: Output,
                       alpha: Neighbours.alpha = neighbours.DEFAULTS["alpha"],
                       iterations: Neighbours.iterations = neighbours.DEFAULTS["iterations"], size: Size = 512,
                       backbone: Neighbours.backbone = neighbours.DEFAULTS["backbone"], style_masks: StyleMasks = None,
                       **options):
    """Optimise the picture towards the styles' nearest features, place by place (Kolkin et al. 2022)."""
    pictures, look = [_style(p) for p in styles], _look(options, len(styles))
    of_styles = style_masks and regions.load(style_masks, len(style_masks))
    record = _record("neighbours", styles, options, style_masks, alpha=alpha, iterations=iterations, size=size,
                     backbone=backbone)
    todo = _todo(content, output, (*styles, *(style_masks or ())), options, record)
    _optimize(neighbours.optimize, todo, content, {neighbours.DEEPEST}, options, styles=pictures, style_masks=of_styles,
              alpha=alpha, iterations=iterations, size=size, backbone=backbone, **look)


def _arbitrary(method, content, styles, output, weights, alpha, size, style_size, style_masks, options,
               levels=arbitrary.CASCADE_LEVELS, decoder=None):
    numbers, pictures, look = _numbers(weights), [_style(p, style_size) for p in styles], _look(options, len(styles))
    normalize_weights(numbers, len(styles))
    of_styles = style_masks and regions.load(style_masks, len(style_masks))
    of_styles = regions.check(of_styles, len(styles), "style mask") or [None] * len(styles)
    record = _record(method, styles, options, style_masks, weights=numbers, decoder=decoder, alpha=alpha, size=size,
                     style_size=style_size, levels=levels)
    todo = _todo(content, output, (*styles, *(style_masks or ())), options, record)

    def prepare(device):
        encoded = [arbitrary.encode(picture, method, device, decoder, mask) for picture, mask in zip(pictures, of_styles)]
        return lambda picture, advance: arbitrary.stylize(picture, encoded, numbers, method, alpha, size=size, levels=levels,
                                                          decoder=decoder, device=device, **look)

    _each(todo, prepare, options, size)


@_command("adain")
def adain_command(content: Content, styles: Styles, output: Output, weights: Weights = None, alpha: Alpha = 1.0,
                  size: Size = None, style_size: StyleSize = 512, style_masks: StyleMasks = None,
                  decoder: Annotated[str | None, typer.Option(
                      help="Another AdaIN decoder: a file, or a name that `weights list` gives.")] = None, **options):
    """Any style at once by adaptive instance normalisation (Huang and Belongie 2017): the fastest."""
    _arbitrary("adain", content, styles, output, weights, alpha, size, style_size, style_masks, options, decoder=decoder)


@_command("wct")
def wct_command(content: Content, styles: Styles, output: Output, weights: Weights = None, alpha: Alpha = 1.0,
                size: Size = None, style_size: StyleSize = 512, style_masks: StyleMasks = None, **options):
    """Any style at once by whitening and colouring (Li et al. 2017), all layers in one pass: stronger textures."""
    _arbitrary("wct", content, styles, output, weights, alpha, size, style_size, style_masks, options)


@_command("cascade")
def cascade_command(content: Content, styles: Styles, output: Output, weights: Weights = None,
                    alpha: Alpha = 1.0, size: Size = None, style_size: StyleSize = 512, style_masks: StyleMasks = None,
                    levels: Annotated[str, typer.Option(help=arbitrary.OPTIONS["levels"].help)
                                      ] = ",".join(map(str, arbitrary.CASCADE_LEVELS)), **options):
    """WCT as it was published, level by level from the deepest (Li et al. 2017): slower, less of the photograph."""
    _arbitrary("cascade", content, styles, output, weights, alpha, size, style_size, style_masks, options,
               levels=_numbers(levels, int))


@_command("fixed")
def fixed_command(content: Content, output: Output,
                  style: Annotated[list[str], typer.Option(help="A name that `weights list` gives, or a weight file; "
                                                                "several of them are blended, or go where --masks say.")],
                  weights: Weights = None, strength: Strength = 1.0, size: Size = None, **options):
    """One style that a network was trained for (Johnson et al. 2016), or several blended: in a fraction of a second."""
    found, numbers, look = [sources.find(name) for name in style], _numbers(weights), _look(options, len(style))
    fixed.check_styles(found, numbers, look["masks"])
    record = _record("fixed", style, options, weights=numbers, strength=strength, size=size)
    todo = _todo(content, output, (), options, record)

    def prepare(device):
        return lambda picture, advance: fixed.stylize(picture, found, strength, weights=numbers, size=size, device=device,
                                                      **look)

    _each(todo, prepare, options, size)


@_command("compare", without=(*LOOK, "masks", "bits", "jobs", "ray"))
def compare_command(content: Annotated[Path, typer.Argument(parser=_path, metavar="CONTENT", help="The photograph.")],
                    style: Annotated[Path, typer.Argument(parser=_path, metavar="STYLE", help="The style's picture.")],
                    output: Annotated[Path, typer.Option("--output", "-o", parser=_path, metavar="PATH", help="The sheet.")],
                    methods: Annotated[str, typer.Option(help=f"{compare.OPTIONS['methods'].help} With commas.")
                                       ] = ",".join(name for name in compare.METHODS if name != "fixed"),
                    alphas: Annotated[str, typer.Option(help=compare.OPTIONS["alphas"].help)
                                      ] = ",".join(map(str, compare.OPTIONS["alphas"].default)),
                    fixed_style: Annotated[str | None, typer.Option(help="A fixed style as well, a name that `weights list` "
                                                                         "gives, or a weight file.")] = None,
                    iterations: _declared(compare.OPTIONS["iterations"]) = compare.OPTIONS["iterations"].default,
                    size: _declared(compare.OPTIONS["size"]) = compare.OPTIONS["size"].default,
                    seed: Gatys.seed = DEFAULTS["seed"], **options):
    """Paint a photograph by all methods, and put them on one sheet with their time, memory and distances."""
    wanted = [name.strip() for name in methods.split(",")] + ["fixed"] * bool(fixed_style)
    if content.is_dir():
        raise InputError(f"{content} is a folder: name one photograph.")
    one = {"ray": None, "jobs": None, "masks": None, "bits": images.BITS.default}
    job, = _todo(content, output, [style], options | one, None).jobs
    photo, painting, results = images.load(content), images.load(style, images.STYLE_SIZE.default), []
    steps = compare.paint(photo, painting, wanted, _numbers(alphas), fixed_style, iterations, size, seed, options["device"])
    with _progress("%") as progress, contextlib.closing(steps):
        task = progress.add_task(content.name, total=100)
        for step in steps:
            progress.update(task, description=step.title, completed=round(100 * step.share))
            results += [step.result] if step.result else []
    images.save(images.from_pil(compare.sheet(photo, painting, results)), job.target)
    table = Table("", *compare.figures(results[0]), box=None)
    for result in results:
        table.add_row(result.title, *compare.figures(result).values())
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)


@_command("video", without=("bits", "overwrite", "jobs", "ray"))
def video_command(film: Annotated[Path, typer.Argument(parser=_path, metavar="FILM", help="The film.")],
                  output: Annotated[Path, typer.Option("--output", "-o", parser=_path, metavar="PATH", help="An MP4 file.")],
                  styles: Annotated[list[Path] | None, typer.Argument(help="One or several style pictures; a folder of "
                                                                           "pictures is one style.")] = None,
                  style: Annotated[list[str] | None, typer.Option(
                      help="Instead of pictures: a fixed style, a name that `weights list` gives, or a weight file; several of "
                           "them are blended, or go where --masks say.")] = None,
                  method: _declared(video.OPTIONS["method"]) = "adain", weights: Weights = None, strength: Strength = 1.0,
                  size: Size = None, style_size: StyleSize = 512,
                  flow: Annotated[bool, typer.Option(help="Steady the film along its motion; without, it is painted faster.")
                                  ] = True,
                  smooth: _declared(video.OPTIONS["smooth"]) = video.OPTIONS["smooth"].default,
                  quality: _declared(video.OPTIONS["quality"]) = video.OPTIONS["quality"].default, **options):
    """Paint a film, steadily and with its sound. Ctrl-C leaves what is done as a film."""
    if bool(styles) == bool(style):
        raise InputError("Name either style pictures or, with --style, a fixed style.")
    video.check_output(output, [film, *(styles or []), *(options["masks"] or [])])
    look, numbers = _look(options, len(styles or style)), _numbers(weights)
    if style:
        method, chosen = "fixed", [sources.find(name) for name in style]
        fixed.check_styles(chosen, numbers, look["masks"])
    else:
        chosen = [_style(path, style_size) for path in styles]
        normalize_weights(numbers, len(styles))
    paint = video.painter(method, chosen, strength, weights=numbers, device=options["device"], **look)
    steps = video.stylize(film, output, paint, size=size, flow=flow, smooth=smooth, quality=quality)
    with _progress("frames") as progress, contextlib.closing(steps):
        task = progress.add_task(film.name, total=None)
        for step in steps:
            progress.update(task, total=step.frames and max(step.frames, step.frame), completed=step.frame)
            if step.message:
                console.print(step.message, style="yellow")


@app.command("settings")
def settings_command(file: Annotated[Path, typer.Argument(parser=_path, metavar="FILE", help="A PNG, JPEG or WebP file.")]):
    """Say what a picture was painted with, as it stands in its file: a line for people, and JSON on the standard output."""
    record = settings.read(file)
    if record is None:
        raise InputError(f"{file} carries no settings: name a PNG, JPEG or WebP file as this program wrote it.")
    console.print(settings.describe(record))
    print(json.dumps(record, indent=1))


weights_app = typer.Typer(no_args_is_help=True, help="Weights: what is here, from the Hub, to the Hub.")
app.add_typer(weights_app, name="weights")

Folder = Annotated[Path | None, typer.Option(help="Instead of checkpoints/.")]


@weights_app.command("list")
def weights_list():
    """What lies in checkpoints/ and in the repositories of STYLE_TRANSFER_REPO."""
    found, problems = sources.catalog()
    table = Table("name", "what", "family", "size", "licence", "from", box=None)
    for source in found:
        item = source.entry
        table.add_row(source.label, item.title, item.family, f"{item.size / 1e6:.2f} MB", item.license,
                      str(source.repository or checkpoints.FOLDER))
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)
    for problem in problems:
        console.print(problem, style="red")
    if problems:
        raise typer.Exit(1)


@weights_app.command("pull")
def weights_pull(repo: Annotated[str | None, typer.Argument(help="owner/name; default: those of STYLE_TRANSFER_REPO.")] = None,
                 names: Annotated[list[str] | None, typer.Argument(help="Some of its weights only.")] = None,
                 revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
                 folder: Folder = None,
                 force: Annotated[bool, typer.Option(help="Overwrite files that differ.")] = False):
    """Copy a repository's weights into checkpoints/, each checked against the repository's index."""
    repos = [hub.parse(repo)] if repo else hub.repositories()
    if not repos:
        raise InputError("Name a repository, owner/name, or set STYLE_TRANSFER_REPO.")
    for chosen in repos:
        if revision:
            chosen = hub.parse(f"{chosen.id}@{revision}")
        for name in hub.pull(chosen, names or (), folder, force):
            console.print(name)


@weights_app.command("push")
def weights_push(repo: Annotated[str, typer.Argument(help="owner/name; made if it does not exist.")],
                 private: Annotated[bool, typer.Option(help="Make the repository private.")] = False, folder: Folder = None):
    """Upload checkpoints/ with its index and model card to a model repository."""
    print(hub.push(hub.parse(repo), folder, private))


@weights_app.command("verify")
def weights_verify(folder: Folder = None):
    """Compare every file in checkpoints/ with the index: SHA-256, and whether it loads."""
    found = checkpoints.verify(folder)
    for name, problem in found:
        console.print(f"{name} {problem or 'is right'}", style="red" if problem else None)
    if any(problem for _, problem in found):
        raise typer.Exit(1)


@weights_app.command("index")
def weights_index(folder: Folder = None):
    """Make index.json from the files, after training or converting some. `push` does it by itself."""
    print(f"{len(checkpoints.write_index(folder))} weights in {Path(folder or checkpoints.FOLDER) / checkpoints.INDEX}")


@weights_app.command("convert")
def weights_convert(file: Annotated[Path, typer.Argument(help=f"Weights of another project; {convert.LAYOUTS}.")],
                    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write, .safetensors.")],
                    encoder: Annotated[Path | None, typer.Option(help="The converted encoder of an AdaIN decoder.")] = None,
                    name: str | None = None, license: str = "", credit: str = ""):
    """Make a checkpoint of this project out of another project's weights."""
    item = convert.convert(file, output, name, encoder, license, credit)
    print(f"{output}: {item.family}, {item.size / 1e6:.2f} MB")


def main():
    """Run the command line; errors are one sentence, exit code 2 for wrong input, 1 for other failures, 130 for Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C, by way of what removes half-written files
    try:
        app(standalone_mode=True)
    except (InputError, CheckpointError) as error:
        console.print(str(error), style="red")
        sys.exit(2)
    except StyleTransferError as error:
        console.print(str(error), style="red")
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        console.print(f"{error.filename or 'A file'} could not be read or written ({error.strerror or error}): choose another "
                      "place, or check its permissions.", style="red")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
