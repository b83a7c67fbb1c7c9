"""Many visitors at the same moment: all are served in turn, or told at once that too many wait."""

import json
import secrets
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tests.app import raw_http
from tests.app.app_server import ROOT

META = {"meta": {"_type": "gradio.FileData"}}
VISITORS = 20


@pytest.fixture(scope="module")
def endpoints(server):
    return {e[1]: e for e in raw_http.endpoints(server)}


@pytest.fixture(scope="module")
def photos(server, tmp_path_factory):
    """One for each visitor."""
    folder, random = tmp_path_factory.mktemp("crowd"), np.random.default_rng(0)
    with Image.open(next((ROOT / "examples/photos").glob("*.jpg"))) as image:
        image = image.convert("RGB")
    files = []
    for number in range(VISITORS):
        image.paste(tuple(int(v) for v in random.integers(0, 256, 3)), (0, 0, 100, 100))  # to be seen in the result
        image.save(folder / f"{number}.png")
        files.append({"path": raw_http.upload(server, folder / f"{number}.png")} | META)
    return files


def data(endpoints, server, name, photo, **options):
    info = raw_http.get(f"{server.url}gradio_api/info")["named_endpoints"][f"/{name}"]["parameters"]
    given = {"content": photo, "style": None if name == "fixed" else photo} | options
    return [given.get(parameter["parameter_name"]) for parameter in info]


def test_all_who_press_at_once_are_served(server, endpoints, photos):
    names = ["fixed", "arbitrary", "fixed", "gatys"]
    options = {"gatys": {"iterations": 10}}
    calls = [(endpoints[name], data(endpoints, server, name, photo, size=256, **options.get(name, {})))
             for photo, name in zip(photos, names * VISITORS)]
    start = time.monotonic()
    with ThreadPoolExecutor(VISITORS) as pool:
        answers = list(pool.map(lambda call: raw_http.call(server, *call, timeout=120), calls))
    print(f"{VISITORS} visitors: all served after {time.monotonic() - start:.1f} s")
    assert all(worked for worked, _ in answers), [answer for worked, answer in answers if not worked][:2]
    paths = [answer["data"][0] for _, answer in answers]
    assert len({json.dumps(path) for path in paths}) == VISITORS  # each one's own
    assert not server.jobs() and "Traceback" not in server.log.read_text()


def test_who_comes_when_too_many_wait_is_told_at_once(server, endpoints, photos):
    """More calls than may be under way and wait: the rest is refused with a sentence, and later all goes on."""
    endpoint = endpoints["gatys"]
    body = {"data": data(endpoints, server, "gatys", photos[0], size=256, iterations=1000), "fn_index": endpoint[0]}
    sessions, refused = [], []
    for _ in range(60):
        session = secrets.token_hex(8)
        try:
            raw_http._open(f"{server.url}gradio_api/queue/join", body | {"session_hash": session}).close()
            sessions.append(session)
        except urllib.error.HTTPError as error:
            assert error.code == 503
            refused.append(json.load(error)["detail"])
    assert len(sessions) >= 20 and refused
    assert set(refused) == {"Too many pictures are waiting: try again in a minute."}
    for session in sessions:  # all of them leave
        stream = raw_http._open(f"{server.url}gradio_api/queue/data?session_hash={session}")
        stream.readline()
        stream.close()
    start = time.monotonic()
    while server.jobs():
        assert time.monotonic() - start < 30
        time.sleep(0.1)
    worked, answer = raw_http.call(server, endpoints["fixed"], data(endpoints, server, "fixed", photos[1], size=256))
    assert worked, answer
