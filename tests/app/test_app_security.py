"""What strangers may ask of the app: no file of the server but what was uploaded, no address, no path as a name."""

import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from style_transfer.ui.inputs import NO_FRAME, NO_UPLOAD
from tests.app import raw_http
from tests.app.app_server import ROOT, running

META = {"meta": {"_type": "gradio.FileData"}}
AUDIT = Path(__file__).parent / "audit"


@pytest.fixture(scope="module")
def server(weights, tmp_path_factory):
    temp = tmp_path_factory.mktemp("secure")
    with running(weights, temp, PYTHONPATH=str(AUDIT), AUDIT_LOG=str(temp / "audit.txt")) as server:
        raw_http.get(f"{server.url}gradio_api/info")
        server.audit = temp / "audit.txt"
        server.started = len(server.audit.read_bytes())
        yield server


@pytest.fixture(scope="module")
def traps(server, tmp_path_factory):
    """30 names of files, folders, pipes, links and nothing, of the server, inside and outside of the upload folder."""
    folder, uploads = tmp_path_factory.mktemp("traps"), server.uploads()
    Image.new("RGB", (64, 64), "red").save(folder / "secret.png")
    Image.new("RGB", (64, 64), "red").save(folder / ".hidden.jpg")
    (folder / "notes.txt").write_text("private")
    (folder / "empty.png").touch()
    os.mkfifo(folder / "pipe.png")
    uploads.mkdir(exist_ok=True)
    (uploads / "folder").mkdir()
    os.mkfifo(uploads / "pipe.png")
    (uploads / "link.png").symlink_to(folder / "secret.png")
    (uploads / "links").symlink_to(folder)
    (uploads / "loop.png").symlink_to(uploads / "loop.png")
    (uploads / "dangling.png").symlink_to(folder / "missing.png")
    back = os.path.relpath(folder, uploads)
    inside = ["folder", "pipe.png", "link.png", "links/secret.png", "loop.png", "dangling.png", "missing.png",
              f"{back}/secret.png"]
    outside = ["secret.png", ".hidden.jpg", "notes.txt", "empty.png", "pipe.png", "missing.png", "", "secret.png/"]
    photo = next((ROOT / "examples/photos").glob("*.jpg"))
    others = ["/etc/passwd", "/etc", "/dev/zero", "/dev/stdin", "/proc/self/environ", "/proc/self/mem", "/root/.ssh/id_rsa",
              "/", str(photo), str(photo.relative_to(ROOT)), "app.py", "..", "~/.bashrc", "file:///etc/passwd"]
    names = [str(uploads), *(f"{uploads}/{n}" for n in inside), *(f"{folder}/{n}" for n in outside), *others]
    assert len(set(names)) >= 30
    return names


def fill(types, place, value):
    """Data for an endpoint: a value at one place, nothing at the others."""
    return [value if number == place else None for number in range(len(types))]


def ask(server, endpoint, place, value, way):
    start = time.monotonic()
    worked, answer = raw_http.call(server, endpoint, fill(endpoint[2], place, value), way)
    return worked, answer, time.monotonic() - start


