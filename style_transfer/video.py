"""Films: decoded, painted frame by frame, steadied along the optical flow of the film, and encoded with their sound."""

import contextlib
import contextvars
import os
import secrets
import struct
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import torch
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from . import arbitrary, fixed, images
from . import device as devices
from .errors import InputError, StyleTransferError
from .options import Option, check
from .transforms import Statistics

SUFFIX = ".mp4"
# Nothing else is tried: a playlist of a stranger's could name other files and addresses.
FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf"
COPIED = {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}  # sound that mp4 holds as it is
HD = 576  # rows; films of more that do not say so are BT.709, others BT.601
EXACT = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
STATISTICS = 0.8  # of the statistics that the frames before had; a memory of five frames
CUT = 0.12  # mean difference of two frames' thumbnails in [0, 1]; motion stays far below it
THUMBNAIL = (16, 9)
NOISE = 0.08  # difference in [0, 1] of what should be the same thing, from which on it is none
# Of `smooth`, for each band from fine to coarse: grain is the style's and hardly seen to flicker, patches of colour are.
BANDS = (0.55, 0.55, 1.2, 2.1, 2.5, 2.5)
MOST = 0.9  # of the picture before
NEIGHBOURHOOD = 27  # pixels a side of each band, over which its contrast is measured
SLOPE = np.array([[-0.5, 0, 0.5]], np.float32)
OPTIONS = {
    "method": Option("adain", "AdaIN is faster, WCT gives stronger textures; a fixed style needs neither.",
                     choices=arbitrary.OPTIONS["method"].choices),
    "strength": fixed.OPTIONS["strength"],
    "size": images.SIZE,
    "smooth": Option(0.3, "How much of the picture before stays in each: more is calmer, less is nearer to the style.",
                     0.0, 0.9),
    "quality": Option(20, "Constant rate factor of H.264: less is better and larger.", 0, 40),
}


class Header(NamedTuple):
    """What a film says of itself: its sides in pixels as they are stored, frames and seconds (None: it does not say)."""

    width: int
    height: int
    frames: int | None
    seconds: float | None


class Step(NamedTuple):
    """A frame that is done: its number from 1 on, how many the film has (None: it does not say), the picture [1, 3, H, W]."""

    frame: int
    frames: int | None
    image: torch.Tensor
    message: str = ""


def painter(method, styles, strength=1.0, *, weights=None, device=None, **others):
    """paint(picture, smooth) for `stylize`, its styles encoded once.

    method: "fixed", then styles is the name of one or a list of them, or one of `arbitrary.METHODS`, then styles are pictures
    or what `arbitrary.encode` gave; the rest as `fixed.stylize` and `arbitrary.stylize` take it. Raises what these raise.
    """
    if method == "fixed":
        def paint(picture, smooth):
            return fixed.stylize(picture, styles, strength, weights=weights, device=device, **others)

        paint.apart = devices.pick(device).type == "cpu"  # several frames at once
        return paint
    encoded = [style if isinstance(style, arbitrary.EncodedStyle) else
               arbitrary.encode(style, method, device, others.get("decoder")) for style in styles]
    return lambda picture, smooth: arbitrary.stylize(picture, encoded, weights, method, strength, smooth=smooth,
                                                     device=device, **others)


# Steadiness -----------------------------------------------------------------------------------------------------------

def warp(picture, flow, interpolation=cv2.INTER_CUBIC):
    """[H, W, ...] fetched from where the flow [H, W, 2] (x, y in pixels) points; the edge is continued."""
    places = np.stack(np.meshgrid(*(np.arange(side, dtype=np.float32) for side in flow.shape[1::-1])), -1)
    return cv2.remap(picture, places + flow, None, interpolation, borderMode=cv2.BORDER_REPLICATE)


