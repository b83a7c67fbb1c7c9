"""How steady stylised films are, frame by frame and with `video.Steady`, and what that costs of the style.

    python -m benchmarks.flicker --speed
    python -m benchmarks.flicker [--width 480] [--frames 16] [--smooth 0.3] [--fixed NAME ...] [--style FILE]

Two films are made by code, of photographs, with the noise of a sensor: `pan` moves, turns and zooms over photographs, with a
cut between one and the next; `objects` moves cut-out pieces of photographs over a photograph that moves, too. What is where
in each frame is known exactly, so the figures do not depend on an estimated flow.

    short   sum M |O_t - warp(O_t+1)|^2 / sum M over all frames, M being 1 where the same thing is seen in both (Lai et al.
            2018, "Learning Blind Video Temporal Consistency"); colours in [0, 1], times 1,000, mean over shots
    long    the same between the first frame of a shot and each of the others
    style   `quality.style_distances` in the features of the compact encoder, mean over frames
    sharp   mean squared gradient of the result over that of the result frame by frame: below 1, something was blurred

The line `input` is the film itself, which is what the noise and the interpolation of this measurement leave of it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import torch

import style_transfer as st
from benchmarks import quality
from style_transfer import backbones, checkpoints, video

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NOISE = 0.015  # deviation: a film in daylight; 4 of 255


class Layer(NamedTuple):
    """A picture [H, W, 3] with its opacity [H, W] and where it is: frame -> [3, 3], from its pixels to those of the frame."""

    texture: np.ndarray
    opacity: np.ndarray
    motion: Callable


class Shot(NamedTuple):
    """Layers from the back to the front, in frames of width x height."""

    layers: list
    size: tuple

    def _opacities(self, t):
        return [cv2.warpPerspective(layer.opacity, layer.motion(t), self.size, flags=cv2.INTER_LINEAR) for layer in self.layers]

    def render(self, t, noise=NOISE):
        """Frame t as a picture [1, 3, H, W]; the noise of a frame is always the same."""
        frame = np.zeros((*self.size[::-1], 3), np.float32)
        for layer, opacity in zip(self.layers, self._opacities(t)):
            picture = cv2.warpPerspective(layer.texture, layer.motion(t), self.size, flags=cv2.INTER_CUBIC,
                                          borderMode=cv2.BORDER_REPLICATE)
            frame += opacity[..., None] * (picture - frame)
        frame += np.random.default_rng(t).normal(0, noise, frame.shape).astype(np.float32)
        frame = np.round(frame.clip(0, 1) * 255) / 255
        return torch.from_numpy(frame.astype(np.float32)).permute(2, 0, 1).unsqueeze(0)

    def _seen(self, t):
        """The number of the layer that is seen in each pixel, -1 at the edges, where it is two."""
        seen = np.zeros(self.size[::-1], np.float32)
        for number, opacity in enumerate(self._opacities(t)):
            seen[opacity > 0] = -1
            seen[opacity > 0.999] = number
        return seen

    def correspondence(self, t, u):
        """(where each pixel of frame t is in frame u [H, W, 2], whether it is seen there [H, W])."""
        seen = self._seen(t)
        places = np.stack(np.meshgrid(*map(np.arange, self.size)), -1).astype(np.float32)
        target = places.copy()
        for number, layer in enumerate(self.layers):
            there = cv2.perspectiveTransform(places.reshape(1, -1, 2), layer.motion(u) @ np.linalg.inv(layer.motion(t)))
            target = np.where((seen == number)[..., None], there.reshape(target.shape), target)
        found = cv2.remap(self._seen(u), target.astype(np.float32), None, cv2.INTER_NEAREST, borderValue=-1)
        inside = ((target >= 0) & (target <= np.array(self.size) - 1)).all(-1)
        return target.astype(np.float32), (seen >= 0) & (found == seen) & inside


def _photo(name, width):
    return st.load(EXAMPLES / "photos" / f"{name}.jpg", width)[0].permute(1, 2, 0).numpy()


def _moved(x, y, degrees=0.0, scale=1.0, centre=(0.0, 0.0)):
    """Turned and scaled about a centre of the picture, which comes to (x, y)."""
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D(centre, degrees, scale)
    matrix[:2, 2] += np.array((x, y)) - centre
    return matrix


def pan(width, name, speed, turn, zoom):
    """A camera over a photograph, not quite at rest in the hand."""
    height = width * 9 // 32 * 2
    texture = _photo(name, round(1.5 * width))
    centre = np.array(texture.shape[1::-1]) / 2

    def motion(t):
        x, y = np.array(speed) * t * width / 480
        return _moved(width / 2 + x + 0.6 * np.sin(1.9 * t), height / 2 + y + 0.5 * np.sin(2.3 * t + 1), turn * t,
                      1.12 * zoom ** t, centre)

    return Shot([Layer(texture, np.ones(texture.shape[:2], np.float32), motion)], (width, height))


def objects(width):
    """Two round pieces of photographs that cross a moving background and each other."""
    height = width * 9 // 32 * 2
    back = _photo("autumn", round(1.3 * width))
    layers = [Layer(back, np.ones(back.shape[:2], np.float32),
                    lambda t: _moved(width / 2 - 0.7 * t, height / 2, 0, 1.0, np.array(back.shape[1::-1]) / 2))]
    for name, start, speed, turn in (("raccoon", (0.25, 0.55), (5.3, -0.6), 0.7), ("coffee", (0.75, 0.4), (-3.7, 1.1), -1.2)):
        texture = _photo(name, round(0.55 * width))
        h, w = texture.shape[:2]
        opacity = np.zeros((h, w), np.float32)
        cv2.ellipse(opacity, (w // 2, h // 2), (w // 3, h // 3), 0, 0, 360, 1, -1)
        opacity = cv2.GaussianBlur(opacity, (0, 0), 0.8)
        opacity[opacity < 1e-3] = 0

        def motion(t, start=start, speed=speed, turn=turn, centre=(w / 2, h / 2)):
            x, y = np.array(start) * (width, height) + np.array(speed) * t * width / 480
            return _moved(x, y, turn * t, 1.0, centre)

        layers.append(Layer(texture, opacity, motion))
    return Shot(layers, (width, height))


def films(width):
    """{name: shots}, which follow each other without a pause."""
    return {"pan": [pan(width, "mountains", (2.3, 0.4), 0.0, 1.0), pan(width, "brook", (-0.8, 0.9), 0.15, 1.008),
                    pan(width, "dogs", (0.3, -0.2), -0.1, 0.994)],
            "objects": [objects(width)]}


def warping_error(shot, frames, pairs):
    """1,000 times sum M |O_t - warp(O_u)|^2 / sum M over pairs (t, u) of frames [1, 3, H, W]."""
    total = count = 0.0
    for t, u in pairs:
        target, seen = shot.correspondence(t, u)
        first, other = (frames[i][0].permute(1, 2, 0).numpy() for i in (t, u))
        error = np.square(first - cv2.remap(other, target, None, cv2.INTER_CUBIC)).mean(-1)
        total, count = total + error[seen].sum(), count + seen.sum()
    return 1000 * total / count


def gradient(frames):
    """Mean squared difference of neighbouring pixels."""
    return sum(float(x.diff(dim=axis).square().mean()) for x in frames for axis in (2, 3)) / len(frames)


def figures(shots, results, style, encoder):
    """(short, long, style, gradient) of the frames of shots; style: what `quality.statistics` gave for it, or None."""
    count = len(results[0])
    short, long = (np.mean([warping_error(shot, frames, pairs) for shot, frames in zip(shots, results)])
                   for pairs in ([(t, t + 1) for t in range(count - 1)], [(0, t) for t in range(1, count)]))
    frames = [frame for result in results for frame in result]
    distances = [quality.style_distances(quality.statistics(encoder(frame, quality.STYLE_LAYERS)), style)[0]
                 for frame in frames] if style else [float("nan")]
    return short, long, np.mean(distances), gradient(frames)


@torch.inference_mode()
def measure(width, count, painters, smooth):
    """Yields (film, what, figures, figures over those frame by frame or None); painters: {name: (paint, style picture)}."""
    encoder = backbones.load("compact")
    styles = {name: quality.statistics(encoder(style, quality.STYLE_LAYERS)) for name, (_, style) in painters.items()}
    for film, shots in films(width).items():
        inputs = [[shot.render(t) for t in range(count)] for shot in shots]
        yield film, "input", figures(shots, inputs, None, encoder), None
        for name, (paint, _) in painters.items():
            plain = figures(shots, [[paint(frame, None) for frame in frames] for frames in inputs], styles[name], encoder)
            yield film, f"{name}, frame by frame", plain, None
            steady = video.Steady(paint, smooth=smooth)  # one for the whole film: that it sees the cuts is part of it
            found = figures(shots, [[steady(frame) for frame in frames] for frames in inputs], styles[name], encoder)
            yield film, f"{name}, steady", found, [a / b for a, b in zip(found, plain)]


def speed(name, frames=60, size=(640, 360), rounds=2):
    """{flow: frames a second} from file to file in a fixed style, the best of some rounds in turn."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.mp4"), Path(folder, "out.mp4")
        shot = pan(size[0], "mountains", (1.0, 0.4), 0.0, 1.0)
        with av.open(str(source), "w") as film:
            stream = film.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for t in range(frames):
                rgb = np.ascontiguousarray((shot.render(t)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
                film.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
            film.mux(stream.encode(None))
        rates = {False: 0.0, True: 0.0}
        for _ in range(rounds):
            for flow in rates:
                start = time.perf_counter()
                done = len(list(video.stylize(source, target, video.painter("fixed", name), flow=flow)))
                rates[flow] = max(rates[flow], done / (time.perf_counter() - start))
    return rates


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--width", type=int, default=480, help="of the frames, which are 16:9")
    p.add_argument("--frames", type=int, default=16, help="of each shot")
    p.add_argument("--smooth", type=float, default=video.OPTIONS["smooth"].default)
    p.add_argument("--fixed", nargs="*", default=["udnie", "the-scream"], help="fixed styles with a picture in checkpoints/")
    p.add_argument("--style", type=Path, default=EXAMPLES / "styles" / "waves.jpg", help="the style of AdaIN and WCT")
    p.add_argument("--speed", action="store_true", help="of 640 x 360, from file to file, instead")
    a = p.parse_args()
    if a.speed:
        for name in a.fixed:
            rates = speed(name)
            print(f"{name}: {rates[True]:.1f} frames a second, without flow {rates[False]:.1f}", flush=True)
        return
    style = st.load(a.style, 512)
    painters = {name: (video.painter("fixed", name), st.load(checkpoints.FOLDER / f"{name}.jpg")) for name in a.fixed}
    painters |= {method: (video.painter(method, [style]), style) for method in ("adain", "wct")}
    print(f"{a.width} px, {a.frames} frames a shot, smooth {a.smooth:g}; in brackets: over those frame by frame\n"
          f"{'':36s} {'short':>15s} {'long':>15s} {'style':>16s} {'sharp':>6s}")
    for film, what, found, ratios in measure(a.width, a.frames, painters, a.smooth):
        cells = [f"{value:7.4f}" if i == 2 else f"{value:6.2f}" for i, value in enumerate(found[:3])]
        cells = [f"{cell} ({ratio:4.2f}x)" if ratios else f"{cell}        " for cell, ratio in zip(cells, ratios or found)]
        print(f"{film + ', ' + what:36s} {'  '.join(cells)} {f'{ratios[3]:6.2f}' if ratios else ''}", flush=True)


if __name__ == "__main__":
    main()
