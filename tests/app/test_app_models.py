"""The tab of models in the running app: what is listed, what is fetched from a Hub, what strangers upload as a network."""

import json
import os
import pickle
import shutil
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import constants

from style_transfer import checkpoints, weights
from style_transfer.errors import InputError
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.multimodal import Multimodal
from style_transfer.ui import models
from tests.app import raw_http
from tests.app.app_server import ROOT, running
from tests.app.conftest import randomize
from tests.hub_server import Blob, Hub

META = {"meta": {"_type": "gradio.FileData"}}
HOSTILE = "<img src=x onerror=alert(1)>${1+1}`"


def johnson(path, **metadata):
    checkpoints.save(path, randomize(Johnson(width=4, blocks=1)), **{"title": path.stem.capitalize()} | metadata)
    return path


def sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return Blob(path=path)


@pytest.fixture(scope="module")
def hub(weights, tmp_path_factory):
    """me/more: a fixed style, a decoder, a network that this version does not know, and one by the name of one that is here;
    me/large: a file that is larger than its index says; me/long: an index that is too long; me/many: too many files.
    """
    folder = tmp_path_factory.mktemp("hub")
    encoder = checkpoints.load(weights / "encoder.safetensors")
    johnson(folder / "more/meadow.safetensors")
    johnson(folder / "more/taken.safetensors", title="Another")
    checkpoints.save(folder / "more/second.safetensors", Decoder(4, encoder.depths, encoder.widths), title="Second",
                     family="adain", encoder=checkpoints.fingerprint(encoder))
    johnson(folder / "more/newer.safetensors", architecture="diffusion", family="diffusion")
    johnson(folder / "large/field.safetensors")
    for name in ("more", "large"):
        checkpoints.write_index(folder / name)
    hub = Hub()
    files = {name: {p.name: Blob(p.read_bytes()) for p in (folder / name).iterdir()} for name in ("more", "large")}
    hub.repo("me/more").commit(files["more"])
    hub.repo("me/large").commit(files["large"] | {"field.safetensors": sparse(folder / "field.bin", 600_000_000)})
    hub.repo("me/long").commit({"index.json": sparse(folder / "long.json", 50_000_000)})
    hub.repo("me/many").commit({f"{n}.txt": Blob(b"") for n in range(models.PULL_FILES * 4 + 2)})
    yield hub
    hub.close()


@pytest.fixture(scope="module")
def server(weights, hub, tmp_path_factory):
    temp = tmp_path_factory.mktemp("models")
    shutil.copytree(weights, temp / "checkpoints")
    johnson(temp / "checkpoints/taken.safetensors")
    with running(temp / "checkpoints", temp, HF_ENDPOINT=hub.url, HF_HUB_DISABLE_XET="1") as server:
        yield server


@pytest.fixture(scope="module")
def endpoints(server):
    """Those of the tab by the types of their inputs, and the public one of fixed styles."""
    found = raw_http.endpoints(server)
    return {"pull": next(e for e in found if e[2] == ["dropdown", "state"]),
            "add": next(e for e in found if e[2] == ["file", "state"]), "fixed": next(e for e in found if e[1] == "fixed")}


@pytest.fixture(scope="module")
def photo(server):
    return {"path": raw_http.upload(server, next((ROOT / "examples/photos").glob("*.jpg")))} | META


@pytest.fixture(autouse=True)
def clean_log(server):
    yield
    assert "Traceback" not in server.log.read_text()


def pull(server, endpoints, name, **options):
    return raw_http.call(server, endpoints["pull"], [name, None], **options)


def add(server, endpoints, path, session=None):
    return raw_http.call(server, endpoints["add"], [{"path": raw_http.upload(server, path)} | META, None], session=session)


def paint(server, endpoints, photo, style, session=None):
    data = [photo, style] + [None] * (len(endpoints["fixed"][2]) - 2)
    data[3] = 128
    return raw_http.call(server, endpoints["fixed"], data, session=session)


def check_sentence(worked, answer, *words):
    assert not worked, answer
    text = answer["error"]
    assert text.endswith(".") and 15 <= len(text) <= 500 and text.isprintable(), answer
    assert not [w for w in ("Traceback", "NoneType", "/tmp/", "<img") if w in text], answer
    assert all(word in text for word in words), answer


def test_the_table_shows_what_headers_say_and_runs_nothing_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    johnson(tmp_path / "a.safetensors", title=HOSTILE, license=HOSTILE, credit=HOSTILE, command=HOSTILE, family=HOSTILE,
            minutes="7.5", steps="900", device="cpu", trained_on="12 photographs", losses='{"content": 0.25}')
    johnson(tmp_path / "b.safetensors", losses='["no dictionary"]', arguments="[" * 5000, minutes=HOSTILE * 200)
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    text = models.table(weights.installed()[0], models.Visit())
    assert "<img" not in text and "&lt;img src=x" in text and len(text) < 20_000
    for words in ("12 photographs", "7.5 minutes on cpu, 900 steps", "content 0.25", "johnson: width 4, blocks 1"):
        assert words in text
    assert text.count("<tbody>") == 2


