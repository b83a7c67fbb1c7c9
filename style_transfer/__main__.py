"""The command line: python -m style_transfer gatys | adain | wct | fixed | video | weights."""

import contextlib
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

from . import arbitrary, backbones, checkpoints, cluster, convert, fixed, gatys, hub, images, video
from . import device as devices
from . import weights as sources
from .errors import CheckpointError, InputError, StyleTransferError
from .options import Option
from .transforms import normalize_weights

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Turn photographs into paintings.")
console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)  # names are printed as they are


def _declared(option):
    """One of the core's options as typer takes it: type, range or choices, and help."""
    kind = int if isinstance(option.low, int) else float
    if option.choices:  # whose members are equal to the strings
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
Styles = Annotated[list[Path], typer.Argument(help="One or several style pictures.")]
Output = Annotated[Path, typer.Option("--output", "-o", parser=_path, metavar="PATH",
                                      help="The result; a folder where CONTENT is one.")]
Weights = Annotated[str | None, typer.Option(help="A number for each style, with commas: 0.7,0.3.")]
StyleSize = _declared(Option(512, "Long side to which the styles are brought: more gives larger strokes.", 16, 4096))
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Paint anew what a folder has already; replace even originals.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu; default: the best there is.",
                                            callback=lambda name: None if name is None else str(devices.pick(name)))]
Precision = Annotated[str | None, typer.Option(help=f"{', '.join(devices.PRECISIONS)}: the same seed gives the same picture in "
                                                    "the same precision only.", envvar="STYLE_TRANSFER_PRECISION",
                                               callback=_precision)]
Ray = Annotated[str | None, typer.Option(metavar="local|auto|HOST:PORT", callback=cluster.check, help=(
    "Paint a folder on all cores or GPUs of a Ray cluster: this machine (local), or the cluster that it belongs to. "
    f"Needs {cluster.INSTALL}; {cluster.SHARED}.").replace("[", r"\["))]
Size, PreserveColor = _declared(images.SIZE), _declared(fixed.OPTIONS["preserve_color"])
Alpha, Strength = _declared(arbitrary.OPTIONS["alpha"]), _declared(fixed.OPTIONS["strength"])
Gatys, DEFAULTS = SimpleNamespace(**{name: _declared(option) for name, option in gatys.OPTIONS.items()}), gatys.DEFAULTS


def _numbers(text, kind=float):
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        example = {float: "numbers with commas, such as 0.7,0.3", int: "whole numbers with commas, such as 4,3,2,1"}[kind]
        raise InputError(f"{text!r} cannot be read: write {example}.") from None


def _jobs(content, output, styles=(), overwrite=False, ray=None):
    """Pairs of content file and result file, all checked, without the results that a folder has already.

    Folders of results are made. Raises InputError where an original would be overwritten, or two results have one name.
    """
    if not os.path.exists(content):
        raise InputError(f"There is no file or folder {content}: check its name.")
    if ray and not content.is_dir():
        raise InputError(f"--ray is for many pictures, and {content} is one: name a folder, or leave --ray away.")
    if content.is_dir():
        files = sorted(p for p in content.iterdir() if p.is_file() and not p.name.startswith("."))
        if not files:
            raise InputError(f"There is no file in the folder {content}: name one with photographs.")
        if not output.is_dir() and (output.exists() or output.suffix.lower() in images.SUFFIXES):
            raise InputError(f"{output} is a file, and {content} a folder: name a folder for the results.")
        if output.is_dir() and output.samefile(content) and not overwrite:  # the next time, results would be photographs
            raise InputError(f"{output} is the folder of the photographs: name another one for the results, or --overwrite.")
        stems = Counter(p.stem.casefold() for p in files)  # a.jpg and a.png become a.jpg.png and a.png.png
        jobs = [(p, output / f"{p.stem if stems[p.stem.casefold()] == 1 else p.name}.png") for p in files]
    else:
        jobs = [(content, output / f"{content.stem}.png" if output.is_dir() else output)]
    names = Counter(str(target).casefold() for _, target in jobs)
    if clash := [source.name for source, target in jobs if names[str(target).casefold()] > 1]:
        raise InputError(f"The results of {', '.join(clash)} would have one name: rename one of them.")
    originals = {os.path.realpath(path) for path in (*styles, *(source for source, _ in jobs))}
    for _, target in jobs:
        if os.path.realpath(target) in originals and not overwrite:
            raise InputError(f"{target} is one of the originals: name another output, or --overwrite it.")
        if target.suffix.lower() in images.SUFFIXES:
            with contextlib.suppress(OSError):  # of which the next line speaks
                target.parent.mkdir(parents=True, exist_ok=True)
        images.output_format(target)
    if output.is_dir() and not overwrite:
        left = [(source, target) for source, target in jobs if not target.exists()]
        if len(left) < len(jobs):
            console.print(f"{len(jobs) - len(left)} of {len(jobs)} pictures are in {output} already and are kept: --overwrite "
                          "paints them anew.")
        jobs = left
    if not jobs:
        raise typer.Exit
    return jobs