def consistent(flow, back):
    """Where [H, W] a flow is no occlusion and no edge of a motion, by the flow back; Ruder et al. 2016, section 3.

    |f + b|^2 <= 0.01 (|f|^2 + |b|^2) + 0.5, b being fetched by f, and |grad f|^2 <= 0.01 |f|^2 + 0.002; and f stays inside.
    """
    def squared(field):
        return field[..., 0] * field[..., 0] + field[..., 1] * field[..., 1]

    back = warp(back, flow, cv2.INTER_LINEAR)
    slope = sum(squared(cv2.filter2D(flow, -1, kernel, borderType=cv2.BORDER_REPLICATE)) for kernel in (SLOPE, SLOPE.T))
    height, width = flow.shape[:2]
    x, y = (flow[..., axis] + np.arange(side, dtype=np.float32).reshape(shape)
            for axis, side, shape in ((0, width, (1, -1)), (1, height, (-1, 1))))
    return ((squared(flow + back) <= 0.01 * (squared(flow) + squared(back)) + 0.5)
            & (slope <= 0.01 * squared(flow) + 0.002)
            & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))


def bands(picture):
    """[H, W, 3] as differences of ever smoother pictures and what is left, one for each of BANDS; `join` adds them up."""
    fine = cv2.GaussianBlur(picture, (3, 3), 0.6)  # half an octave by itself: it is what interpolation takes
    result, picture = [picture - fine], fine
    for _ in BANDS[2:]:
        low = cv2.pyrDown(picture)
        result.append(picture - cv2.pyrUp(low, dstsize=picture.shape[1::-1]))
        picture = low
    return [*result, picture]


def join(parts):
    """[H, W, 3] of its `bands`."""
    *parts, whole = parts
    for band in parts[:0:-1]:
        whole = band + cv2.pyrUp(whole, dstsize=band.shape[1::-1])
    return whole + parts[0]


def _energy(x):
    """The mean square of [H, W, 3] over colours."""
    return cv2.transform(x * x, np.full((1, 3), 1 / 3))


def restore(parts, own):
    """Bands that are means with the contrast in each neighbourhood that those of one of the pictures have; in place.

    What is averaged loses all that differs, and with it the style's grain: the rest is given its energy.
    """
    for band, target in zip(parts[:-1], own):
        energies = [cv2.blur(_energy(x), (NEIGHBOURHOOD,) * 2, borderType=cv2.BORDER_REFLECT) for x in (target, band)]
        gain = np.sqrt((energies[0] + 1e-6) / (energies[1] + 1e-6))
        band *= gain.clip(1, 2)[..., None]
    return parts


class Steady:
    """Paints the frames of a film, one after the other, so that what stays the same in the film does so in the result.

    paint(picture, smooth) -> picture, both [1, 3, H, W]. The content's statistics are averaged over time. With flow, the
    result before is moved along the film's motion and mixed in by `smooth` (0 to 0.9) where the motion is certain and the film
    itself has stayed what it was; what the mean loses in contrast is given back. A cut begins anew.
    """

    def __init__(self, paint, flow=True, smooth=OPTIONS["smooth"].default):
        self.paint = paint
        self.weight = check(OPTIONS, smooth=smooth)["smooth"] if flow else 0.0
        self.flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.thumbnail = self.frame = self.grey = self.result = None
        self.statistics = {}

    def __call__(self, picture):
        frame, cut = self.look(picture)
        return self.steady(frame, self.begin(picture, cut), cut)

    def look(self, picture):
        """(frame [H, W, 3], whether it is another scene than the one before): the first that is to be done with a frame."""
        frame = picture[0].permute(1, 2, 0).numpy()
        thumbnail = cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA)
        cut = self.thumbnail is not None and np.abs(thumbnail - self.thumbnail).mean() > CUT
        self.thumbnail = thumbnail
        return frame, cut

    def begin(self, picture, cut):
        """Paint a frame, which may be ahead of `steady` by some; in their order, unless `paint` keeps nothing of them."""
        if cut:
            self.statistics = {}
        return self.paint(picture, self._smooth)

    def steady(self, frame, result, cut):
        """The result of a frame, with that of the one before mixed in."""
        if cut:
            self.result = None
        if self.weight:
            grey = np.round(255 * cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)).astype(np.uint8)
            painted = np.ascontiguousarray(result[0].permute(1, 2, 0).numpy())
            if self.result is not None:
                painted = self._mix(frame, grey, painted)
                result = torch.from_numpy(painted).permute(2, 0, 1).unsqueeze(0).contiguous()
            self.frame, self.grey, self.result = frame, grey, painted
        return result

    def _smooth(self, key, statistics):
        """Their exponential mean over the frames since the last cut."""
        before = self.statistics.get(key)
        if before is not None:
            statistics = Statistics(*(torch.lerp(new, old, STATISTICS) for new, old in (
                (statistics.mean, before.mean), (statistics.covariance, before.covariance))))
        self.statistics[key] = statistics
        return statistics

    def _mix(self, frame, grey, painted):
        flow = self.flow.calc(grey, self.grey, None)
        certain = consistent(flow, self.flow.calc(self.grey, grey, None))
        same = cv2.exp(-cv2.GaussianBlur(_energy(frame - warp(self.frame, flow)), (0, 0), 1.5) / NOISE ** 2)
        certain = (certain * same).astype(np.float32)
        own, before = bands(painted), bands(warp(self.result, flow))
        mixed = [new + min(self.weight * share, MOST) * cv2.resize(certain, new.shape[1::-1], interpolation=cv2.INTER_AREA
                                                                   )[..., None] * (old - new)
                 for new, old, share in zip(own, before, BANDS)]
        return join(restore(mixed, own)).clip(0, 1)