def test_a_repository_is_fetched_and_used(server, endpoints, hub, photo):
    before = (server.temp / "checkpoints/taken.safetensors").read_bytes()
    worked, _ = paint(server, endpoints, photo, "meadow")
    assert not worked
    worked, answer = pull(server, endpoints, "me/more")
    assert worked and "Meadow" in answer["data"][0] and "Second" in answer["data"][0], answer
    assert "Newer" not in answer["data"][0] and not (server.temp / "checkpoints/newer.safetensors").exists()
    assert (server.temp / "checkpoints/taken.safetensors").read_bytes() == before
    assert {"meadow", "second"} <= {e.name for e in checkpoints.read_index(server.temp / "checkpoints/index.json")}
    worked, answer = paint(server, endpoints, photo, "meadow")
    assert worked, answer
    sent = hub.sent
    worked, answer = pull(server, endpoints, "me/more")
    assert worked and "nothing new" in answer["data"][0] and hub.sent - sent < 10_000


@pytest.mark.parametrize("repo, words", [("me/large", "MB"), ("me/long", "too long"), ("me/many", "files"),
                                         ("me/nobody", "no repository"), ("me/more@v9", "revision")])
def test_what_is_too_large_or_missing_is_refused_before_it_is_fetched(server, endpoints, hub, repo, words):
    sent, files = hub.sent, sorted((server.temp / "checkpoints").iterdir())
    check_sentence(*pull(server, endpoints, repo), words)
    assert hub.sent - sent < 10_000 and sorted((server.temp / "checkpoints").iterdir()) == files


@pytest.mark.parametrize("name", ["", "owner", "../..", "./.", "a/..", "/etc/passwd", "http://127.0.0.1:9/a", "a/b@/etc/passwd",
                                  "a/b@../../x", "a/b@x/../../y", "a/b/c", "<img src=x>/y", "\0/\0", "a" * 5000, "ａ/ｂ",
                                  "a/b?x=1", "a/b@x y", 5, [], {}, True])
def test_names_of_repositories_are_no_addresses(server, endpoints, hub, name):
    asked = len(hub.requests)
    check_sentence(*pull(server, endpoints, name))
    assert len(hub.requests) == asked


@pytest.mark.parametrize("headers", [{"Host": "style.example.org"}, {"X-Forwarded-For": "203.0.113.7"},
                                     {"Forwarded": "for=203.0.113.7"}, {"X-Real-IP": "203.0.113.7"}], ids=lambda h: [*h][0])
def test_visitors_from_elsewhere_fetch_nothing(server, endpoints, hub, headers):
    asked = len(hub.requests)
    check_sentence(*pull(server, endpoints, "me/more", headers=headers), "STYLE_TRANSFER_PULL")
    assert len(hub.requests) == asked


@pytest.mark.parametrize("variables, host, allowed", [
    ({}, "127.0.0.1", True), ({}, "10.0.0.5", False), ({"SPACE_ID": "me/space"}, "127.0.0.1", False),
    ({"SPACE_ID": "me/space", "STYLE_TRANSFER_PULL": "1"}, "10.0.0.5", True),
    ({"STYLE_TRANSFER_PULL": "0"}, "127.0.0.1", False)])
