"""The app on ZeroGPU, by a stand-in for its package: other processes compute, and nothing but data passes between them."""

import json
import time
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.app.app_server import ROOT, running
from tests.test_video import bars, film, read

PHOTO, STYLE = (next((ROOT / f"examples/{kind}").glob("*.jpg")) for kind in ("photos", "styles"))


@pytest.fixture(scope="module")
def server(weights, tmp_path_factory):
    temp = tmp_path_factory.mktemp("zero")
    variables = dict(PYTHONPATH=str(Path(__file__).with_name("zero_gpu")), ZERO_GPU_LOG=str(temp / "gpu.txt"))
    with running(weights, temp, **variables) as server:
        server.gpu = temp / "gpu.txt"
        yield server


@pytest.fixture
def client(server, tmp_path):
    return Client(server.url, verbose=False, download_files=tmp_path)


def calls(server):
    """[[function, seconds asked for, process]] of the calls so far, all of which have ended."""
    lines = [json.loads(line) for line in server.gpu.read_text().splitlines()]
    begun, ended = [line for line in lines if line[0] != "ended"], {line[2] for line in lines if line[0] == "ended"}
    assert {line[2] for line in begun} == ended
    return begun


@pytest.mark.parametrize("name, options, least, most", [
    ("arbitrary", {}, 5, 10), ("arbitrary", {"method": "adain", "size": 2048}, 5, 15), ("fixed", {}, 5, 10),
    ("gatys", {"size": 128, "iterations": 40}, 15, 25)])
def test_a_picture_is_painted_in_another_process(server, client, name, options, least, most):
    before = len(calls(server)) if server.gpu.exists() else 0
    given = (handle_file(PHOTO), handle_file(STYLE))[:1 if name == "fixed" else 2]
    path = client.predict(*given, api_name=f"/{name}", **options)[0]
    with Image.open(path) as image:
        assert max(image.size) == options.get("size", 768)
    call, = calls(server)[before:]
    assert least <= call[1] <= most and isinstance(call[1], int), call
    assert not server.jobs()


def test_a_film_is_painted_in_another_process(server, client, tmp_path):
    before = len(calls(server)) if server.gpu.exists() else 0
    path = film(tmp_path / "bars.mp4", [bars(shift=3 * number) for number in range(8)])
    assert len(read(client.predict(handle_file(path), style="udnie", api_name="/film")[0])[0]) == 8
    call, = calls(server)[before:]
    assert 15 <= call[1] <= 30, call
    assert not server.jobs()


def test_an_error_comes_back_as_its_sentence(server, client, tmp_path):
    Image.new("RGB", (2000, 1)).save(tmp_path / "strip.png")
    with pytest.raises(AppError, match="too small"):
        client.predict(handle_file(tmp_path / "strip.png"), handle_file(STYLE), size=128, api_name="/arbitrary")
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("name, options, words", [("gatys", {"iterations": 1000}, "Iteration"),
                                                  ("arbitrary", {"size": 2048}, "Painting")])
def test_who_stops_gives_the_gpu_back(server, client, name, options, words):
    job = client.submit(handle_file(PHOTO), handle_file(STYLE), api_name=f"/{name}", **options)
    while not any(words in str(output) for output in job.outputs()):
        assert not job.done(), job.exception()
        time.sleep(0.05)
    start = time.monotonic()
    job.cancel()
    while server.gpu.read_text().count("ended") * 2 < len(server.gpu.read_text().splitlines()):
        assert time.monotonic() - start < 5, "the process goes on"
        time.sleep(0.05)
    print(f"{name}: the process has ended after {time.monotonic() - start:.2f} s")
    calls(server)
