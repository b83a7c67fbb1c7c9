"""Films in the running app: what comes out, what strangers may bring, and that Stop leaves a film that plays."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from style_transfer import video
from style_transfer.errors import InputError
from style_transfer.ui import film as section
from tests.app import raw_http
from tests.app.app_server import ROOT
from tests.test_video import bars, film, read

PAINTING = next((ROOT / "examples/styles").glob("*.jpg"))
STYLE = "udnie"


def moving(count, **size):
    return [bars(shift=3 * number, **size) for number in range(count)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """12 frames with sound."""
    return film(tmp_path_factory.mktemp("films") / "bars <b>.mp4", moving(12), sound="aac")


@pytest.mark.parametrize("options", [dict(style=STYLE), dict(method="adain", painting=handle_file(PAINTING), smooth=0)])
def test_a_film_is_painted(client, clip, options):
    job = client.submit(handle_file(clip), size=640, api_name="/film", **options)
    path = job.result(timeout=120)[0]
    before, times, _ = read(clip)
    after, painted_times, sound = read(path)
    assert Path(path).suffix == ".mp4" and sound and sound[0] == "aac"
    assert painted_times == times and after[0].shape == before[0].shape  # a small film is not enlarged
    assert np.abs(after[5].astype(int) - before[5]).mean() > 10
    seen = [output for output in job.outputs() if isinstance(output[1], str) or "Frame" in str(output[2])]
    assert seen and "of 12" in seen[0][2]  # previews while it is painted
    assert "12 frames" in job.outputs()[-1][2] and "96 × 64" in job.outputs()[-1][2]


def test_a_film_in_a_blend_of_two_styles(client, clip):
    def painted(**blend):
        job = client.submit(handle_file(clip), style=STYLE, smooth=0, api_name="/film", **blend)
        path = job.result(timeout=120)[0]
        return read(path)[0][0].astype(int), job.outputs()[-1][2]

    other = "the-scream"
    (blend, status), (alone, _), (nothing, _) = painted(other=other, share=0.5), painted(), painted(other=other, share=0)
    assert "Udnie 50% + The Scream 50%" in status
    assert np.abs(blend - alone).mean() > 5 and np.array_equal(alone, nothing)
    with pytest.raises(AppError, match="do not come from one another"):
        client.predict(handle_file(clip), style=STYLE, other="divisionism", api_name="/film")


def test_no_sound_a_turned_film_and_other_formats(client, tmp_path):
    turned = film(tmp_path / "turned.mp4", moving(3), matrix=[0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30])
    uneven = film(tmp_path / "uneven.mkv", moving(3), times=[0, 40, 500])
    shape = read(client.predict(handle_file(turned), style=STYLE, api_name="/film")[0])[0][0].shape
    assert shape == (96, 64, 3)
    _, times, sound = read(client.predict(handle_file(uneven), style=STYLE, api_name="/film")[0])
    assert sound is None and np.allclose(times, [0, 0.04, 0.5], atol=0.002)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory, clip):
    """{name: file} of what is no film."""
    folder = tmp_path_factory.mktemp("wrong")
    Image.new("RGB", (64, 64), "red").save(folder / "picture.png")
    shutil.copy(folder / "picture.png", folder / "picture.mp4")
    (folder / "text.mp4").write_text("no film")
    (folder / "empty.mp4").touch()
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:300])
    (folder / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
        frame.rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    film(folder / "long.mp4", moving(22), rate=1)
    film(folder / "fast.mp4", moving(20) * 63, rate=120)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("name, words", [
    ("picture.png", "use an MP4"), ("picture.mp4", "use an MP4"), ("text.mp4", "use an MP4"), ("empty.mp4", "use an MP4"),
    ("cut.mp4", "use an MP4"), ("list.mp4", "use an MP4"), ("sound.mp4", "sound only"), ("long.mp4", "lasts 22 s"),
    ("fast.mp4", "1260 frames")])
def test_what_is_no_film_gets_a_sentence_before_anything_is_painted(client, server, wrong, name, words):
    known = server.log.read_text()
    with pytest.raises(AppError, match=words) as error:
        client.predict(handle_file(wrong[name]), style=STYLE, api_name="/film")
    assert "Traceback" not in str(error.value) and "Traceback" not in server.log.read_text().removeprefix(known)


@pytest.mark.parametrize("value", [5, True, [], {}, "film.mp4", {"path": "/etc/passwd"}, {"path": "http://127.0.0.1:9/a.mp4"},
                                   {"path": f"{ROOT}/app.py", "meta": {"_type": "gradio.FileData"}}], ids=str)
def test_only_uploaded_files_are_films(server, value):
    endpoint = next(e for e in raw_http.endpoints(server) if e[1] == "film")
    worked, answer = raw_http.call(server, endpoint, [value, STYLE])
    assert not worked and "uploaded" in answer["error"]


def test_without_a_film_or_a_painting_there_is_a_sentence(client, clip):
    with pytest.raises(AppError, match="no film yet"):
        client.predict(None, api_name="/film")
    with pytest.raises(AppError, match="no style picture yet"):
        client.predict(handle_file(clip), method="wct", api_name="/film")


def paint(path, style=STYLE, session="me"):
    return section.run(str(path), style, size=96, request=SimpleNamespace(session_hash=session))


def test_stop_leaves_a_film_of_what_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(section, "PREVIEW_SECONDS", 0)
    path, asked = film(tmp_path / "bars.mp4", moving(20)), 0
    for output in paint(path):
        if "Frame 3" in str(output[2]) and not asked:
            section.STOP.ask(SimpleNamespace(session_hash="somebody else"))
        if "Frame 6" in str(output[2]) and not asked:
            asked = section.STOP.ask(SimpleNamespace(session_hash="me"))
        last = output[2]
        if "up to frame" in str(last):
            assert 6 <= len(read(output[0])[0]) < 12
    assert asked and "The film up to frame" in last
    assert not section.STOP._asked


def test_a_film_is_no_longer_than_allowed_whatever_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(section, "limits", lambda: section.Limits(20, 5))
    monkeypatch.setattr(section, "header", lambda path: video.Header(96, 64, 4, 0.2))
    last = [output[2] for output in paint(film(tmp_path / "bars.mp4", moving(12)))][-1]
    assert last.startswith("The film up to frame 5")


def test_limits(tmp_path, monkeypatch):
    path = film(tmp_path / "bars.mp4", moving(50))
    assert section.header(str(path)).frames == 50
    monkeypatch.setenv(section.VARIABLE, "1")
    with pytest.raises(InputError, match="lasts 2 s, and 1 s"):
        section.header(str(path))
    monkeypatch.setenv(section.VARIABLE, "3600")
    assert section.limits().frames == 3600.5 * 60
    for text in ("many", "nan", "inf", "1e999"):
        monkeypatch.setenv(section.VARIABLE, text)
        with pytest.raises(InputError, match="number of seconds"):
            section.limits()
    monkeypatch.delenv(section.VARIABLE)
    for name, words in (("MAX_PIXELS", "too large"), ("MAX_BYTES", "MB are the most")):
        with monkeypatch.context() as patch, pytest.raises(InputError, match=words):
            patch.setattr(section, name, 100)
            section.header(str(path))


def test_frames_that_grow_in_the_middle_are_not_decoded(tmp_path):
    path = film(tmp_path / "bars.mp4", moving(3))
    with pytest.raises(InputError, match="no frame that can be decoded"):
        list(video.stylize(path, tmp_path / "out.mp4", lambda picture, smooth: picture, limit=64 * 95))
    assert len(list(video.stylize(path, tmp_path / "out.mp4", lambda picture, smooth: picture, limit=64 * 128))) == 3
