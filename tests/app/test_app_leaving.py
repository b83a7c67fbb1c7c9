"""Who leaves in the middle of a picture: a real client drops its connection, and the device is free for the next one."""

import json
import secrets
import socket
import statistics
import time
import urllib.parse
from pathlib import Path

import pytest

import style_transfer as st
from tests.app import raw_http
from tests.app.app_server import ROOT

META = {"meta": {"_type": "gradio.FileData"}}
PHOTO, STYLE = (next((ROOT / f"examples/{kind}").glob("*.jpg")) for kind in ("photos", "styles"))
SECONDS = 1.0  # within which the device is free


@pytest.fixture(scope="module")
def pictures(server, tmp_path_factory):
    """Two pictures of 2048 pixels, uploaded."""
    folder = tmp_path_factory.mktemp("large")
    for path in (PHOTO, STYLE):
        st.save(st.images.resize(st.load(path), 2048), folder / path.name)
    return [{"path": raw_http.upload(server, folder / path.name)} | META for path in (PHOTO, STYLE)]


@pytest.fixture(scope="module")
def call(server):
    """name, {parameter: value} -> the body of a call."""
    info = raw_http.get(f"{server.url}gradio_api/info")["named_endpoints"]
    numbers = {e[1]: e[0] for e in raw_http.endpoints(server)}

    def call(name, **values):
        return {"data": [values.get(p["parameter_name"]) for p in info[f"/{name}"]["parameters"]], "fn_index": numbers[name]}
    return call


@pytest.fixture(scope="module")
def paint(server, call, pictures):
    """A small picture in a fixed style: the seconds it takes."""
    def paint():
        start = time.monotonic()
        body = call("fixed", content=pictures[0], size=256)
        worked, answer = raw_http.call(server, (body["fn_index"], "fixed", [], True), body["data"])
        assert worked, answer
        return time.monotonic() - start

    paint()
    return paint


class Visitor:
    """A browser's connection, to be dropped without a word."""

    def __init__(self, server, body):
        session, url = secrets.token_hex(8), urllib.parse.urlparse(server.url)
        raw_http._open(f"{server.url}gradio_api/queue/join", body | {"session_hash": session}).close()
        self.socket = socket.create_connection((url.hostname, url.port), 20)
        request = f"GET /gradio_api/queue/data?session_hash={session} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n"
        self.socket.sendall(request.encode())
        self.lines = self.socket.makefile("rb")

    def messages(self):
        for line in self.lines:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def wait_for(self, words):
        """The first message in which these words are."""
        for message in self.messages():
            assert message["msg"] != "process_completed", message
            if words in json.dumps(message, ensure_ascii=False):
                return message
        raise AssertionError(f"the stream ended before {words!r}")

    def leave(self):
        self.lines.close()
        self.socket.close()


JOBS = {"wct": ("arbitrary", dict(size=2048, method="wct"), "Painting, "),
        "adain": ("arbitrary", dict(size=2048, method="adain"), "Painting, "),
        "fixed": ("fixed", dict(size=2048), "Painting, "),
        "gatys": ("gatys", dict(size=1024, iterations=1000), "Iteration ")}


@pytest.mark.parametrize("job", JOBS)
def test_the_device_is_free_after_somebody_left(server, call, pictures, paint, job):
    """What the next visitor waits more than alone is less than a second; and no file of the job is left."""
    name, options, words = JOBS[job]
    alone = statistics.median(paint() for _ in range(5))
    waited = []
    for _ in range(3):
        visitor = Visitor(server, call(name, content=pictures[0], style=pictures[1] if name != "fixed" else None, **options))
        visitor.wait_for(words)
        assert server.jobs()
        visitor.leave()
        waited.append(paint() - alone)
        start = time.monotonic()
        while server.jobs():
            assert time.monotonic() - start < SECONDS, "the job's files are still there"
            time.sleep(0.02)
    print(f"{job}: alone {alone:.2f} s, after somebody left {', '.join(f'{w:+.2f}' for w in waited)} s")
    assert statistics.median(waited) < SECONDS, (alone, waited)


def test_who_waits_can_leave_the_line(server, call, pictures):
    visitors = []
    for words in ("Painting, ", "one picture is painted before this one", "2 pictures are painted before this one"):
        visitors.append(Visitor(server, call("arbitrary", content=pictures[0], style=pictures[1], size=2048, method="wct")))
        visitors[-1].wait_for(words)
    first, second, third = visitors
    second.leave()
    third.wait_for("one picture is painted before this one")
    first.leave()
    third.wait_for("Painting, ")
    third.leave()
    while server.jobs():
        time.sleep(0.02)
    assert "Traceback" not in Path(server.log).read_text()
