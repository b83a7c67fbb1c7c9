"""Films: painted frame by frame, to be watched and stopped; what there is then is a film that plays."""

import contextlib
import html
import math
import os
import time
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from .. import images, networks, video, weights
from ..errors import InputError, StyleTransferError
from . import common, ending, fixed, result, styles, turns
from .inputs import Film

SIZE, MAX_SIZE = 640, 1280
STYLE_SIZE = 768
TITLES = {"fixed": "A network of its own, one for each style", "adain": "Any painting (AdaIN)",
          "wct": "Any painting, stronger (WCT)"}
METHOD = video.OPTIONS["method"]._replace(default="fixed", help="", choices=TITLES)
PREVIEW_SECONDS = 0.8
VARIABLE = "STYLE_TRANSFER_FILM_SECONDS"
SECONDS, FRAMES_A_SECOND = 20, 60  # the longest film
LEEWAY = 0.5  # s: few films end on the second
MAX_PIXELS = 9_000_000  # of a frame as it is uploaded: 4K
MAX_BYTES = 100_000_000
EMPTY = "The painted film appears here, frame by frame. Stop keeps what is done."


class Limits(NamedTuple):
    """The longest film."""

    seconds: float
    frames: int


def limits():
    """The `Limits`, which who runs the app may widen. Raises InputError for what is no number of seconds."""
    given = os.environ.get(VARIABLE) or SECONDS
    try:
        seconds = float(given)
        return Limits(seconds, round((seconds + LEEWAY) * FRAMES_A_SECOND))
    except (ValueError, OverflowError):
        raise InputError(f"{VARIABLE} must be a number of seconds, not {given!r:.60}.") from None


def header(path):
    """The `video.Header` of an upload. Raises InputError, one sentence, for what is no film or too much."""
    if not path:
        raise InputError("There is no film yet: choose the one to be painted.")
    longest, found = limits(), video.header(path)
    if os.path.getsize(path) > MAX_BYTES:
        raise InputError(f"The film has {os.path.getsize(path) / 1e6:.0f} MB, and {MAX_BYTES / 1e6:.0f} MB are the most here: "
                         "cut it, or make it smaller.")
    if found.width * found.height > MAX_PIXELS:
        raise InputError(f"Frames of {found.width} × {found.height} pixels are too large here: make the film smaller, to 4K "
                         "at most.")
    if (found.seconds or 0) > longest.seconds + LEEWAY:
        raise InputError(f"The film lasts {found.seconds:.0f} s, and {longest.seconds:.0f} s are the most here: cut it.")
    if (found.frames or 0) > longest.frames:
        raise InputError(f"The film has {found.frames} frames, and {longest.frames} are the most here: cut it, or give it "
                         "fewer frames a second.")
    return found


def paint(film, output, method, styles, strength, size, smooth, asked, *, frames, **look):
    """The steps of `video.stylize` until there is a file `asked`, so many frames at most."""
    painter = video.painter(method, styles, strength, **look)
    with contextlib.closing(video.stylize(film, output, painter, size=size, smooth=smooth, limit=2 * MAX_PIXELS)) as steps:
        for step in steps:
            yield step
            if asked.exists() or step.frame >= frames:
                return


def told(status=None, frame=None, stop=None):
    """What a job yields while it works, for [film, frame, status, download, where the film is, where the frame is, stop]."""
    shown = (gr.skip(), gr.skip()) if frame is None else (gr.Column(visible=False), gr.Column(visible=True))
    return (gr.skip(), gr.skip() if frame is None else frame, gr.skip() if status is None else status, gr.skip(), *shown,
            gr.skip() if stop is None else gr.Button(interactive=stop))


def done(path, status):
    """What a job yields at its end."""
    return (str(path), gr.skip(), status, str(path), gr.Column(visible=True), gr.Column(visible=False),
            gr.Button(interactive=False))


def _status(step, place, asked):
    """A bar and a sentence."""
    total = max(step.frames or 0, step.frame)
    if asked.exists():
        return turns.bar(step.frame / total, "Stopping after this frame")
    left = "" if place.left is None else f", about {turns.duration(place.left)} left"
    of = f" of {total}" if step.frames else ""
    return turns.bar(step.frame / total, f"Frame {step.frame}{of}, {turns.duration(place.elapsed)} elapsed{left}")


def _summary(title, step, seconds, whole):
    """What was painted, whether it is all of the film, how fast."""
    height, width = step.image.shape[2:]
    part = "" if whole else f"The film up to frame {step.frame}: "
    return html.escape(f"{part}{title}, {step.frame} frames, {width} × {height} pixels, {turns.duration(seconds)}")


def _styles(method, style, painting, other, share):
    """(styles for `video.painter`, their weights, what they are called)."""
    if method == "fixed":
        names, parts = fixed.blended(style, other, share)
        paths = [weights.named(name, *networks.FIXED) for name in names]
        return paths, parts, fixed.called(paths, parts)
    if not painting:
        raise InputError("There is no style picture yet: choose a painting or a pattern.")
    return [common.load_once(painting, STYLE_SIZE)], None, "AdaIN" if method == "adain" else "WCT"


STOP = ending.Stop()