# Files ----------------------------------------------------------------------------------------------------------------

def header(source):
    """The `Header` of a film's file, of which no picture is decoded. Raises InputError, one sentence, as `stylize` does."""
    film, stream = _open(source)
    with film:
        seconds = _seconds(film, stream)
        return Header(stream.width, stream.height, _count(film, stream), None if seconds is None else float(seconds))


def _open(source, limit=images.MAX_PIXELS):
    """(container, stream) of a film whose frames have at most so many pixels. Raises InputError, one sentence."""
    if not os.path.exists(source):
        raise InputError(f"There is no film {source}: check its name and folder.")
    if not os.path.isfile(source):
        raise InputError(f"{source} is a folder or a device: name the file of a film.")
    try:
        container = av.open(os.fspath(source), options={"format_whitelist": FORMATS, "protocol_whitelist": "file"})
    except PermissionError:
        raise InputError(f"{source} may not be read: check the file's permissions.") from None
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{Path(source).name} is empty, damaged or no film: use an MP4, MOV, MKV, WebM or AVI file that "
                         "plays.") from error
    stream = next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)
    if stream is None:
        container.close()
        raise InputError(f"{Path(source).name} has sound only, and no pictures: name a film.")
    if stream.codec_context is None:
        container.close()
        raise InputError(f"The pictures of {Path(source).name} are coded in a way that is not known here: convert it to H.264.")
    stream.codec_context.options = {"max_pixels": str(limit)}  # they may grow in the middle of a film
    return container, stream