def _progress(unit):
    return Progress(TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
                    TimeRemainingColumn(), console=console)


def _here(jobs, work, progress, task):
    """Run work(content, advance) for every job and save its picture; yields a `cluster.Result` for each."""
    def advance(message=""):
        progress.advance(task)
        if message:
            console.print(message, style="yellow")

    for number, (content, output) in enumerate(jobs):
        progress.update(task, description=content.name)
        error = None
        try:
            images.save(work(images.load(content), advance), output)
        except StyleTransferError as problem:
            error = problem
        yield cluster.Result(number, error)


def _each(jobs, prepare, device, precision, ray, unit="pictures", total=1):
    """Paint every job, here or on a Ray cluster; in a folder one bad file does not stop the others.

    prepare(device) -> work(content, advance) -> image, with total calls of advance(message or nothing) a picture.
    """
    failures, work = 0, prepare(device)  # for a cluster too, so that what is wrong with it is told at once
    with _progress(unit) as progress:
        task = progress.add_task("Ray" if ray else "", total=total * len(jobs))
        results = (cluster.paint(jobs, prepare, ray, device, precision, 1 if total > 1 else cluster.TOGETHER) if ray else
                   _here(jobs, work, progress, task))
        with contextlib.closing(results):
            for count, (number, error, messages) in enumerate(results, 1):
                for message in messages:
                    console.print(f"{jobs[number][0].name}: {message}", style="yellow")
                if error:
                    if len(jobs) == 1:
                        raise error
                    failures += 1
                    console.print(f"{jobs[number][0].name}: {error}", style="red")
                progress.update(task, description=jobs[number][0].name, completed=count * total)
    if failures:
        raise StyleTransferError(f"{failures} of {len(jobs)} pictures could not be stylised.")


