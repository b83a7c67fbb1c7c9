"""Several photographs: what strangers may bring, what is in the archive, and that Stop leaves what is done."""

import contextlib
import io
import shutil
import urllib.request
import zipfile
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from PIL import Image

from style_transfer import images
from style_transfer.ui import batch, ending
from tests.app import raw_http
from tests.app.app_server import ROOT

META = {"meta": {"_type": "gradio.FileData"}}
PHOTO = ROOT / "examples/photos/cat.jpg"
VISITOR = SimpleNamespace(session_hash="me")


@pytest.fixture(scope="module")
def endpoints(server):
    """Those for several photographs, of the tabs of arbitrary and fixed styles."""
    found = [e for e in raw_http.endpoints(server) if e[1].startswith("run_all")]
    assert len(found) == 2
    return found


@pytest.fixture(scope="module")
def files(server, tmp_path_factory):
    """Uploads: a photograph, another one of the same name, a text."""
    folder, uploads = tmp_path_factory.mktemp("uploads"), []
    for name in ("one/cat.jpg", "two/Cat.jpg", "two/text.jpg"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        shutil.copy(PHOTO, path)
        if path.stem == "text":
            path.write_text("no picture")
        uploads.append({"path": raw_http.upload(server, path)} | META)
    return uploads


def test_the_archive_holds_each_picture_once(server, endpoints, files):
    for endpoint in endpoints:
        style = [files[0]] if len(endpoint[2]) > 15 else []  # of arbitrary styles
        worked, answer = raw_http.call(server, endpoint, [files, *style])
        assert worked, answer
        gallery, status, download, stop = answer["data"]
        assert "2 of 3 photographs" in status and not stop["interactive"]
        assert [item["caption"] for item in gallery["value"]] == ["cat", "Cat (2)"]
        with urllib.request.urlopen(f"{server.url}gradio_api/file={download['value']['path']}") as packed:
            archive = zipfile.ZipFile(io.BytesIO(packed.read()))
        assert archive.testzip() is None and archive.namelist() == ["cat.png", "Cat (2).png"]
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            with Image.open(archive.open(entry)) as image:
                assert image.format == "PNG" and max(image.size) == 768
    assert "Traceback" not in server.log.read_text()


def test_wrong_files_get_a_sentence(server, endpoints, files):
    for wrong in (None, [], "photo.jpg", {}, [5], [None], [{"path": "/etc/hostname"} | META], [files[2]], [files[2]] * 31):
        worked, answer = raw_http.call(server, endpoints[1], [wrong])
        assert not worked and answer["error"].endswith("."), answer


@pytest.mark.parametrize("path, name", [
    ("/a/cat.jpg", "cat (3).png"), ("CAT", "CAT (3).png"), ("dog.tar.jpg", "dog.tar.png"), ("/x/.jpg", "jpg.png"),
    ("...", "photograph.png"), ("a<b>\n\"'|*?:\\.jpg", "a_b_.png"), ("été.png", "été.png"),
    ("x" * 300 + ".png", "x" * 80 + ".png")])
def test_names_are_safe_and_of_the_uploads(path, name):
    assert batch.named(path, {"cat.png", "cat (2).png"}) == name


@pytest.fixture
def run(tmp_path):
    """A tab's function that paints grey; what it was given is in `run.seen`, whether it was closed in `run.closed`."""
    def run(file, *values):
        run.seen.append((file, values))
        try:
            for words in ("Waiting", '<progress value="0.5"></progress>Painting'):
                yield gr.skip(), gr.skip(), words, gr.skip(), gr.skip()
            if "broken" in file:
                raise gr.Error("It is broken.")
            images.save(torch.full((1, 3, 8, 12), 0.5), tmp_path / "grey.png")
            yield str(tmp_path / "grey.png"), gr.skip(), "Grey", gr.skip(), gr.skip()
        finally:
            run.closed += 1

    run.seen, run.closed = [], 0
    return run


def test_each_picture_has_the_tabs_settings_and_is_shown_when_ready(run):
    said, shown = [], []
    for gallery, status, *_ in batch.runner(run, ending.Stop())(["a.jpg", "broken.jpg", "b.jpg"], VISITOR, 7, "x"):
        said.append(status.split("</progress>")[-1])
        if isinstance(gallery, gr.Gallery):
            shown.append(len(gallery.value))
    assert run.seen == [(name, (7, "x")) for name in ("a.jpg", "broken.jpg", "b.jpg")] and run.closed == 3
    assert shown == [0, 1, 2, 2]
    assert said == [
        "", "1 of 3. Waiting", "1 of 3. Painting", "1 of 3. Grey", "2 of 3. Waiting", "2 of 3. Painting", "3 of 3. Waiting",
        "3 of 3. Painting", "3 of 3. Grey", "2 of 3 photographs are painted"]


@pytest.mark.parametrize("words, done", [("2 of 4. Waiting", 1), ("2 of 4. Grey", 2)])
def test_stop_keeps_what_is_done(run, words, done):
    stop = ending.Stop()
    with contextlib.closing(batch.runner(run, stop)([f"{n}.jpg" for n in range(4)], VISITOR)) as outputs:
        for output in outputs:
            if words in output[1]:
                stop.ask(VISITOR)
            last = output
        assert last[1] == f"{done} of 4 photographs are painted" and run.closed == 2
    assert not stop._asked


def test_an_archive_has_an_end(run, monkeypatch):
    monkeypatch.setattr(batch, "MAX_BYTES", 100)
    *_, last = batch.runner(run, ending.Stop())([f"{n}.jpg" for n in range(4)], VISITOR)
    assert last[1] == "1 of 4 photographs are painted"


def test_nothing_but_broken_files_is_an_error(run):
    with pytest.raises(gr.Error, match="It is broken"):
        list(batch.runner(run, ending.Stop())(["broken.jpg", "broken-2.jpg"], VISITOR))