def _turn(picture, frame):
    """A frame [H, W, 3] as its film wants it to be shown, turned or mirrored."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])  # (x, y) is shown at (a x + c y, b x + d y), y downwards
    if abs(b) > abs(a):
        picture, a, d = picture.swapaxes(0, 1), c, b
    return picture[::-1 if d < 0 else 1, ::-1 if a < 0 else 1]


def _shown(frame, ratio=None, size=None):
    """A decoded frame as [1, 3, H, W]: of square pixels, where they were ratio times as wide as high, upright, of even sides.

    H.264 of the kind that every player knows halves the resolution of colour, so it can hold no others.
    """
    height, width = frame.height, max(1, round(frame.width * (ratio or 1)))
    if size is not None:
        height, width = images.fit(height, width, size)
    elif width * height > images.MAX_PIXELS:
        raise InputError(f"Frames of {width} x {height} are too large: choose a size.")
    height, width = (max(2, 2 * round(side / 2)) for side in (height, width))
    space = frame.colorspace
    if space in (0, 2, None):  # what an encoder writes that does not know, and what stands for no tag
        space = Colorspace.ITU709 if frame.height > HD else Colorspace.ITU601
    rgb = frame.reformat(width, height, "rgb24", src_colorspace=space, interpolation=EXACT).to_ndarray()
    rgb = np.ascontiguousarray(_turn(rgb, frame))
    return torch.from_numpy(rgb).permute(2, 0, 1).unsqueeze(0).float().div_(255).contiguous()


class _Writer:
    """An MP4 file, hidden until it is whole; used for one film. Sound is copied or encoded anew."""

    def __init__(self, path, film, stream, quality):
        self.path = Path(path)
        self.part = self.path.with_name(f".{secrets.token_hex(8)}.part")
        self.film, self.base, self.quality = film, stream.time_base, quality
        self.rate = stream.average_rate or Fraction(25)
        self.container = av.open(os.fspath(self.part), "w", format="mp4", options={"movflags": "+faststart"})
        self.video, self.frames, self.last = None, 0, None
        self.start = Fraction(film.start_time or 0, av.time_base)
        self.sound, self.copied, self.waiting = None, False, []
        if audio := next(iter(film.streams.audio), None):
            self.copied = audio.codec_context is not None and audio.codec_context.codec.canonical_name in COPIED
            if self.copied:
                self.sound = self.container.add_stream_from_template(audio)
            elif audio.codec_context is not None:
                self.sound = self.container.add_stream("aac", rate=audio.codec_context.sample_rate)
                self.sound.codec_context.layout = audio.codec_context.layout

    def picture(self, image, time, duration):
        """Append [1, 3, H, W] to be shown from time on, in units of the film's time base."""
        rgb = image[0].clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        if self.video is None:
            self.video = self.container.add_stream("libx264", rate=self.rate, options={
                "crf": str(self.quality), "preset": "veryfast"})
            self.video.width, self.video.height, self.video.pix_fmt = rgb.shape[1], rgb.shape[0], "yuv420p"
            context = self.video.codec_context
            context.time_base = self.base
            context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG, interpolation=EXACT)
        time -= round(self.start / self.base)
        if self.last is not None:
            time = max(time, self.last + 1)  # two frames of one time would be refused
        self.last = frame.pts = time
        frame.time_base, frame.duration = self.base, duration or 0
        self.container.mux(self.video.encode(frame))
        self.frames += 1
        while self.waiting:
            self.hear(self.waiting.pop(0))

    def hear(self, packet):
        """A packet of the film's sound; what cannot be decoded is left out."""
        if not self.frames:
            self.waiting.append(packet)  # the file begins with the first picture, from which its size comes
        elif self.copied:
            if packet.dts is None:
                return
            shift = round(self.start / packet.time_base)
            packet.pts, packet.dts = (None if t is None else t - shift for t in (packet.pts, packet.dts))
            packet.stream = self.sound
            self.container.mux(packet)
        else:
            with contextlib.suppress(av.InvalidDataError):
                for frame in packet.decode():
                    if frame.pts is not None:
                        frame.pts -= round(self.start / frame.time_base)
                    self.container.mux(self.sound.encode(frame))

    def close(self):
        """Make a film of what there is and move it into place; of nothing, no file."""
        try:
            if self.frames:
                self.container.mux(self.video.encode(None))
                if self.sound is not None and not self.copied:
                    self.container.mux(self.sound.encode(None))
                self.container.close()
                os.replace(self.part, self.path)
        finally:
            with contextlib.suppress(av.FFmpegError):
                self.container.close()
            self.part.unlink(missing_ok=True)


