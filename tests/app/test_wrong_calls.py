"""Wrong calls of the running app, a table: each answers with a sentence at once, and the app works on."""

import json
import re
import struct
import time
import urllib.error
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.app import raw_http

META = {"meta": {"_type": "gradio.FileData"}}
NAN, INF = float("nan"), float("inf")
SECONDS = 5
SMALL = dict(fixed={"size": 128}, arbitrary={"size": 128}, gatys={"size": 128, "iterations": 10},
             neighbours={"size": 128, "iterations": 10})  # should one work after all


class Upload(str):
    """The name of a file of `files`, to be uploaded and given as a picture."""


def upload(*names):
    return [Upload(name) for name in names]


def values(parameter, *wrong):
    return [{parameter: value} for value in wrong]


PICTURES = ["photo.jpg", 5, 0.5, True, [], ["photo.jpg"], {}, {"path": None}, {"path": 5} | META, {"path": "photo.jpg"} | META,
            {"url": "http://127.0.0.1:9/photo.jpg"}, {"path": "/etc/hostname"} | META, "", {"meta": {}}, [[]]]
FILES = upload("empty.jpg", "text.jpg", "cut.jpg", "vector.svg", "page.png", "huge.png", "a<b>bold.jpg", "archive.zip")
NUMBERS = ["1", "many", "", [], [1], {}, {"a": 1}, True, NAN, INF, -INF, -1, 10 ** 30]
WORDS = [5, 0.5, True, [], {}, ["match"], "nonono", "", "<b>x</b>", NAN]
NAMES = [5, [], {}, True, "", "nonono", "../the-scream", "/etc/passwd", "a/b/c", "<img src=x>", "\0", "x" * 5000, "encoder",
         "photo.jpg", "the-scream.safetensors"]

MANY = ("frames.gif", "frames.png", "frames.webp", "pages.tiff")


def many_frames(path, count=1500):
    """A file of so many pictures, the first of which is all that is asked for."""
    frames = [Image.new("RGB", (160, 120), (k % 256, 40, 80)) for k in range(count if path.suffix != ".webp" else 200)]
    options = {"compression": "tiff_deflate"} if path.suffix == ".tiff" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)


WRONG = [
    *(("fixed", case) for case in [
        {"content": None}, *values("content", *PICTURES, *FILES), *values("style", *NAMES),
        *values("strength", *NUMBERS[:-1], 1.1), *values("size", *NUMBERS, 127, 4097, 200.5),
        *values("preserve_color", *WORDS), *values("own_size", 1, "true", [], {}, NAN), *values("stroke", *NUMBERS, 0.2, 8.5),
        *values("color_strength", *NUMBERS[:-2], 1.1), *values("texture_strength", *NUMBERS[:-2], 1.1),
        *values("mask", *PICTURES[:4], *FILES), *values("soft_edges", *NUMBERS[:-2], 0.2)]),
    *(("arbitrary", case) for case in [
        {"content": None}, {"style": None}, *values("content", *PICTURES[:4], *FILES), *values("style", *PICTURES[:4], *FILES),
        *values("style_4", *PICTURES[:4], *FILES[:3]), *values("weight_1", *NUMBERS), *values("method", *WORDS),
        {"style_2": Upload("photo.jpg"), "weight_1": 0, "weight_2": 0},
        *values("alpha", *NUMBERS, 1.1), *values("size", *NUMBERS, 127, 4097, 200.5), *values("preserve_color", *WORDS),
        *values("works", 5, "photo.jpg", {}, [5], [None], ["photo.jpg"], [{"path": "/etc/hostname"} | META]),
        *values("mask", *PICTURES[:4], *FILES), {"style_2": Upload("photo.jpg"), "mask": Upload("one-colour.png")},
        *values("wct_levels", 4, "4", {}, [0], [6], ["4"], [[4]], [None], [4.5], True), {"method": "cascade", "wct_levels": []},
        *({"method": "adain", "decoder": name} for name in NAMES), {"content": Upload("strip.png")}]),
    *(("gatys", case) for case in [
        {"content": None}, {"style": None}, *values("content", *PICTURES[:4], *FILES), *values("style", *PICTURES[:4], *FILES),
        *values("log_ratio", *NUMBERS[:-2], 9, -9), *values("preserve_color", *WORDS),
        *values("content_layer", *WORDS, "relu5_2"),
        *values("style_layers", 1, "relu1_1", {}, [], ["relu9_9"], [[]], [None], ["<b>"], True, ["relu5_4"]),
        *values("iterations", *NUMBERS, 9, 1001, 10.5), *values("size", *NUMBERS, 127, 2049), *values("start", *WORDS),
        *values("optimizer", *WORDS), *values("backbone", *WORDS, "vgg19"), *values("seed", *NUMBERS, 0.5, 2 ** 31),
        {"content": Upload("strip.png")}]),
    *(("neighbours", case) for case in [
        {"content": None}, {"style": None}, *values("content", *PICTURES[:2]), *values("style_4", *PICTURES[:2]),
        *values("alpha", *NUMBERS, 1.1), *values("iterations", 9, 1001, 10.5), *values("backbone", *WORDS),
        *values("mask", *PICTURES[:2]), {"content": Upload("strip.png")}]),
]