def run(film, style=None, painting=None, method="fixed", strength=1.0, size=SIZE, smooth=video.OPTIONS["smooth"].default,
        preserve_color="off", stroke=1.0, other=None, share=0.5, request: gr.Request = None):
    """Paint a short film, steadily and with its sound: in one or two styles that have networks, or like any painting.

    Streams previews of frames; the last one is the film. Returns the film as an MP4 file first.
    """
    with common.as_gradio_errors(), common.job_folder() as folder, STOP.heard(request, folder) as asked:
        found = header(film)
        styles, parts, title = _styles(method, style, painting, other, share)
        size = min(size, max(found.width, found.height))
        output, step, shown = Path(folder, f"{Path(film).stem[:80]}-painted.mp4"), None, 0.0
        most = min(2 * (found.frames or math.inf) + FRAMES_A_SECOND, limits().frames)  # not all headers tell the truth
        with turns.Place((found.frames or most) * size ** 2 * found.height / found.width) as place:
            yield told("", stop=True)
            while (before := place.ahead())[0] and not asked.exists():
                yield told(turns.waiting(*before))
                time.sleep(turns.EVERY)
            start = time.perf_counter()
            for now in turns.iterate(paint, film, output, method, styles, strength, size, smooth, asked, frames=most,
                                     weights=parts, preserve_color=preserve_color, stroke=stroke):
                if now is None:
                    yield told()
                    continue
                first, step, place.elapsed = step is None, now, time.perf_counter() - start
                common.warn([step.message] if step.message else [])
                if first:  # which loads things and says nothing of others
                    begun = place.elapsed
                elif step.frames:
                    pace = (place.elapsed - begun) / (step.frame - 1)
                    place.left = max(step.frames - step.frame, 0) * pace
                if time.perf_counter() - shown > PREVIEW_SECONDS:
                    picture, shown = Path(folder, f"frame-{step.frame:05d}.jpg"), time.perf_counter()
                    images.save(step.image, picture)
                    yield told(_status(step, place, asked), str(picture))
        if step is None:
            raise StyleTransferError("Stopped before the first frame was painted: begin again for a film.")
        whole = not asked.exists() and step.frame < most
        yield done(output, _summary(title, step, place.elapsed, whole))


def look_at(film):
    """What has been uploaded, in a few words."""
    if not film:
        return EMPTY
    with common.as_gradio_errors():
        found = header(film)
    long = f"{found.seconds:.1f} s, " if found.seconds else ""
    return f"Ready: {long}{f'{found.frames} frames of ' if found.frames else ''}{found.width} × {found.height} pixels"


def offer(method):
    """What there is to choose for a method: (fixed styles, pictures)."""
    return gr.Column(visible=method == "fixed"), gr.Column(visible=method != "fixed")


def build(page):
    """The components and events of a section for films."""
    sources = fixed.by_title(weights.installed(*networks.FIXED)[0])
    tiles, choices, labels = fixed.tiles_of(sources)
    families = fixed.families_of(sources)
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="pick"):
            film = Film(label=f"Film, {limits().seconds:.0f} s at most", sources=["upload"], height=170, elem_classes="film")
            method = common.choice(METHOD, "Painted by", gr.Dropdown)
            with gr.Column() as of_networks:
                gallery = common.gallery(tiles, "Paintings that have a network of their own", elem_classes=["styles", "strip"])
                shown = gr.State(labels)
                first = choices[0][1] if choices else None
                style = gr.Dropdown(choices, value=first, label="Style", allow_custom_value=True)
                other, share = fixed.blending(first, families)
            with gr.Column(visible=False) as of_pictures:
                pictures, samples, painting = styles.pick(page.opening.style)
                painting.render()
            strength = common.slider(video.OPTIONS["strength"], "Strength", info=None)
            begin, stop = common.buttons("Paint the film")
        with gr.Column(elem_classes="result"):
            status = gr.HTML(EMPTY, elem_classes="status", label="Status", padding=False)
            with gr.Column(visible=False) as watched:
                frame = gr.Image(label="The frame that was painted last", type="filepath", format="jpeg", interactive=False,
                                 buttons=["fullscreen"])
            with gr.Column(visible=False) as finished:
                painted = gr.Video(label="The painted film", interactive=False, buttons=[], elem_classes="film")
                download = gr.DownloadButton("Download MP4")
        with gr.Column(elem_classes="more"):
            with gr.Accordion("Steadiness, colours, strokes and size", open=False):
                with gr.Row():
                    smooth = common.slider(video.OPTIONS["smooth"], "Steadiness")
                    size = common.slider(video.OPTIONS["size"], "Size: long side, pixels", 128, MAX_SIZE, SIZE, 64,
                                         info="A smaller film keeps its own; more pixels take longer, in proportion")
                with gr.Row():
                    preserve_color = common.choice(fixed.OPTIONS["preserve_color"], "Whose colours", gr.Dropdown)
                    stroke = common.slider(fixed.OPTIONS["stroke"], "Size of the strokes")

    gr.on([film.upload, film.clear], look_at, film, status, **common.QUIET)
    method.input(offer, method, [of_networks, of_pictures], **common.QUIET)
    style.change(fixed.others, [style, other, gr.State(families)], other, **common.QUIET)
    gallery.select(fixed.choose, shown, style, trigger_mode="multiple", **common.QUIET)
    pictures.select(common.clicked(samples), None, painting, trigger_mode="multiple", **common.QUIET)
    result.bind(begin.click, run, [film, style, painting, method, strength, size, smooth, preserve_color, stroke, other,
                            share],
                [painted, frame, status, download, finished, watched], stop, api_name="film", **turns.LONG)
    STOP.bind(stop)
