"""Several photographs with the settings of a tab: one after the other, each shown when it is ready, and all in one archive."""

import contextlib
import re
import zipfile
from pathlib import Path

import gradio as gr

from .. import images
from ..errors import InputError
from . import common, ending, turns

MOST = 30
MAX_BYTES = 500_000_000  # of the archive
SHOWN = 512  # pixels of the long side in the gallery; the archive holds the full pictures


def named(path, taken):
    """A file name for the painting of an upload: safe everywhere, a PNG's, and none of those taken, in lower case as well."""
    stem = re.sub(r"[^\w .()+-]+", "_", Path(path).stem).strip(" .")[:80] or "photograph"
    names = (f"{stem}{f' ({number})' if number > 1 else ''}.png" for number in range(1, len(taken) + 2))
    return next(name for name in names if name.lower() not in taken)


def told(status, done=None, archive=None, stop=None):
    """What a job yields, for [gallery, status, download, stop]."""
    return (gr.skip() if done is None else gr.Gallery(done, visible=bool(done)), status,
            gr.skip() if archive is None else gr.DownloadButton(value=str(archive) if done else None, visible=bool(done)),
            gr.skip() if stop is None else gr.Button(interactive=stop))


def _told(run, file, values):
    """What a tab's `run` tells of a photograph: (its status, the painting's file or None), one that lasts until the next."""
    with contextlib.closing(run(file, *values)) as updates:
        for painted, _, status, *_ in updates:
            yield re.sub("<progress.*</progress>", "", status), painted if isinstance(painted, str) else None


def runner(run, stop):
    """The function of the button: a generator of what `told` gives, for files and the values of the tab's inputs.

    run: the tab's own, for one photograph; stop: the `ending.Stop` that ends the job after the picture that is ready.
    """
    def run_all(files, request: gr.Request, *values):
        with common.as_gradio_errors(), common.job_folder() as folder, stop.heard(request, folder) as asked:
            if not files:
                raise InputError("There are no photographs yet: choose several to be painted.")
            if len(files) > MOST:
                raise InputError(f"{len(files)} photographs are too many at once: choose {MOST} at most.")
            archive, done, taken, error = Path(folder, "painted.zip"), [], set(), None
            yield told("", [], archive, stop=True)
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
                for number, file in enumerate(files, 1):
                    if asked.exists() or packed.fp.tell() > MAX_BYTES:
                        break
                    try:
                        with contextlib.closing(_told(run, file, values)) as updates:
                            for status, painting in updates:
                                if asked.exists() and not painting:
                                    break
                                if painting:
                                    name = named(file, taken)
                                    taken.add(name.lower())
                                    packed.write(painting, name)
                                    small = Path(folder, f"{number}.jpg")
                                    images.save(images.load(painting, SHOWN), small)
                                    done.append((str(small), Path(name).stem))
                                yield told(turns.bar(len(done) / len(files), f"{number} of {len(files)}. {status}"),
                                           done if painting else None)
                    except gr.Error as problem:
                        error = problem
                        gr.Warning(f"{problem.message} It is left out.")
            if not done and error:
                raise error
            left = "" if len(done) == len(files) else f" of {len(files)}"
            yield told(f"{len(done)}{left} photographs are painted", done, archive, stop=False)
    return run_all


def build(run, inputs):
    """A fold to paint several photographs; run: a tab's function for one; inputs: its components, the photograph first."""
    with gr.Accordion("Several photographs", open=False):
        files = gr.File(file_count="multiple", file_types=["image"], height=130, label=f"Photographs, {MOST} at most")
        with gr.Row(elem_classes="begin"):
            begin = gr.Button("Paint all of them", scale=3, min_width=140)
            end = gr.Button("Stop", interactive=False, min_width=80)
        status = gr.HTML(elem_classes="status", label="Status", padding=False)
        gallery = gr.Gallery(label="Painted", columns=3, height="auto", format="jpeg", visible=False, buttons=[],
                             elem_classes="painted")
        download = gr.DownloadButton("Download all as a ZIP file", visible=False)
    stop = ending.Stop()
    job = begin.click(runner(run, stop), [files, *inputs[1:]], [gallery, status, download, end], show_progress="hidden",
                      **turns.MANY, **common.PRIVATE)
    job.failure(lambda: gr.Button(interactive=False), None, end, **common.QUIET)
    stop.bind(end)