def test_who_may_fetch(monkeypatch, variables, host, allowed):
    for name in ("SPACE_ID", "STYLE_TRANSFER_PULL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    request = SimpleNamespace(client=SimpleNamespace(host=host), headers={"host": "localhost:7860"})
    assert models.may_pull(request) is allowed


def test_what_is_stopped_adds_nothing(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(models, "may_pull", lambda request: True)
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "here")
    (tmp_path / "here").mkdir()
    steps = models.pull("me/more", models.Visit(), None)
    said = [next(steps)[0] for _ in range(3)]
    assert "Asking" in said[0] and "1 of 4" in said[1] and "2 of 4" in said[2]
    steps.close()
    assert list((tmp_path / "here").iterdir()) == []


def test_a_full_disk_is_noticed(monkeypatch):
    monkeypatch.setattr(models.shutil, "disk_usage", lambda _: SimpleNamespace(free=models.SPARE_BYTES + 1_000_000))
    item = checkpoints.Entry("a", "A", "johnson", "a.safetensors", "", 1)
    models._measured("me/more", "", [item], {"a.safetensors": 400_000})
    with pytest.raises(InputError, match="too little room"):
        models._measured("me/more", "", [item], {"a.safetensors": 600_000})


def test_an_upload_belongs_to_its_visit(server, endpoints, photo, tmp_path):
    path = johnson(tmp_path / "mine.safetensors", title=HOSTILE)
    worked, answer = add(server, endpoints, path, session="visitor1")
    assert worked and "<img" not in answer["data"][2] and "works" in answer["data"][2], answer
    worked, answer = paint(server, endpoints, photo, "yours/mine", session="visitor1")
    assert worked and "128" in answer["data"][2] and "<img" not in answer["data"][2], answer
    check_sentence(*paint(server, endpoints, photo, "yours/mine", session="visitor2"), "no weights by the name")
    worked, answer = paint(server, endpoints, photo, raw_http.upload(server, path))  # a path is no name
    assert not worked and "no weights by the name" in answer["error"]
    assert not (server.temp / "checkpoints/mine.safetensors").exists()


def test_an_upload_that_has_gone_gets_a_sentence(tmp_path):
    visit = models.Visit({"yours/gone": str(tmp_path / "gone.safetensors")})
    assert models.own_choices(visit) == [] and "gone" not in models.table([], visit)
    with pytest.raises(InputError, match="upload it again"):
        models.named("yours/gone", visit)


def test_of_many_uploads_the_last_ones_stay(tmp_path):
    visit = models.Visit()
    for number in range(models.OWN_COUNT + 2):
        _, visit, _ = models.add(str(johnson(tmp_path / f"{number}.safetensors")), visit)
    assert list(visit.own) == [f"yours/{n}" for n in range(2, models.OWN_COUNT + 2)]


class Trap:
    """What a pickle could do to whoever opens it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def header(path, **change):
    """A copy of a good file with another header."""
    good = path.read_bytes()
    length = struct.unpack("<Q", good[:8])[0]
    found = json.loads(good[8:8 + length])
    found["__metadata__"] |= change
    text = json.dumps(found).encode()
    return struct.pack("<Q", len(text)) + text + good[8 + length:]


def wrong_files(folder, sprung):
    """{name: (content, words of the sentence)} of files that are no fixed style."""
    good = johnson(folder / "good.safetensors")
    network = Johnson(width=4, blocks=1)
    with torch.no_grad():
        network.last.weight.fill_(torch.nan)
    checkpoints.save(folder / "nan.safetensors", network)
    network = randomize(Johnson(width=4, blocks=1))
    with torch.no_grad():
        network.last.weight.fill_(3e38)
        network.last.weight[:, ::2] *= -1  # infinite minus infinite
    checkpoints.save(folder / "infinite.safetensors", network, torch.float)
    checkpoints.save(folder / "decoder.safetensors", Decoder(1, [1, 1], [4, 4]), encoder="0" * 16)
    checkpoints.save(folder / "large.safetensors", Multimodal((16, 16, 16)), torch.float)
    trap = pickle.dumps(Trap(sprung))
    return {
        "trap.pth": (trap, "may hold programs"), "trap.pt": (trap, "may hold programs"), "trap.safetensors": (trap, "damaged"),
        "empty.safetensors": (b"", "damaged"), "cut.safetensors": (good.read_bytes()[:-100], "damaged"),
        "length.safetensors": (b"\xff" * 8 + b"{}", "damaged"), "brackets.safetensors": (
            struct.pack("<Q", 50_000) + b"[" * 50_000, "damaged"),
        "other.safetensors": (header(good, format="elsewhere"), "another program"),
        "newer.safetensors": (header(good, architecture="diffusion"), "does not have"),
        "wide.safetensors": (header(good, arguments='{"width": 1024, "blocks": 64}'), "does not fit"),
        "huge.safetensors": (header(good, arguments='{"width": 99999999}'), "does not fit"),
        "deep.safetensors": (header(good, arguments="[" * 4000), "does not fit"),
        "strange.safetensors": (header(good, arguments='{"__class__": 1}'), "does not fit"),
        "<img src=x>.safetensors": (b"no weights", "damaged"),
        "nan.safetensors": ((folder / "nan.safetensors").read_bytes(), "not finite"),
        "infinite.safetensors": ((folder / "infinite.safetensors").read_bytes(), "not numbers"),
        "decoder.safetensors": ((folder / "decoder.safetensors").read_bytes(), "no network of a fixed style"),
        "large.safetensors": ((folder / "large.safetensors").read_bytes(), "larger than"),
    }


def test_hostile_uploads_get_a_sentence_and_run_nothing(server, endpoints, photo, tmp_path):
    (tmp_path / "made").mkdir()
    for name, (content, words) in wrong_files(tmp_path / "made", tmp_path / "sprung").items():
        (tmp_path / name).write_bytes(content)
        check_sentence(*add(server, endpoints, tmp_path / name, session="hostile"), words)
        check_sentence(*paint(server, endpoints, photo, f"yours/{Path(name).stem}", session="hostile"), "no weights")
    assert not (tmp_path / "sprung").exists()


def test_nothing_of_it_is_public(server):
    named = raw_http.get(f"{server.url}gradio_api/info")["named_endpoints"]
    assert not [name for name in named if "pull" in name or "add" in name or "list" in name]