@pytest.fixture(scope="module")
def files(server, tmp_path_factory):
    """{name: path on the server} of uploaded files, most of which are no pictures."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)).save(folder / "photo.jpg")
    (folder / "cut.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:500])
    (folder / "empty.jpg").touch()
    for name, text in (("text.jpg", "no picture"), ("vector.svg", "<svg/>"), ("page.png", "<html>"), ("archive.zip", "PK\3\4")):
        (folder / name).write_text(text)
    (folder / "a<b>bold.jpg").write_text("no picture")
    Image.new("1", (9000, 9000)).save(folder / "huge.png")
    Image.new("RGB", (2000, 1)).save(folder / "strip.png")
    Image.new("RGB", (50, 70), "red").save(folder / "one-colour.png")  # as a mask, of another size than the photograph
    for name in MANY:
        many_frames(folder / name)
    return {path.name: raw_http.upload(server, path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def public(server):
    """{name: (endpoint as raw_http gives it, [names of its parameters])}."""
    info = raw_http.get(f"{server.url}gradio_api/info")["named_endpoints"]
    return {e[1]: (e, [p["parameter_name"] for p in info[f"/{e[1]}"]["parameters"]]) for e in raw_http.endpoints(server)
            if f"/{e[1]}" in info}


@pytest.fixture(scope="module", autouse=True)
def works_on(server, public, files):
    """After all of it the next picture is painted."""
    yield
    for name in SMALL:
        worked, answer = paint(server, public, files, name, {})
        assert worked, answer


def paint(server, public, files, name, changes, way="queue"):
    endpoint, parameters = public[name]
    photo = Upload("photo.jpg")
    given = {"content": photo} | ({"style": photo} if name != "fixed" else {}) | SMALL[name] | changes
    assert given.keys() <= set(parameters)
    data = [{"path": files[value]} | META if isinstance(value, Upload) else value for value in map(given.get, parameters)]
    return raw_http.call(server, endpoint, data, way)


def check_sentence(answer):
    text = answer.get("error")
    assert isinstance(text, str) and 15 <= len(text) <= 500 and text.endswith(".") and text.isprintable(), answer
    assert not [w for w in ("Traceback", "Error", "NoneType", "object at", "/tmp/", "<b>", "<img") if w in text], answer


@pytest.mark.parametrize("name, changes", WRONG, ids=[f"{name}-{str(changes)[:60]}" for name, changes in WRONG])
def test_a_wrong_value(server, public, files, name, changes):
    start = time.monotonic()
    worked, answer = paint(server, public, files, name, changes)
    assert not worked, answer
    check_sentence(answer)
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("data", [None, [], [None], {}, "photo.jpg", 5, True, [[]], {"content": None}, [{}], [None] * 4],
                         ids=str)
def test_wrong_lists_of_values(server, public, name, data):
    worked, answer = raw_http.call(server, public[name][0], data)
    assert not worked
    if "detail" not in answer:  # of Gradio's own about the form of a request
        check_sentence(answer)


@pytest.mark.parametrize("name", SMALL)
def test_too_many_values(server, public, files, name):
    endpoint, parameters = public[name]
    photo = {"path": files["text.jpg"]} | META
    worked, answer = raw_http.call(server, endpoint, [photo, photo if name != "fixed" else None] + [None] * 500)
    assert not worked
    check_sentence(answer)


def test_photographs_in_a_row_of_which_one_is_none(server, public, files):
    """The private endpoint of several photographs: the wrong ones are left out, no file at all is a sentence."""
    batch = next(e for e in raw_http.endpoints(server) if e[2][:2] == ["file", "dropdown"])
    for wrong in (None, [], "photo.jpg", {}, [5], [None], [{"path": "/etc/hostname"} | META]):
        worked, answer = raw_http.call(server, batch, [wrong, None, 1, 128])
        assert not worked
        check_sentence(answer)
    some = [{"path": files[name]} | META for name in ("text.jpg", "photo.jpg", "huge.png")]
    worked, answer = raw_http.call(server, batch, [some, None, 1, 128])
    assert worked, answer


@pytest.mark.parametrize("name", MANY)
def test_of_many_frames_the_first_is_painted_at_once(server, public, files, name):
    start = time.monotonic()
    worked, answer = paint(server, public, files, "fixed", {"content": Upload(name)})
    assert worked, answer
    assert time.monotonic() - start < SECONDS


def text_bomb(path):
    """A PNG whose comment unpacks to 500 MB."""
    comment = zlib.compress(b"a" * 500_000_000, 1)
    data = b"comment\0\0" + comment
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    Image.new("RGB", (64, 64)).save(path)
    png = path.read_bytes()
    path.write_bytes(png[:33] + chunk + png[33:])


def test_a_comment_that_unpacks_to_much_does_no_harm(server, public, files, tmp_path):
    text_bomb(tmp_path / "bomb.png")
    files["bomb.png"] = raw_http.upload(server, tmp_path / "bomb.png")
    before = Path(f"/proc/{server.process}/status").read_text()
    start = time.monotonic()
    worked, answer = paint(server, public, files, "fixed", {"content": Upload("bomb.png")})
    if not worked:
        check_sentence(answer)
    after = Path(f"/proc/{server.process}/status").read_text()
    peaks = [int(re.search(r"VmHWM:\s+(\d+)", text)[1]) for text in (before, after)]
    assert time.monotonic() - start < SECONDS and peaks[1] - peaks[0] < 200_000  # kB


def test_after_all_of_it_the_log_is_clean(server):
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("way", ["queue/join", "call/fixed", "run/fixed", "call/nonono", "run/nonono", "queue/data", "nonono"])
@pytest.mark.parametrize("body", [None, [], {}, "text", 5, {"data": None}, {"data": [], "fn_index": "x"},
                                  {"data": [], "fn_index": 10 ** 6}, {"data": [], "fn_index": -1},
                                  {"data": [], "fn_index": 0, "session_hash": 5}, {"data": [], "trigger_id": "x"},
                                  {"data": {"a": 1}}, b"", b"{", b"\xff\xfe", b"[" * 50_000], ids=lambda body: str(body)[:40])
def test_requests_that_are_none(server, way, body):
    """What is no call at all Gradio refuses with a status of its own (500 for functions that there are not); nothing breaks."""
    start = time.monotonic()
    request = raw_http.urllib.request.Request(
        f"{server.url}gradio_api/{way}", body if isinstance(body, bytes) else json.dumps(body).encode(),
        {"Content-Type": "application/json"}, method="POST")
    try:
        with raw_http.urllib.request.urlopen(request, timeout=10) as answer:
            assert "event_id" in json.load(answer)  # in line, where the sentence comes
    except urllib.error.HTTPError as error:
        assert 400 <= error.code <= 500 and "Traceback" not in error.read().decode(), error.code
    assert time.monotonic() - start < SECONDS
