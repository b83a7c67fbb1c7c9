"""The command line: python -m style_transfer gatys | adain | wct | fixed | weights."""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from . import arbitrary, backbones, checkpoints, convert, fixed, gatys, hub, images
from .errors import CheckpointError, InputError, StyleTransferError
from .weights import catalog, find

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Turn photographs into paintings.")
console = Console(stderr=True)

Keep = Enum("Keep", {"off": "off", "luminance": "luminance", "match": "match"}, type=str)
Start = Enum("Start", {"content": "content", "noise": "noise", "style": "style"}, type=str)
Optimizer = Enum("Optimizer", {"lbfgs": "lbfgs", "adam": "adam"}, type=str)
Backbone = Enum("Backbone", {"compact": "compact", "vgg19": "vgg19", "vgg16": "vgg16"}, type=str)

Content = Annotated[Path, typer.Argument(help="The photograph, or a folder of photographs.")]
Styles = Annotated[list[Path], typer.Argument(help="One or several style pictures.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The result; a folder where CONTENT is one.")]
Weights = Annotated[str | None, typer.Option(help="A number for each style, with commas: 0.7,0.3.")]
Size = Annotated[int | None, typer.Option(min=16, max=8192, help="Long side of the result in pixels; default: the content's.")]
StyleSize = Annotated[int, typer.Option(min=16, max=4096,
                                        help="Long side to which the styles are brought: more gives larger strokes.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu; default: the best there is.")]


def _numbers(text):
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{text!r} is no list of numbers with commas, such as 0.7,0.3.") from None


def _jobs(content, output):
    """Pairs of content file and result file; the result's folder is made."""
    if not content.exists():
        raise InputError(f"There is no file or folder {content}.")
    if not content.is_dir():
        if output.is_dir():
            output = output / f"{content.stem}.png"
        output.parent.mkdir(parents=True, exist_ok=True)
        return [(content, output)]
    files = sorted(p for p in content.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise InputError(f"There is no file in the folder {content}.")
    output.mkdir(parents=True, exist_ok=True)
    return [(p, output / f"{p.stem}.png") for p in files]


def _progress(unit):
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
                    TimeRemainingColumn(), console=console)


def _each(jobs, work, unit, total):
    """Run work(content, output, advance) for every job; in a folder one bad file does not stop the others."""
    failures = 0
    with _progress(unit) as progress:
        task = progress.add_task("", total=total * len(jobs))
        for number, (content, output) in enumerate(jobs):
            progress.update(task, description=content.name, completed=number * total)
            try:
                work(content, output, lambda count=1: progress.advance(task, count))
            except StyleTransferError as error:
                if len(jobs) == 1:
                    raise
                failures += 1
                console.print(f"{content.name}: {error}", style="red", highlight=False, soft_wrap=True)
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
                  alpha: Annotated[float, typer.Option(min=0, help="Weight of the content.")] = 1.0,
                  beta: Annotated[float, typer.Option(min=0, help="Weight of the style.")] = gatys.BETA,
                  content_layer: str = gatys.CONTENT_LAYER,
                  style_layers: Annotated[str, typer.Option(help="Names with commas, each with an optional weight: "
                                                                 "relu1_1,relu4_1=2.")] = ",".join(gatys.STYLE_LAYERS),
                  iterations: Annotated[int, typer.Option(min=1, help="Of all scales together.")] = gatys.ITERATIONS,
                  scales: Annotated[int, typer.Option(min=1, max=6, help="Sizes gone through, coarse to fine.")] = gatys.SCALES,
                  size: Size = 512,
                  style_scale: Annotated[float, typer.Option(min=0.1, max=4,
                                                             help="Long side of the styles over the result's.")] = 1.0,
                  variation: Annotated[float, typer.Option(min=0, help="Weight of the total variation.")] = gatys.VARIATION,
                  init: Start = Start.content, optimizer: Optimizer = Optimizer.lbfgs,
                  backbone: Backbone = Backbone.compact, seed: int = 0, device: Device = None):
    """Optimise the picture itself (Gatys et al. 2016): the most beautiful and the slowest."""
    layers = {}
    for part in style_layers.split(","):
        name, _, weight = part.strip().partition("=")
        layers[name] = _numbers(weight)[0] if weight else 1.0
    pictures = [images.load(p) for p in styles]
    _fetch_backbone(backbone.value, {content_layer, *layers})

    def work(source, target, advance):
        step = None
        for step in gatys.optimize(images.load(source), pictures, style_weights=_numbers(weights), alpha=alpha, beta=beta,
                                   content_layer=content_layer, style_layers=layers, variation=variation,
                                   iterations=iterations, scales=scales, size=size, style_scale=style_scale,
                                   init=init.value, optimizer=optimizer.value, backbone=backbone.value, seed=seed,
                                   device=device):
            advance()
            if step.message:
                console.print(step.message, style="yellow")
        images.save(step.image, target)

    _each(_jobs(content, output), work, "iterations", iterations)


