"""List the runs of a folder with their state, or compare two.

    python -m training.runs [FOLDER]              all runs below it; default: runs
    python -m training.runs A B [-o PICTURE]      which options differ, the losses at equal steps, and both curves in a picture

A run is running, finished, stopped (by Ctrl-C), failed (with a sentence) or died: its process is gone without a word.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from style_transfer.errors import InputError
from style_transfer.images import output_format
from training import loop, records

PLAIN_WIDTH = 160  # characters, where the output is no terminal
STEPS = 5  # at most so many of the steps that two runs share are compared, the last of them included
RATES = ("learning_rate", "pictures_per_second")  # what a log holds beside losses


def find(folder):
    """The folders of all runs in a folder and below it. Raises InputError where there is none."""
    if not Path(folder).is_dir():
        raise InputError(f"There is no folder {folder}: name one that holds runs.")
    found = sorted((path.parent for path in Path(folder).rglob(records.CONFIG) if records.status(path.parent)),
                   key=lambda run: records.read(run / records.CONFIG).get("began", ""))
    if not found:
        raise InputError(f"There is no run in {folder}: name the folder that --run-folder named, or one above it.")
    return found


def one(folder):
    """A run's configuration, status, log and the folder that it is in. Raises InputError for what is no run's folder."""
    folder = Path(folder)
    config, status = records.read(folder / records.CONFIG), records.status(folder)
    if not config or not status:
        raise InputError(f"{folder} is no run's folder: name one that holds {records.CONFIG} and {records.STATUS}.")
    return config, status, records.read_log(folder / status["stage"])


def losses(record):
    """A record's losses by name."""
    return {name: value for name, value in record.items() if name not in ("step", "minutes") and not name.startswith(RATES)}


def table(title, *columns):
    result = Table(title=title, title_justify="left")
    for name, justify in columns:
        result.add_column(name, justify=justify, overflow="fold")
    return result


def listed(folder):
    """A table of the runs in a folder, the oldest first."""
    result = table(None, ("run", "left"), ("state", "left"), ("step", "right"), ("minutes", "right"), ("last losses", "left"))
    for run in find(folder):
        _, status, log = one(run)
        step = max([status["step"], *(record["step"] for record in log[-1:])])
        validated = [record for record in log if any(name.startswith(records.VALIDATION) for name in record)]
        last = losses((validated or log or [{}])[-1])
        shown = "  ".join(f"{name.removeprefix(records.VALIDATION)} {value:.4g}" for name, value in last.items())
        stage = "" if status["stage"] == "." else f"{status['stage']} "
        minutes = str((log or [{}])[-1].get("minutes", ""))
        result.add_row(str(run), status["state"], f"{stage}{step} / {status['steps']}", minutes, status.get("message") or shown)
    return result


def compared(a, b):
    """Tables of what two runs' options and losses at equal steps are, where they differ."""
    (config, _, log), (other, _, other_log) = one(a), one(b)
    names = str(a), str(b)
    options = table("options that differ", ("option", "left"), *((name, "left") for name in names))
    mine, theirs = ({**found.get("options", {}), **{name: [str(found.get(name))] for name in ("code", "torch", "processes")}}
                    for found in (config, other))
    for name in dict.fromkeys([*mine, *theirs]):
        if mine.get(name, []) != theirs.get(name, []) and name not in ("run_folder", "resume"):
            options.add_row(name.replace("_", "-"), *(" ".join(found.get(name, [])) or "-" for found in (mine, theirs)))
    lines, other_lines = records.curves(log), records.curves(other_log)
    result = table("losses at equal steps", ("loss", "left"), ("step", "right"), *((name, "right") for name in names),
                   ("second / first", "right"))
    shared = [name for name in lines if name in other_lines and not name.startswith(RATES)]
    for name in [name for name in shared if name.startswith(records.VALIDATION)] or shared:
        first, second = dict(zip(*lines[name])), dict(zip(*other_lines[name]))
        steps = sorted(first.keys() & second.keys())
        for step in [steps[round((i + 1) * len(steps) / STEPS) - 1] for i in range(STEPS)] if len(steps) > STEPS else steps:
            ratio = f"{second[step] / first[step]:.3f}" if first[step] > 0 else ""
            result.add_row(name, str(step), f"{first[step]:.4g}", f"{second[step]:.4g}", ratio)
    return options, result


def main():
    p = argparse.ArgumentParser("python -m training.runs", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="none or one to list, two to compare")
    p.add_argument("-o", "--output", type=Path, help="the picture of both curves; default: A-B.png beside the first run")
    a = p.parse_args()
    if len(a.folders) > 2:
        p.error("name no more than two folders")
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = Console(width=width, markup=False, highlight=False)
    if len(a.folders) < 2:
        console.print(listed(*(a.folders or ["runs"])))
        return
    path = a.output or a.folders[0].parent / f"{a.folders[0].name}-{a.folders[1].name}.png"
    if output_format(path) != "PNG":
        raise InputError(f"The picture of the curves is a PNG: name a file that ends in .png, not {path.name}.")
    for found in compared(*a.folders):
        console.print(found if found.row_count else f"{found.title}: none")
    records.plot(path, {str(folder): one(folder)[2] for folder in a.folders})
    console.print(f"both curves: {path}", soft_wrap=True)


if __name__ == "__main__":
    loop.execute(main)
