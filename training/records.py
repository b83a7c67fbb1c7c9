"""What a run's folder tells people: its log, a plot of the losses, the sheet of the validation, and whether it is running.

No half-written line and no record twice stays in a log, however often its run was killed and resumed.
"""

import json
import math
import os
import socket
import time
from pathlib import Path

import psutil
import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from style_transfer import images
from style_transfer.checkpoints import replacing

CONFIG, STATUS, LOG = "config.json", "status.json", "log.jsonl"
PLOTTING = 100  # seconds until the first plot, and times as long as a plot takes until the next
FIELDS = {"state": str, "host": str, "pid": int, "since": float, "stage": str, "step": int, "steps": int}  # of a status
SILENT = 1800  # seconds without a record after which a run on another machine counts as dead
VALIDATION = "validation/"  # before the names of losses on the pictures that are held out
COLUMNS, PANEL, HEAD = 3, (4.6, 2.5), 0.3  # panels side by side, their size in inches, and the height of a line above
MARGIN = 1  # pixels around each picture of a sheet
TICKS = {1: (1, 1.5, 2, 3, 4, 6, 8), 3: (1, 2, 5), math.inf: (1,)}  # decades on an axis: where it has ticks in each of them


def write(path, found):
    """Write a JSON file, whole or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(found, indent=1) + "\n")


def read(path):
    """What a JSON file holds, {} where it is missing or none."""
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_log(folder):
    """The records of a stage, [{"step": number, "minutes": number, name: value}]; without what a kill left half-written."""
    try:
        lines = (Path(folder) / LOG).read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            found.append(record)
    return found


def curves(records):
    """{name: ([step], [value])} of the records' finite numbers."""
    found = {}
    for record in records:
        for name, value in record.items():
            if name not in ("step", "minutes") and isinstance(value, (int, float)) and math.isfinite(value):
                steps, values = found.setdefault(name, ([], []))
                steps.append(record["step"])
                values.append(value)
    return found


def plot(path, runs):
    """Write a PNG with a panel for each loss over the steps: in training a line, in validation a dashed one with dots.

    runs: {label: records}, each run in a colour of its own. Logarithmic, so that a spike leaves the rest to be seen.
    """
    found = {label: curves(records) for label, records in runs.items()}
    names = list(dict.fromkeys(name.removeprefix(VALIDATION) for lines in found.values() for name in lines))
    rows = max(1, math.ceil(len(names) / COLUMNS))
    figure = Figure((COLUMNS * PANEL[0], rows * PANEL[1] + HEAD))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.06, 0.3 / figure.get_figheight(), 0.99, 1 - 2 * HEAD / figure.get_figheight(), 0.17, 0.3)
    for number, name in enumerate(names):
        axes = figure.add_subplot(rows, COLUMNS, number + 1)
        shown = []
        for i, lines in enumerate(found.values()):
            for prefix, style in (("", "-"), (VALIDATION, "--")):
                if prefix + name in lines:
                    steps, values = lines[prefix + name]
                    axes.plot(steps, values, style, color=f"C{i}", linewidth=1, marker="." if prefix or len(steps) == 1 else "")
                    shown += values
        if min(shown) > 0:
            decades = math.log10(max(shown) / min(shown))
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=next(ticks for width, ticks in TICKS.items() if decades < width)))
            axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            axes.yaxis.set_minor_locator(NullLocator())
        else:  # logarithms of errors, or decibels
            axes.set_yscale("symlog", linthresh=max(1e-6, sorted(map(abs, shown))[len(shown) // 2]))
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    handles = [Line2D([], [], color=f"C{i}", label=label) for i, label in enumerate(runs)]
    handles.append(Line2D([], [], color="grey", linestyle="--", marker=".", label="dashed: validation"))
    figure.legend(handles=handles, loc="upper center", fontsize=8, ncols=len(handles), frameon=False)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=80)


def tell(folder, state, **more):
    """Write a run's status.json: that this process makes it "running", or left it "finished", "stopped" or "failed".

    more: stage, step reached and steps asked for; message of what failed.
    """
    me = psutil.Process()
    write(Path(folder) / STATUS,
          {"state": state, "host": socket.gethostname(), "pid": me.pid, "since": me.create_time(), **more})


def status(folder):
    """What `tell` wrote last; a run whose process is gone without a word has "state": "died". {} for what is no run."""
    found = read(Path(folder) / STATUS)
    if not all(isinstance(found.get(name), kind) for name, kind in FIELDS.items()):
        return {}
    if found.get("state") == "running" and not _alive(Path(folder), found):
        found["state"] = "died"
    return found


def _alive(folder, found):
    """Whether the process that wrote a status lives; on another machine, whether it recorded anything lately."""
    if found.get("host") != socket.gethostname():
        times = [path.stat().st_mtime for path in (folder / STATUS, folder / found["stage"] / LOG) if path.exists()]
        return time.time() - max(times, default=0) < SILENT
    try:
        process = psutil.Process(found["pid"])
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - found["since"]) < 5
    except (psutil.Error, ValueError):
        return False


class Watch:
    """Where a stage of a run is watched: log.jsonl, TensorBoard, losses.png, pictures.png; written by the main process.

    after: the step that the run goes on from, after which all records are cut off; -1 for a run that begins.
    """

    def __init__(self, folder, accelerator, after):
        self.folder, self.accelerator = folder, accelerator
        self.records, self.next_plot = [], time.monotonic() + PLOTTING
        if accelerator.is_main_process:
            self.records = [record for record in read_log(folder) if record["step"] <= after]
            with replacing(folder / LOG) as part:
                part.write_text("".join(json.dumps(record) + "\n" for record in self.records))
        accelerator.init_trackers(os.path.relpath(folder, accelerator.project_dir),
                                  init_kwargs={"tensorboard": {"purge_step": after + 1}})

    def record(self, step, minutes, values):
        """Add {name: number} to the log and to TensorBoard."""
        self.accelerator.log(values, step)
        self.records.append({"step": step, "minutes": round(minutes, 2), **values})
        with open(self.folder / LOG, "a") as log:
            log.write(json.dumps(self.records[-1]) + "\n")

    def show(self, step, pictures):
        """Renew pictures.png. pictures: [N, 3, H, W], or several of that shape, each a row of the sheet."""
        rows = pictures if isinstance(pictures, (list, tuple)) else [pictures]
        framed = [F.pad(row.float().clamp(0, 1).cpu(), (MARGIN,) * 4) for row in rows]
        sheet = torch.cat([torch.cat([*row], 2) for row in framed], 1)[None]
        images.save(sheet, self.folder / "pictures.png")
        self.accelerator.get_tracker("tensorboard").log_images({"pictures": sheet.numpy()}, step, dataformats="NCHW")

    def plot(self, always=False):
        """Renew losses.png, but for a hundredth of the time at most."""
        begun = time.monotonic()
        if self.records and (always or begun > self.next_plot):
            plot(self.folder / "losses.png", {"training": self.records})
            self.next_plot = begun + PLOTTING * (time.monotonic() - begun)

    def close(self):
        self.plot(always=True)
        for tracker in self.accelerator.trackers:
            tracker.finish()
        self.accelerator.trackers.clear()