def _arbitrary(method, content, styles, output, weights, alpha, size, style_size, preserve_color, levels, device,
               decoder=None):
    keep = preserve_color.value if preserve_color != Keep.off else False
    pictures = [images.load(p, style_size) for p in styles]
    encoded = pictures if keep == "match" else [arbitrary.encode(p, method, device, decoder) for p in pictures]

    def work(source, target, advance):
        image = arbitrary.stylize(images.load(source), encoded, _numbers(weights), method, alpha, keep, size=size,
                                  levels=levels, decoder=decoder, device=device)
        images.save(image, target)
        advance()

    _each(_jobs(content, output), work, "pictures", 1)


Alpha = Annotated[float, typer.Option(min=0, max=1, help="0 gives the photograph back, 1 the full style.")]
PreserveColor = Annotated[Keep, typer.Option(help="Keep the photograph's colours: its hues under the result's luminance, "
                                                  "or styles matched to its colours first.")]


@app.command("adain")
def adain_command(content: Content, styles: Styles, output: Output, weights: Weights = None, alpha: Alpha = 1.0,
                  size: Size = None, style_size: StyleSize = 512, preserve_color: PreserveColor = Keep.off,
                  decoder: Annotated[str | None, typer.Option(
                      help="Another AdaIN decoder: a file, or a name that `weights list` gives.")] = None,
                  device: Device = None):
    """Any style at once by adaptive instance normalisation (Huang and Belongie 2017): the fastest."""
    _arbitrary("adain", content, styles, output, weights, alpha, size, style_size, preserve_color, arbitrary.LEVELS, device,
               decoder and find(decoder))


@app.command("wct")
def wct_command(content: Content, styles: Styles, output: Output, weights: Weights = None,
                alpha: Alpha = 1.0, size: Size = None, style_size: StyleSize = 512,
                levels: Annotated[str, typer.Option(help="Levels to transform, 5 the deepest.")
                                  ] = ",".join(map(str, arbitrary.WCT_LEVELS)),
                preserve_color: PreserveColor = Keep.off, device: Device = None):
    """Any style at once by whitening and colouring (Li et al. 2017): stronger textures, less of the photograph."""
    _arbitrary("wct", content, styles, output, weights, alpha, size, style_size, preserve_color,
               [int(n) for n in _numbers(levels)], device)


@app.command("fixed")
def fixed_command(content: Content, output: Output,
                  style: Annotated[str, typer.Option(help="A name that `weights list` gives, or a weight file.")],
                  strength: Annotated[float, typer.Option(min=0, max=1, help="0 is the photograph, 1 the full style.")] = 1.0,
                  size: Size = None, preserve_color: PreserveColor = Keep.off, device: Device = None):
    """One style that a network was trained for (Johnson et al. 2016): in a fraction of a second."""
    keep = preserve_color.value if preserve_color != Keep.off else False
    network = find(style)

    def work(source, target, advance):
        images.save(fixed.stylize(images.load(source), network, strength, keep, size=size, device=device), target)
        advance()

    _each(_jobs(content, output), work, "pictures", 1)


weights_app = typer.Typer(no_args_is_help=True, help="Weights: what is here, from the Hub, to the Hub.")
app.add_typer(weights_app, name="weights")

Folder = Annotated[Path | None, typer.Option(help="Instead of checkpoints/.")]


@weights_app.command("list")
def weights_list():
    """What lies in checkpoints/ and in the repositories of STYLE_TRANSFER_REPO."""
    sources, problems = catalog()
    table = Table("name", "what", "family", "size", "licence", "from", box=None)
    for source in sources:
        item = source.entry
        table.add_row(source.label, item.title, item.family, f"{item.size / 1e6:.2f} MB", item.license,
                      str(source.repository or checkpoints.FOLDER))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    for problem in problems:
        console.print(problem, style="red", highlight=False, soft_wrap=True)
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
            console.print(name, highlight=False)


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
        console.print(f"{name} {problem or 'is right'}", style="red" if problem else None, highlight=False, soft_wrap=True)
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
    """Run the command line; errors are one sentence, exit code 2 for wrong input and 1 for other failures."""
    try:
        app(standalone_mode=True)
    except (InputError, CheckpointError) as error:
        console.print(str(error), style="red", highlight=False, soft_wrap=True)
        sys.exit(2)
    except StyleTransferError as error:
        console.print(str(error), style="red", highlight=False, soft_wrap=True)
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        console.print(f"{error.filename or 'A file'} could not be read or written: {error.strerror or error}.", style="red",
                      highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(1)


if __name__ == "__main__":
    main()