def _fetch_backbone(name, layers):
    if not backbones.present(name, layers):
        with Progress(TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("", total=None)
            for done, total in backbones.download(name, layers):
                progress.update(task, completed=done, total=total)


@app.command("gatys")
def gatys_command(content: Content, styles: Styles, output: Output, weights: Weights = None,
                  alpha: Gatys.alpha = DEFAULTS["alpha"], beta: Gatys.beta = DEFAULTS["beta"],
                  content_layer: str = DEFAULTS["content_layer"],
                  style_layers: Annotated[str, typer.Option(help="Names with commas, each with an optional weight: "
                                                                 "relu1_1,relu4_1=2.")] = ",".join(gatys.STYLE_LAYERS),
                  iterations: Gatys.iterations = DEFAULTS["iterations"], scales: Gatys.scales = DEFAULTS["scales"],
                  size: Gatys.size = 512, style_scale: Gatys.style_scale = DEFAULTS["style_scale"],
                  variation: Gatys.variation = DEFAULTS["variation"], init: Gatys.init = DEFAULTS["init"],
                  optimizer: Gatys.optimizer = DEFAULTS["optimizer"], backbone: Gatys.backbone = DEFAULTS["backbone"],
                  preserve_color: PreserveColor = "off", seed: Gatys.seed = DEFAULTS["seed"], overwrite: Overwrite = False,
                  ray: Ray = None, device: Device = None, precision: Precision = None):
    """Optimise the picture itself (Gatys et al. 2016): the most beautiful and the slowest."""
    layers = {name.strip(): _numbers(weight)[0] if equals else 1.0
              for name, equals, weight in (part.partition("=") for part in style_layers.split(","))}
    terms = gatys.standard_terms(alpha, beta, variation, content_layer, layers)
    numbers, pictures = _numbers(weights), [images.load(p) for p in styles]
    normalize_weights(numbers, len(styles))
    jobs = _jobs(content, output, styles, overwrite, ray)
    if not content.is_dir():
        images.load(content)
    _fetch_backbone(backbone, {content_layer, *layers})

    def prepare(device):
        def work(picture, advance):
            for step in gatys.optimize(picture, pictures, style_weights=numbers, terms=terms, iterations=iterations,
                                       scales=scales, size=size, style_scale=style_scale, init=init, optimizer=optimizer,
                                       backbone=backbone, preserve_color=preserve_color, seed=seed, device=device):
                advance(step.message)
            return step.image
        return work

    _each(jobs, prepare, device, precision, ray, "iterations", iterations)


def _arbitrary(method, content, styles, output, weights, alpha, size, style_size, preserve_color, overwrite, ray, device,
               precision, levels=arbitrary.WCT_LEVELS, decoder=None):
    numbers, pictures = _numbers(weights), [images.load(p, style_size) for p in styles]
    normalize_weights(numbers, len(styles))
    jobs = _jobs(content, output, styles, overwrite, ray)

    def prepare(device):
        encoded = [arbitrary.encode(picture, method, device, decoder) for picture in pictures]
        return lambda picture, advance: arbitrary.stylize(picture, encoded, numbers, method, alpha, preserve_color, size=size,
                                                          levels=levels, decoder=decoder, device=device)

    _each(jobs, prepare, device, precision, ray)


@app.command("adain")
def adain_command(content: Content, styles: Styles, output: Output, weights: Weights = None, alpha: Alpha = 1.0,
                  size: Size = None, style_size: StyleSize = 512, preserve_color: PreserveColor = "off",
                  decoder: Annotated[str | None, typer.Option(
                      help="Another AdaIN decoder: a file, or a name that `weights list` gives.")] = None,
                  overwrite: Overwrite = False, ray: Ray = None, device: Device = None, precision: Precision = None):
    """Any style at once by adaptive instance normalisation (Huang and Belongie 2017): the fastest."""
    _arbitrary("adain", content, styles, output, weights, alpha, size, style_size, preserve_color, overwrite, ray, device,
               precision, decoder=decoder)


@app.command("wct")
def wct_command(content: Content, styles: Styles, output: Output, weights: Weights = None,
                alpha: Alpha = 1.0, size: Size = None, style_size: StyleSize = 512,
                levels: Annotated[str, typer.Option(help=arbitrary.OPTIONS["levels"].help)
                                  ] = ",".join(map(str, arbitrary.WCT_LEVELS)),
                preserve_color: PreserveColor = "off", overwrite: Overwrite = False, ray: Ray = None, device: Device = None,
                precision: Precision = None):
    """Any style at once by whitening and colouring (Li et al. 2017): stronger textures, less of the photograph."""
    _arbitrary("wct", content, styles, output, weights, alpha, size, style_size, preserve_color, overwrite, ray, device,
               precision, levels=_numbers(levels, int))


@app.command("fixed")
def fixed_command(content: Content, output: Output,
                  style: Annotated[str, typer.Option(help="A name that `weights list` gives, or a weight file.")],
                  strength: Strength = 1.0, size: Size = None, preserve_color: PreserveColor = "off",
                  overwrite: Overwrite = False, ray: Ray = None, device: Device = None, precision: Precision = None):
    """One style that a network was trained for (Johnson et al. 2016): in a fraction of a second."""
    network, jobs = sources.find(style), _jobs(content, output, (), overwrite, ray)

    def prepare(device):
        return lambda picture, advance: fixed.stylize(picture, network, strength, preserve_color, size=size, device=device)

    _each(jobs, prepare, device, precision, ray)


@app.command("video")
def video_command(film: Annotated[Path, typer.Argument(parser=_path, metavar="FILM", help="The film.")],
                  output: Annotated[Path, typer.Option("--output", "-o", parser=_path, metavar="PATH", help="An MP4 file.")],
                  styles: Annotated[list[Path] | None, typer.Argument(help="One or several style pictures.")] = None,
                  style: Annotated[str | None, typer.Option(
                      help="Instead of pictures: a fixed style, a name that `weights list` gives, or a weight file.")] = None,
                  method: _declared(video.OPTIONS["method"]) = "adain", weights: Weights = None, strength: Strength = 1.0,
                  size: Size = None, style_size: StyleSize = 512, preserve_color: PreserveColor = "off",
                  flow: Annotated[bool, typer.Option(help="Steady the film along its motion; without, it is painted faster.")
                                  ] = True,
                  smooth: _declared(video.OPTIONS["smooth"]) = video.OPTIONS["smooth"].default,
                  quality: _declared(video.OPTIONS["quality"]) = video.OPTIONS["quality"].default,
                  device: Device = None, precision: Precision = None):
    """Paint a film, steadily and with its sound. Ctrl-C leaves what is done as a film."""
    if bool(styles) == bool(style):
        raise InputError("Name either style pictures or, with --style, a fixed style.")
    video.check_output(output, [film, *(styles or [])])
    if style:
        method, chosen = "fixed", sources.find(style)
    else:
        chosen = [images.load(path, style_size) for path in styles]
    numbers = {} if style else {"weights": _numbers(weights)}
    steps = video.stylize(film, output, video.painter(method, chosen, strength, preserve_color, device=device, **numbers),
                          size=size, flow=flow, smooth=smooth, quality=quality)
    with _progress("frames") as progress, contextlib.closing(steps):
        task = progress.add_task(film.name, total=None)
        for step in steps:
            progress.update(task, total=step.frames and max(step.frames, step.frame), completed=step.frame)
            if step.message:
                console.print(step.message, style="yellow")


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