def ask_all(server, questions):
    """All questions, four at a time: each gets the sentence on uploads, at once, or that of a camera."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda question: ask(server, *question), questions))
    sentences = set()
    for question, (worked, answer, seconds) in zip(questions, answers):
        assert not worked and isinstance(answer, dict) and answer.get("error"), (question, worked, answer)
        assert seconds < 5, (question, seconds)
        sentences.add(answer["error"])
    assert NO_UPLOAD in sentences <= {NO_UPLOAD, NO_FRAME}, sentences


def file_inputs(server, way):
    for endpoint in raw_http.endpoints(server):
        if way == "queue" or endpoint[3] is not True or way == "call":
            for place, kind in enumerate(endpoint[2]):
                if kind in ("image", "file", "video"):
                    yield endpoint, place, kind


@pytest.mark.parametrize("way", ["queue", "call"])
def test_only_uploaded_files_are_opened(server, traps, way):
    """Every path at many, and many paths at every file input of every endpoint, with and without the mark of an upload."""
    inputs = list(file_inputs(server, way))
    assert {"image", "file"} <= {kind for *_, kind in inputs} and len(inputs) >= 15
    questions = []
    for number, path in enumerate(traps):
        for endpoint, place, kind in inputs[number % 8::8]:
            value = {"path": path} | (META if number % 2 else {"url": f"/gradio_api/file={path}"})
            questions.append((endpoint, place, [value] if kind == "file" else value, way))
    ask_all(server, questions)
    assert_nothing_read(server, traps)


def audit(server):
    """What the app has opened, and whom it has called, since it was there."""
    return server.audit.read_bytes()[server.started:].decode(errors="replace")


def assert_nothing_read(server, traps):
    opened = set(audit(server).splitlines())
    assert server.started > 10_000  # the hook is at work
    assert not {f"{event} {path!r}" for path in traps for event in ("open", "os.listdir", "os.scandir")} & opened
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("endpoint", ["fixed", "arbitrary", "gatys"])
def test_the_queue_cannot_be_skipped(server, traps, endpoint):
    chosen = next(e for e in raw_http.endpoints(server) if e[1] == endpoint)
    for path in traps:
        worked, answer = raw_http.call(server, chosen, fill(chosen[2], 0, {"path": path}), "run")
        assert not worked and "join the queue" in answer["detail"]


def test_other_things_in_place_of_a_file(server, traps):
    """Addresses (nobody is called), pictures inside the call, lists, other shapes: the same sentence."""
    secret = next(path for path in traps if path.endswith("secret.png") and "gradio" not in path)
    png = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
           "ErkJggg==")
    values = [{"path": "http://127.0.0.1:9/a.png"} | META, {"path": "https://example.com/a.png"} | META, {"url": png},
              {"path": png}, {"path": None, "url": "http://127.0.0.1:9/a.png"} | META, {"path": secret, "url": png} | META,
              secret, [secret], {"path": {"path": secret} | META}, {"path": [secret]}, {}, {"a": {"path": secret} | META},
              {"image": {"path": secret} | META}, {"path": "\0"}, {"path": "a" * 5000} | META, {"path": 7}, 7, True, [],
              [[]], "", 0]
    questions = [(endpoint, place, value, "queue") for endpoint, place, kind in file_inputs(server, "queue") for value in values
                 if kind == "image" and endpoint[1] in ("fixed", "arbitrary", "gatys")]
    ask_all(server, questions)
    assert "example.com" not in audit(server) and "('127.0.0.1', 9)" not in audit(server)


def test_files_in_place_of_anything_else(server, traps):
    """A file dictionary where a number or a name is wanted: a sentence, nothing read, nobody called."""
    for endpoint in raw_http.endpoints(server):
        for kind in set(endpoint[2]) - {"image", "file", "video", "uploadbutton", "state"}:
            place = endpoint[2].index(kind)
            for value in ({"path": traps[9]} | META, {"path": "http://127.0.0.1:9/a.png"} | META, [{"path": traps[9]}],
                          {"a": 1}):
                worked, answer = raw_http.call(server, endpoint, fill(endpoint[2], place, value))
                assert not worked and answer.get("error") and traps[9] not in answer["error"], (endpoint, kind, value, answer)
    assert_nothing_read(server, traps)
    assert "('127.0.0.1', 9)" not in audit(server)


def test_an_uploaded_file_is_painted(server):
    photo = {"path": raw_http.upload(server, next((ROOT / "examples/photos").glob("*.jpg")))}
    fixed = next(e for e in raw_http.endpoints(server) if e[1] == "fixed")
    for way, meta in (("queue", {}), ("queue", META), ("call", META)):
        worked, answer = raw_http.call(server, fixed, [photo | meta, None, 1, 128], way)
        assert worked, answer


@pytest.mark.parametrize("name", ["../..", "/etc/passwd", "/etc/x.safetensors", "checkpoints/the-scream.safetensors",
                                  "{root}/checkpoints/the-scream.safetensors", "../checkpoints/the-scream", "owner/name",
                                  "owner/name/weights", "stranger/more@main/second", "http://127.0.0.1:9/a", "<img src=x>",
                                  "\0", ".", "", "a" * 5000])
def test_names_are_no_paths(server, name):
    photo = {"path": raw_http.upload(server, next((ROOT / "examples/photos").glob("*.jpg")))} | META
    by_name = {e[1]: e for e in raw_http.endpoints(server)}
    name = name.format(root=ROOT)
    for endpoint, data in [("fixed", [photo, name, 1, 128]),
                           ("arbitrary", [photo, photo, *[None] * 3, 1, 1, 1, 1, "adain", 1, 128, False, "off", 1, 1, 1, [4],
                                         name])]:
        worked, answer = raw_http.call(server, by_name[endpoint], data)
        assert not worked and answer["error"] and "<img" not in answer["error"], answer
    assert not [word for word in ("x.safetensors", "('127.0.0.1', 9)", "stranger") if word in audit(server)]
    assert "Traceback" not in server.log.read_text()


def test_files_of_the_server_are_not_handed_out(server, traps):
    for path in traps:
        if path.startswith("/") and not path.startswith(str(server.temp)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{server.url}gradio_api/file={path}", timeout=5)
            assert refused.value.code in (403, 404)


def request(server, target):
    """(status, body) of a request whose path goes out as it is, not tidied up by a library."""
    url = urllib.parse.urlparse(server.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=5)
    try:
        connection.putrequest("GET", target, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(100_000)
    finally:
        connection.close()


WAYS = ["/gradio_api/file={path}", "/file={path}", "/gradio_api/file=/{path}", "/gradio_api/file={coded}",
        "/gradio_api/file={twice}", "/gradio_api/file=file://{path}", "/gradio_api/file=/proc/self/root{path}",
        "/gradio_api/file={uploads}/../..{back}", "/gradio_api/file={uploads}/%2e%2e/%2e%2e{back}",
        "/gradio_api/file={uploads}/..%2f..{back}", "/gradio_api/file=../../../..{path}",
        "/gradio_api/file={uploads}/links/secret.png", "/gradio_api/file={uploads}/link.png",
        "/static/../../../../../../..{path}", "/static/..%2f..%2f..%2f..%2f..%2f..%2f..{coded}",
        "/assets/..%2f..%2f..%2f..%2f..%2f..%2f..{coded}", "/svelte/..%2f..%2f..{coded}",
        "/gradio_api/stream/a/b/..%2f..{coded}", "/gradio_api/proxy=file://{path}", "/proxy=http://127.0.0.1:9{path}",
        "/gradio_api/file/{path}", "/gradio_api/upload_progress?upload_id={coded}",
        "/custom_component/a/client/component/..%2f{coded}", "/..{path}", "//{path}", "/gradio_api/file=\\..\\..{path}",
        "/gradio_api/file={path}%00.png"]


@pytest.mark.parametrize("way", WAYS)
def test_no_file_of_the_server_is_read_by_its_path(server, traps, way):
    """Whatever is done to a path: not a byte of the picture beside the app, of its log, its code or the machine comes back."""
    secret = next(Path(path) for path in traps if path.endswith("secret.png") and "links" not in path and "gradio" not in path)
    for path in (secret, server.log, ROOT / "app.py", Path("/etc/passwd"), server.temp / "audit.txt"):
        coded = urllib.parse.quote(str(path), safe="")
        back = "/" + os.path.relpath(path, server.uploads().parent.parent)
        twice = urllib.parse.quote(coded, safe="")
        target = way.format(path=path, coded=coded, twice=twice, uploads=server.uploads(), back=back)
        status, body = request(server, target)
        head = path.read_bytes()[:40]
        assert head and head not in body, (target, status)
        assert status >= 300 or b"<!doctype html" in body[:200].lower(), (target, status, body[:200])
    assert "Traceback" not in server.log.read_text()


NAMES = ["../../../evil.png", "..\\..\\evil.png", "%2e%2e%2f%2e%2e%2fevil.png", "a/../../../evil.png", "/tmp/evil.png", "..",
         ".", "evil.png/..", ".evil.png", "~/evil.png", "evil.png%00.txt", "e" * 300 + ".png", "con<script>.png",
         "évil 🎨.png", "; rm -rf evil.png"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:20])
def test_an_upload_lands_in_the_folder_of_uploads_whatever_its_name(server, name):
    photo = next((ROOT / "examples/photos").glob("*.jpg"))
    before = {path for path in server.temp.rglob("*") if not path.is_relative_to(server.uploads())}
    try:
        path = raw_http.upload(server, photo, name)
    except urllib.error.HTTPError as error:
        assert error.code in (400, 413, 422)
        return
    assert Path(path).resolve().is_relative_to(server.uploads()) and Path(path).read_bytes() == photo.read_bytes()
    assert {path for path in server.temp.rglob("*") if not path.is_relative_to(server.uploads())} == before
    assert not Path("/tmp/evil.png").exists()
    assert "Traceback" not in server.log.read_text()


def test_an_upload_of_too_many_bytes_is_refused(server, tmp_path):
    (tmp_path / "large.png").write_bytes(b"\0" * 106_000_000)
    with pytest.raises(urllib.error.URLError) as refused:
        raw_http.upload(server, tmp_path / "large.png")
    # the connection may be closed before all is sent
    assert getattr(refused.value, "code", 413) == 413
    assert not [path for path in server.uploads().rglob("*") if path.is_file() and path.stat().st_size > 20e6]