def stylize(source, output, paint, *, size=None, flow=True, smooth=OPTIONS["smooth"].default,
            quality=OPTIONS["quality"].default, limit=images.MAX_PIXELS):
    """Paint a film; a generator of a `Step` for each frame that is done, which can be closed at any of them.

    source: a file that FFmpeg reads; output: the MP4 to be written, H.264 with the film's times and sound. paint: what
    `painter` gave, or any paint(picture, smooth) -> picture. size: long side in pixels, None = the film's. flow: whether the
    result is steadied along the optical flow, to the degree of smooth, as `Steady` says. quality: H.264's, 0 (best) to 40.
    limit: the most pixels that a frame of the source may have; larger ones count as broken.
    The output appears, playable, when the generator ends, is closed, or an exception ends it after the first frame.
    A frame that cannot be decoded is told in a Step's message, and the one before stays in its place.
    Raises InputError for wrong arguments and files, StyleTransferError where the output cannot be written, and what paint
    raises.
    """
    check(OPTIONS, size=size, smooth=smooth, quality=quality)
    output, steady = check_output(output, [source]), Steady(paint, flow, smooth)
    film, stream = _open(source, limit)
    with film:
        try:
            writer = _Writer(output, film, stream, quality)
            try:
                yield from _frames(film, stream, writer, steady, size)
            finally:
                writer.close()
        except av.FFmpegError as error:  # those of reading are caught where they arise
            raise StyleTransferError(f"'{output}' could not be written ({error.strerror or error}): choose another place, or "
                                     "make room.") from error
        if not writer.frames:
            raise InputError(f"{Path(source).name} has no frame that can be decoded: convert it to H.264, or get it again.")


def _packets(film, streams):
    """The film's packets to its end, or to where it breaks off."""
    with contextlib.suppress(av.FFmpegError):
        yield from film.demux(streams)


def _frames(film, stream, writer, steady, size):
    """A `Step` for each frame. While one is steadied and written, threads paint the next."""
    total, ahead, result = _count(film, stream), deque(), None

    def write():
        nonlocal result
        painted, time, duration, message = ahead.popleft()
        if painted is not None:
            frame, future, cut = painted
            result = steady.steady(frame, future.result(), cut)
        if time is not None:
            writer.picture(result, time, duration)
        return Step(writer.frames, total, result, message.format(writer.frames))

    # threads with a core each get more done than all cores at one frame
    cores, shape = torch.get_num_threads(), None
    count = cores if getattr(steady.paint, "apart", False) else 1
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(cores // count,))
    try:
        for picture, time, duration, message in _decoded(film, stream, writer, size):
            if picture is not None:
                picture = images.resize(picture, shape or picture.shape[2:])
                shape = picture.shape[2:]
            elif shape is None:
                continue
            painted = None
            if picture is not None:
                frame, cut = steady.look(picture)
                painted = frame, pool.submit(contextvars.copy_context().run, steady.begin, picture, cut), cut
            ahead.append((painted, time, duration, message))
            if len(ahead) > count:
                yield write()
        while ahead:
            yield write()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)  # it is the next new thread's, too


def _seconds(film, stream):
    """How long a film says that it is, or None."""
    if stream.duration:
        return stream.duration * stream.time_base
    return film.duration / Fraction(av.time_base) if film.duration else None


def _count(film, stream):
    """How many frames a film says that it has, or None."""
    return stream.frames or round((_seconds(film, stream) or 0) * (stream.average_rate or 0)) or None


def _decoded(film, stream, writer, size):
    """(picture or None for a broken one, its time or None if it has none, duration, message) of each frame.

    Sound goes to the writer on the way.
    """
    rate, last, whole = stream.average_rate or writer.rate, None, False
    for packet in _packets(film, [stream, *film.streams.audio[:1]]):
        if packet.stream is not stream:
            writer.hear(packet)
            continue
        try:
            frames = packet.decode()
        except av.FFmpegError:
            frames = []
            yield None, None, None, "A frame after number {} is broken: the one before is shown instead."
        for frame in frames:
            time = frame.pts
            if time is None:
                time = 0 if last is None else last + max(1, round(1 / (rate * stream.time_base)))
            last = time
            if frame.is_corrupt and whole:
                yield None, time, frame.duration, "Frame {} is broken: the one before is shown instead."
            else:
                whole = True
                yield _shown(frame, stream.sample_aspect_ratio, size), time, frame.duration, ""


def check_output(path, originals=()):
    """The path of a film to be written; to be asked before any long work. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() != SUFFIX or path.is_dir():
        raise InputError(f"'{path}' is no name for a film: name a file that ends in {SUFFIX}.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"The folder '{path.parent}' does not exist or may not be written to: create it or write elsewhere.")
    if os.path.realpath(path) in {os.path.realpath(original) for original in originals}:
        raise InputError(f"{path} is one of the originals: name another output.")
    return path
