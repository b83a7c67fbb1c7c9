"""Films in and out, and what keeps them steady."""

import gc
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import torch

import style_transfer as st
from style_transfer import video
from style_transfer.errors import InputError, StyleTransferError
from tests.conftest import EXAMPLES

COLORS = [(200, 40, 40), (40, 160, 60), (30, 60, 190), (230, 220, 60), (128, 128, 128), (250, 250, 250)]


def bars(height=64, width=96, shift=0):
    """Vertical bars of COLORS."""
    places = (np.arange(width) + shift) * len(COLORS) // width % len(COLORS)
    return np.broadcast_to(np.array(COLORS, np.uint8)[places], (height, width, 3)).copy()


def film(path, frames, rate=25, sound=None, times=None, codec="libx264", pixels="yuv420p", matrix=None, options=None):
    """Write a film of uint8 frames; sound: a codec, for a tone as long as the film; times in 1 / 1000 s."""
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or ({"crf": "1"} if codec == "libx264" else {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if matrix:
            stream.set_display_matrix(matrix)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream(sound, rate=48000) if sound else None
        for number, pixel in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixel)
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio:
            for start in range(0, 48000 * len(frames) // rate, 1024):
                tone = (8000 * np.sin(np.arange(start, start + 1024) * 2 * np.pi * 440 / 48000)).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(tone[None], "s16", "mono")
                frame.rate, frame.pts = 48000, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def read(path):
    """(frames as RGB arrays, their times in seconds, sound's codec name and seconds or None)."""
    with av.open(os.fspath(path)) as container:
        found = [(frame.to_ndarray(format="rgb24"), float(frame.time)) for frame in container.decode(video=0)]
    sound = None
    with av.open(os.fspath(path)) as container:
        if container.streams.audio:
            name = container.streams.audio[0].codec_context.name
            sound = name, sum(frame.samples / frame.rate for frame in container.decode(audio=0))
    return [f for f, _ in found], [t for _, t in found], sound


def same(picture, smooth):
    """A painter that changes nothing."""
    return picture


def paint(source, output, painter=same, **options):
    return list(video.stylize(source, output, painter, **options))


def psnr(a, b):
    return -10 * np.log10(np.square(a / 255.0 - b / 255.0).mean())


@pytest.mark.parametrize("codec, pixels, suffix", [("libx264", "yuv420p", "mp4"), ("mpeg4", "yuv420p", "avi"),
                                                   ("libvpx-vp9", "yuv420p", "webm"), ("libx264", "yuv444p", "mkv")])
def test_a_round_trip_keeps_frames_times_and_colours(tmp_path, codec, pixels, suffix):
    frames = [bars(shift=4 * k) for k in range(12)]
    source = film(tmp_path / f"in.{suffix}", frames, codec=codec, pixels=pixels)
    steps = paint(source, tmp_path / "out.mp4", flow=False, quality=1)
    found, times, sound = read(tmp_path / "out.mp4")
    original, before, _ = read(source)
    assert len(found) == len(frames) == len(steps) and [s.frame for s in steps] == list(range(1, 13)) and sound is None
    assert np.allclose(np.diff(times), 0.04, atol=1e-3) and np.allclose(np.diff(times), np.diff(before), atol=1e-3)
    assert min(psnr(a, b) for a, b in zip(original, found)) > 27  # the resolution of colour is halved
    with av.open(os.fspath(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([source.name, "out.mp4"])


@pytest.mark.parametrize("height", [64, 720])  # of which one is taken for BT.601, and one for BT.709, as both do not say so
@pytest.mark.parametrize("tagged", [False, True])
def test_colours_are_the_same_afterwards(tmp_path, height, tagged):
    """Flat colours, written by the matrix that a film of this height has."""
    space = "itu709" if tagged or height > 576 else "itu601"
    with av.open(os.fspath(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, height, "yuv420p"
        if tagged:
            stream.codec_context.colorspace = 1
        for color in COLORS:
            pixels = np.broadcast_to(np.array(color, np.uint8), (height, 96, 3)).copy()
            frame = av.VideoFrame.from_ndarray(pixels).reformat(format="yuv420p", dst_colorspace=space)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    steps = paint(tmp_path / "in.mp4", tmp_path / "out.mp4", flow=False, quality=1)
    for step, color in zip(steps, COLORS, strict=True):
        assert (255 * step.image.mean((0, 2, 3)) - torch.tensor(color)).abs().max() < 3
    with av.open(os.fspath(tmp_path / "out.mp4")) as container:
        for frame, color in zip(container.decode(video=0), COLORS):
            rgb = frame.reformat(format="rgb24", src_colorspace="itu709").to_ndarray()
            assert np.abs(rgb.mean((0, 1)) - color).max() < 4


@pytest.mark.parametrize("sound, suffix, after", [("aac", "mp4", "aac"), ("libmp3lame", "mkv", "mp3"), ("ac3", "mkv", "ac3"),
                                                  ("pcm_s16le", "mov", "aac"), ("libopus", "webm", "opus")])
def test_sound_is_kept(tmp_path, sound, suffix, after):
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    source = film(tmp_path / f"in.{suffix}", [bars()] * 50, sound=sound, codec=codec)
    paint(source, tmp_path / "out.mp4", flow=False)
    _, times, (name, seconds) = read(tmp_path / "out.mp4")
    assert name.startswith(after) and seconds == pytest.approx(2, abs=0.1) and len(times) == 50
    with av.open(os.fspath(tmp_path / "out.mp4")) as container:
        wave = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        assert np.abs(np.fft.rfft(wave[12000:36000])).argmax() == 220  # the tone itself, in half a second of it


def test_times_of_a_variable_rate_are_kept(tmp_path):
    times = [0, 40, 90, 300, 320, 700, 1000]
    source = film(tmp_path / "in.mp4", [bars(shift=k) for k in range(len(times))], times=times)
    paint(source, tmp_path / "out.mp4", flow=False)
    assert np.allclose(read(tmp_path / "out.mp4")[1], np.array(times) / 1000, atol=2e-3)


@pytest.mark.parametrize("matrix, turn", [
    ((0, 1, 0, -1, 0, 0), lambda x: np.rot90(x, -1)),  # what telephones write that are held upright
    ((0, -1, 0, 1, 0, 0), lambda x: np.rot90(x, 1)), ((-1, 0, 0, 0, -1, 0), lambda x: np.rot90(x, 2)),
    ((-1, 0, 0, 0, 1, 0), lambda x: x[:, ::-1])])
def test_a_turned_film_is_painted_and_written_upright(tmp_path, matrix, turn):
    frame = bars()
    frame[:20, :30] = 0
    a, b, u, c, d, v = (65536 * x for x in matrix)
    source = film(tmp_path / "in.mp4", [frame] * 3, matrix=[a, b, u, c, d, v, 0, 0, 1 << 30])
    paint(source, tmp_path / "out.mp4", flow=False, quality=1)
    with av.open(os.fspath(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0
    found = read(tmp_path / "out.mp4")[0][0]
    assert found.shape == turn(frame).shape and psnr(found, turn(frame)) > 25


@pytest.mark.parametrize("height, width, size, shape", [(51, 75, None, (52, 76)), (64, 96, 48, (32, 48)),
                                                        (64, 96, 49, (32, 48)), (64, 96, 192, (128, 192))])
def test_sides_are_even_and_of_the_size_asked_for(tmp_path, height, width, size, shape):
    source = film(tmp_path / "in.avi", [bars(height, width)] * 2, codec="ffv1", pixels="yuv444p")
    step = paint(source, tmp_path / "out.mp4", size=size)[-1]
    assert step.image.shape[2:] == shape and read(tmp_path / "out.mp4")[0][0].shape[:2] == shape


def test_a_broken_frame_is_told_and_bridged(tmp_path):
    """In a film whose frames stand alone: what is wrong with one must not end it."""
    source = film(tmp_path / "in.avi", [bars(shift=4 * k) for k in range(10)], codec="ffv1", pixels="yuv444p",
                  options={"g": "1"})
    data = bytearray(source.read_bytes())
    starts = [k + 8 for k in range(len(data)) if data[k:k + 4] == b"00dc"]
    data[starts[4]:starts[5] - 8] = b"\xff" * (starts[5] - 8 - starts[4])
    source.write_bytes(data)
    steps = paint(source, tmp_path / "out.mp4", flow=False)
    found, times, _ = read(tmp_path / "out.mp4")
    messages = [step.message for step in steps if step.message]
    assert len(messages) == 1 and "broken" in messages[0]
    assert len(found) == 9 and times[-1] == pytest.approx(0.36, abs=1e-3)  # the one before is shown for two frames' time
    assert max(np.diff(times)) == pytest.approx(0.08, abs=1e-3)


def test_a_film_that_breaks_off_ends_there(tmp_path):
    source = film(tmp_path / "in.mkv", [bars(shift=4 * k) for k in range(60)], options={"g": "5"})
    source.write_bytes(source.read_bytes()[:source.stat().st_size // 2])
    steps = paint(source, tmp_path / "out.mp4", flow=False)
    assert 10 < len(steps) < 60 and len(read(tmp_path / "out.mp4")[0]) == len(steps)


def test_what_is_done_when_it_is_closed_is_a_film(tmp_path):
    source = film(tmp_path / "in.mp4", [bars(shift=4 * k) for k in range(50)], sound="aac")
    steps = video.stylize(source, tmp_path / "out.mp4", same, flow=False)
    for _ in range(7):
        next(steps)
    assert not (tmp_path / "out.mp4").exists()
    steps.close()
    found, _, (_, seconds) = read(tmp_path / "out.mp4")
    assert len(found) == 7 and seconds < 1.5
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


def test_what_was_done_before_an_error_of_the_painter_is_a_film(tmp_path):
    def paint(picture, smooth):
        if next(left) == 0:
            raise StyleTransferError("Enough.")
        return picture

    for count, files in ((3, ["in.mp4", "out.mp4"]), (0, ["in.mp4"])):
        source, left = film(tmp_path / "in.mp4", [bars()] * 9), iter(range(count, -1, -1))
        (tmp_path / "out.mp4").unlink(missing_ok=True)
        with pytest.raises(StyleTransferError, match="Enough"):
            list(video.stylize(source, tmp_path / "out.mp4", paint))
        assert sorted(os.listdir(tmp_path)) == files
        assert not count or len(read(tmp_path / "out.mp4")[0]) == 3


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_a_film(tmp_path, sent, code):
    random = np.random.default_rng(0)  # what is not predictable fills the file soon
    source = film(tmp_path / "in.mp4", [random.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(1500)], sound="aac")
    process = subprocess.Popen(
        [sys.executable, "-m", "style_transfer", "video", source, "--style", "udnie", "-o", tmp_path / "out.mp4"],
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)})
    while not [p for p in tmp_path.glob(".*.part") if p.stat().st_size > 30000]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(sent)
    text = process.communicate(timeout=60)[1]
    assert process.returncode == code and "Traceback" not in text, text
    assert 5 < len(read(tmp_path / "out.mp4")[0]) < 1500
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


def test_the_command(tmp_path, typed):
    source = film(tmp_path / "in.mp4", [bars(shift=4 * k) for k in range(3)], sound="aac")
    style = EXAMPLES / "styles" / "waves.jpg"
    for what in ("--style udnie --strength 0.5", f"'{style}' --style-size 64",
                 f"'{style}' '{style}' --style-size 64 --method wct --weights 1,2 --no-flow --preserve-color luminance"):
        code, text = typed(f"video {source} {what} -o {tmp_path / 'out.mp4'} --size 64")
        assert code == 0 and "3/3" in text
        frames, _, sound = read(tmp_path / "out.mp4")
        assert len(frames) == 3 and max(frames[0].shape) == 64 and sound
        (tmp_path / "out.mp4").unlink()


@pytest.mark.parametrize("line, words", [
    ("none.mp4 --style udnie -o out.mp4", "no film none.mp4"), (". --style udnie -o out.mp4", "folder"),
    ("text.mp4 --style udnie -o out.mp4", "no film"), ("empty.mp4 --style udnie -o out.mp4", "no film"),
    ("list.m3u8 --style udnie -o out.mp4", "no film"), ("photo.jpg --style udnie -o out.mp4", "no film"),
    ("moving.gif --style udnie -o out.mp4", "no film"), ("sound.m4a --style udnie -o out.mp4", "sound only"),
    ("none.avi --style udnie -o out.mp4", "no frame"), ("tiny.avi --style udnie -o out.mp4", "8 x 8"),
    ("in.mp4 --style udnie -o out.avi", ".mp4"), ("in.mp4 --style udnie -o gone/out.mp4", "folder"),
    ("in.mp4 --style udnie -o in.mp4", "original"), ("in.mp4 --style udnie -o folder.mp4", "file"),
    ("in.mp4 -o out.mp4", "--style"), ("in.mp4 photo.jpg --style udnie -o out.mp4", "--style"),
    ("in.mp4 none.jpg -o out.mp4", "none.jpg"), ("in.mp4 --style none -o out.mp4", "none"),
    ("in.mp4 photo.jpg --weights 1,2 -o out.mp4", "weights"), ("in.mp4 --style udnie --smooth 1 -o out.mp4", "smooth"),
    ("in.mp4 --style udnie --quality 99 -o out.mp4", "quality"), ("in.mp4 --style udnie --size 4 -o out.mp4", "size"),
])
def test_what_is_wrong_is_one_sentence(tmp_path, typed, monkeypatch, line, words):
    monkeypatch.chdir(tmp_path)
    film("in.mp4", [bars()] * 2)
    film("tiny.avi", [bars(8, 8)] * 2, codec="ffv1", pixels="yuv444p")
    film("moving.gif", [bars(), bars(shift=9)], codec="gif", pixels="rgb8")
    film("none.avi", [bars()], codec="png", pixels="rgb24")
    data = (tmp_path / "none.avi").read_bytes()
    start = data.index(b"\x89PNG")
    (tmp_path / "none.avi").write_bytes(data[:start] + bytes(data.index(b"IEND") - start) + data[data.index(b"IEND"):])
    with av.open("sound.m4a", "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        frame.rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a film " * 99)
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/in.mp4\n#EXT-X-ENDLIST\n")
    st.save(torch.rand(1, 3, 32, 32), "photo.jpg")
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(os.listdir())
    code, text = typed(f"video {line}")
    assert code == 2 and words in text and "Traceback" not in text, text
    assert sorted(os.listdir()) == before


def test_a_disk_that_is_full(tmp_path):
    source = film(tmp_path / "in.mp4", [np.random.default_rng(k).integers(0, 255, (64, 96, 3), np.uint8) for k in range(40)])
    script = ("import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
              "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); import style_transfer.__main__ as m; m.main()")
    result = subprocess.run([sys.executable, "-c", script, "video", source, "--style", "udnie", "-o", tmp_path / "out.mp4",
                             "--no-flow", "--quality", "1"], capture_output=True, text=True,
                            env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)})
    assert result.returncode == 1 and "could not be written" in result.stderr and "Traceback" not in result.stderr
    assert os.listdir(tmp_path) == ["in.mp4"]


# Steadiness -----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def scene():
    """A photograph [H, W, 3], larger than the frames that are cut out of it."""
    return st.load(EXAMPLES / "photos" / "mountains.jpg", 480)[0].permute(1, 2, 0).numpy()


def cut(scene, x, y, height=160, width=240):
    return torch.from_numpy(scene[y:y + height, x:x + width].copy()).permute(2, 0, 1).unsqueeze(0)


def test_warping_by_a_known_shift_is_exact(scene):
    first, second = (cut(scene, x, 60)[0].permute(1, 2, 0).numpy() for x in (80, 83))
    flow = np.zeros((160, 240, 2), np.float32)
    flow[..., 0] = 3  # the camera went 3 pixels to the right: what is at x now was at x + 3
    assert np.abs(video.warp(first, flow) - second)[:, :-4].max() < 1e-5
    steady = video.Steady(same)
    greys = [np.round(255 * cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)).astype(np.uint8) for x in (second, first)]
    found = steady.flow.calc(*greys, None)
    assert np.abs(found - flow)[10:-10, 10:-10].mean() < 0.1


def test_uncovered_places_are_no_source():
    """A square of 20 pixels goes 8 to the right: the 8 columns behind it were hidden before."""
    flow, back = np.zeros((60, 80, 2), np.float32), np.zeros((60, 80, 2), np.float32)
    flow[20:40, 38:58, 0] = -8  # from now to before
    back[20:40, 30:50, 0] = 8
    mask = video.consistent(flow, back)
    assert not mask[20:40, 30:37].any()  # uncovered
    assert not mask[22:38, 36:39].any() and not mask[22:38, 57:59].any()  # edges of the motion
    assert mask[22:38, 40:56].all() and mask[:18].all() and mask[22:38, 62:].all()
    outside = np.full((60, 80, 2), 5, np.float32)
    assert not video.consistent(outside, -outside)[:, -5:].any() and video.consistent(outside, -outside)[2:-8, 2:-8].all()


def test_a_painting_becomes_steadier_and_not_flatter(scene):
    def run(**options):
        generator = torch.Generator().manual_seed(0)
        steady = video.Steady(lambda picture, smooth: (0.8 * picture + 0.1 + 0.1 * torch.randn(
            picture.shape[2:], generator=generator)).clamp(0, 1), **options)  # its strokes are different in each frame
        return torch.cat([steady(cut(scene, 80 + 2 * k, 60)) for k in range(8)])

    def flicker(frames):
        return float((frames[:-1, :, 8:-8, 10:-8] - frames[1:, :, 8:-8, 8:-10]).square().mean())

    plain, calm = run(flow=False), run(smooth=0.5)
    assert flicker(calm) < 0.6 * flicker(plain)
    grain = [float(x[4:].diff(dim=3).square().mean()) for x in (calm, plain)]
    assert grain[0] > 0.85 * grain[1]
    assert calm.shape == plain.shape and calm.dtype == torch.float32 and 0 <= calm.min() and calm.max() <= 1


@pytest.mark.parametrize("method", ["adain", "wct"])
def test_the_statistics_of_every_layer_are_smoothed(scene, painting, method):
    """With the statistics of another frame, the methods paint otherwise; with its own, as without."""
    picture, other, kept = cut(scene, 80, 60), 0.3 * cut(scene, 20, 20), {}
    encoded = [st.arbitrary.encode(painting, method)]
    plain = st.arbitrary.stylize(picture, encoded, method=method)
    assert torch.equal(st.arbitrary.stylize(picture, encoded, method=method, smooth=lambda key, own: own), plain)
    st.arbitrary.stylize(other, encoded, method=method, smooth=lambda key, own: kept.setdefault(key, own))
    assert len(kept) >= 4
    for key in (key for key in kept if st.arbitrary.PICTURE not in key):  # its map changes nothing if no colour is lacking
        found = st.arbitrary.stylize(picture, encoded, method=method,
                                     smooth=lambda name, own, key=key: kept[name] if name == key else own)
        assert not torch.equal(found, plain)


def test_without_flow_the_painter_is_alone(scene):
    frames = [cut(scene, 80 + k, 60) for k in range(3)]
    steady = video.Steady(same, flow=False)
    assert all(torch.equal(steady(frame), frame) for frame in frames)


def test_a_cut_begins_anew_and_motion_does_not(scene):
    seen = []

    def painter(picture, smooth):
        seen.append(smooth("relu1_1", st.transforms.statistics(picture)))
        return picture

    other = st.load(EXAMPLES / "photos" / "dogs.jpg", 480)[0].permute(1, 2, 0).numpy()
    frames = [cut(scene, 60, 60), cut(scene, 90, 60), cut(other, 60, 60), cut(other, 66, 60)]
    steady = video.Steady(painter)
    results = [steady(frame) for frame in frames]
    own = [st.transforms.statistics(frame) for frame in frames]
    assert torch.equal(seen[0].mean, own[0].mean) and torch.equal(seen[2].mean, own[2].mean)
    assert torch.equal(results[2], frames[2])
    for k in (1, 3):
        expected = video.STATISTICS * own[k - 1].covariance + (1 - video.STATISTICS) * own[k].covariance
        assert torch.allclose(seen[k].covariance, expected)


def test_nothing_stays_behind_a_moving_thing(scene):
    """A bright disc crosses the picture, painted with noise: where it was, nothing of it is seen."""
    def frame(k):
        picture = 0.5 * cut(scene, 80, 60)[0].permute(1, 2, 0).numpy()
        cv2.circle(picture, (40 + 9 * k, 80), 22, (1.0, 0.9, 0.2), -1, cv2.LINE_AA)
        return torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0)

    steady = video.Steady(same, smooth=0.6)
    for k in range(12):
        result = steady(frame(k))
    left = (result - frame(11))[..., :40 + 9 * 11 - 26].abs().amax(1)
    assert left.mean() < 0.01 and float((left > 0.15).float().mean()) < 0.005


def test_memory_does_not_grow_with_the_film(tmp_path):
    """What is alive of tensors after many frames is what is after few."""
    source = film(tmp_path / "in.mp4", [bars(shift=k) for k in range(120)], sound="aac")
    counts = {}
    for step in video.stylize(source, tmp_path / "out.mp4", same):
        if step.frame in (20, 110):
            gc.collect()
            counts[step.frame] = sum(1 for item in gc.get_objects() if isinstance(item, (torch.Tensor, np.ndarray)))
    assert counts[110] <= counts[20] + 2


def test_options_are_checked_before_the_work(tmp_path):
    source = film(tmp_path / "in.mp4", [bars()])
    for options in ({"size": 3}, {"smooth": float("nan")}, {"quality": 99}):
        with pytest.raises(InputError):
            next(video.stylize(source, tmp_path / "out.mp4", same, **options))
    assert os.listdir(tmp_path) == ["in.mp4"]
