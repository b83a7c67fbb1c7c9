"""The blind page: nothing tells whose picture it is, no vote is lost, none is asked twice, and the report counts."""

import io
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from starlette.testclient import TestClient

import style_transfer as st
from benchmarks import blind
from style_transfer import votes
from style_transfer.errors import InputError
from style_transfer.votes import Vote

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("secret-a", "secret-b", "secret-c")
VIEWER = "Ann"


@pytest.fixture
def folders(tmp_path, photo, painting, painting_2):
    """Two photographs, two styles, and three ways of painting them, of different sizes and kinds of file, one incomplete."""
    for name in ("contents", "styles", *NAMES):
        (tmp_path / name).mkdir()
    for stem, image in (("lake", photo), ("cat", photo.flip(3))):
        st.save(image, tmp_path / "contents" / f"{stem}.png")
        for number, (name, style) in enumerate((("one", painting), ("two", painting_2))):
            st.save(style, tmp_path / "styles" / f"{name}.png")
            mixed = (image + st.images.resize(style, image.shape[2:])) / 2
            st.save(mixed, tmp_path / NAMES[0] / f"{stem}__{name}.png", settings={"app": "style-transfer", "method": "secret"})
            st.save(st.images.resize(mixed, 120) * 0.9, tmp_path / NAMES[1] / f"{stem}__{name}.jpg")
            if number:
                st.save(st.images.resize(mixed, 200) * 0.8, tmp_path / NAMES[2] / f"{stem}__{name}.png")
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "secret-a")
    with Image.open(tmp_path / NAMES[0] / "lake__one.png") as image:
        image.save(tmp_path / NAMES[0] / "lake__one.png", pnginfo=info)
    return tmp_path


def ballot(folders, names=NAMES):
    found = blind.ways([folders / name for name in names], folders / "contents", folders / "styles")
    return blind.Ballot(found, folders / "contents", folders / "styles", folders / "votes.jsonl")


def client_of(ballot):
    return TestClient(blind.application(ballot), base_url="http://127.0.0.1")


def all_votes(client, viewer=VIEWER, most=100, choice="left"):
    """Vote until there is nothing more: the answers of the page."""
    said = [client.get("/ask", params={"viewer": viewer}).json()]
    while "question" in said[-1] and len(said) <= most:
        answer = client.post("/vote", json={"viewer": viewer, "question": said[-1]["question"], "vote": choice})
        assert answer.status_code == 200
        said.append(answer.json())
    return said


def test_every_pair_is_asked_once(folders):
    found = ballot(folders, NAMES[:2])
    assert len(found.questions) == 4
    said = all_votes(client_of(found))
    assert [s["done"] for s in said] == [0, 1, 2, 3, 4] and said[-1] == {"done": 4, "total": 4}
    cast, left_out = votes.read(folders / "votes.jsonl")
    assert left_out == 0 and {vote.picture for vote in cast} == {"cat__one", "cat__two", "lake__one", "lake__two"}
    assert all({vote.left, vote.right} == set(NAMES[:2]) and vote.vote == "left" for vote in cast)
    assert all_votes(client_of(found), "Bob")[-1]["done"] == 4


def test_pictures_in_all_folders_are_compared_pair_by_pair(folders):
    assert len(ballot(folders).questions) == 2 * 3  # those that all three have
    with pytest.raises(InputError, match="At least two"):
        ballot(folders, NAMES[:1])
    for path in (folders / NAMES[0]).iterdir():
        path.rename(path.with_name(f"other-{path.name}"))
    with pytest.raises(InputError, match="No two"):
        ballot(folders, NAMES[:2])


def test_nothing_tells_whose_picture_it_is(folders):
    client = client_of(ballot(folders, NAMES[:2]))
    pages = [client.get("/")]
    for _ in range(4):
        answer = client.get("/ask", params={"viewer": VIEWER})
        said = answer.json()
        assert set(said) == {"done", "total", "question", "left", "right", "content", "styles"}
        shown = [client.get(f"/picture/{said[side]}") for side in ("left", "right", "content")]
        formats = []
        for picture in shown:
            with Image.open(io.BytesIO(picture.content)) as image:
                formats.append((image.format, image.size, image.mode, dict(image.info)))
        assert formats == formats[:1] * 3 and formats[0][0] == "PNG" and not formats[0][3], "scaled to one size, and bare"
        assert max(formats[0][1]) == 120  # of the smaller result
        assert len({tuple(sorted(set(picture.headers) - {"content-length"})) for picture in shown}) == 1
        pages += [answer, *shown]
        client.post("/vote", json={"viewer": VIEWER, "question": said["question"], "vote": "equal"})
    for page in pages:
        everything = f"{page.headers}".encode() + page.content
        assert not [word for word in (b"secret", b"lake", b"cat_", b"one.", b"style-transfer") if word in everything]


def test_sides_and_order_are_random(folders):
    found = ballot(folders, NAMES[:2])
    asked = [found.open[found.ask(VIEWER)["question"]][0] for _ in range(80)]
    assert 15 < sum(vote.left == NAMES[0] for vote in asked) < 65
    assert len({vote.picture for vote in asked}) == 4


def test_resuming_goes_on_where_it_stopped(folders):
    all_votes(client_of(ballot(folders, NAMES[:2])), most=3)
    path = folders / "votes.jsonl"
    assert len(votes.read(path)[0]) == 3
    path.write_bytes(path.read_bytes()[:-10])  # killed in the middle of a line
    found = ballot(folders, NAMES[:2])
    assert found.ask(VIEWER)["done"] == 2
    all_votes(client_of(found))
    cast, left_out = votes.read(path)
    assert len(cast) == 4 and left_out == 1


def test_votes_on_what_is_not_asked_change_nothing(folders):
    found = ballot(folders, NAMES[:2])
    client = client_of(found)
    said = client.get("/ask", params={"viewer": VIEWER}).json()
    other = client.get("/ask", params={"viewer": VIEWER}).json()
    for viewer, question in ((VIEWER, "nonsense"), ("Bob", said["question"])):
        answer = client.post("/vote", json={"viewer": viewer, "question": question, "vote": "left"})
        assert answer.status_code == 200 and answer.json()["done"] == 0
    for body in ({"viewer": VIEWER, "question": said["question"], "vote": "both"}, {"viewer": VIEWER}, [], "x",
                 {"viewer": "\n", "question": "a", "vote": "left"}, {"viewer": 5, "question": "a", "vote": "left"}):
        answer = client.post("/vote", json=body)
        assert answer.status_code == 400 and answer.json()["error"].endswith(".")
    assert not (folders / "votes.jsonl").exists()
    for _ in range(2):  # a double click
        client.post("/vote", json={"viewer": VIEWER, "question": said["question"], "vote": "right"})
    assert len((folders / "votes.jsonl").read_text().splitlines()) == 1
    for token in (said["left"], "..%2fsecret-a%2flake__one.png", "nonsense"):
        assert client.get(f"/picture/{token}").status_code == 404
    assert client.get(f"/picture/{other['left']}").status_code == 200
    assert client.get("/", headers={"host": "example.com"}).status_code == 400


def test_pairs_that_nobody_answers_are_forgotten(folders):
    found = ballot(folders, NAMES[:2])
    for _ in range(blind.MOST_OPEN + 50):
        found.ask(VIEWER)
    assert len(found.open) == blind.MOST_OPEN and len(found.files) == 4 * blind.MOST_OPEN


def test_methods_are_painted_for_the_pictures_of_the_folders(folders, monkeypatch):
    monkeypatch.setattr(blind.pairs, "SIZE", 64)
    arguments = folders / "contents", folders / "styles", folders / "runs"
    found = blind.ways([folders / NAMES[2], "adain-0.5", "unchanged"], *arguments, progress=lambda text: None)
    assert list(found) == [NAMES[2], "adain-0.5", "unchanged"]
    assert {frozenset(of) for of in found.values()} == {frozenset({"lake__two", "cat__two"})}
    alone = blind.ways(["unchanged", "adain-1"], *arguments, sample=3, progress=lambda text: None)
    assert len(alone["unchanged"]) == 3 and alone["unchanged"].keys() == alone["adain-1"].keys()
    with pytest.raises(InputError, match="no folder and no method"):
        blind.ways(["adain-7", "wct"], *arguments)


@pytest.mark.parametrize("name, found", [("adain", ("adain", 1.0)), ("wct-0.6", ("wct", 0.6)), ("gatys", ("gatys", 1.0)),
                                         ("wct-1.5", None), ("magic", None), ("reference", None)])
def test_names_of_methods(name, found):
    assert blind.method(name) == found


def test_report():
    cast = [Vote("ann", str(n), "a", "b", "left" if n < 8 else "right") for n in range(10)]
    cast += [Vote("bob", "0", "b", "a", "equal"), Vote("bob", "1", "a", "c", "equal")]
    lines = blind.report(cast, 2)
    assert lines[0].startswith("votes: 12, viewers: 2, pictures: 10;") and lines[1].endswith(": 2")
    assert "a over b: 8 of 10, 80% (49% to 94%), 1 equal, sign test p = 0.11" in lines
    assert "a over c: no vote decides, 1 equal, sign test p = 1" in lines
    assert lines[-3:] == ["a over all others: 8 of 10, 80% (49% to 94%)", "b over all others: 2 of 10, 20% (6% to 51%)",
                          "c over all others: no vote decides"]
    assert blind.report([])[0].startswith("votes: 0,")


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "benchmarks.blind", *map(str, arguments)], cwd=ROOT, capture_output=True,
                          text=True)


def test_command(folders):
    """Killed between two votes, nothing is lost."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    arguments = ["show", folders / NAMES[0], folders / NAMES[1], "--contents", folders / "contents", "--styles",
                 folders / "styles", "--votes", folders / "votes.jsonl", "--port", port]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.blind", *map(str, arguments)], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE)
    try:
        assert url in process.stdout.readline()
        for _ in range(100):
            try:
                said = json.load(urllib.request.urlopen(f"{url}/ask?viewer=Ann", timeout=10))
                break
            except OSError:
                time.sleep(0.1)
        body = json.dumps({"viewer": "Ann", "question": said["question"], "vote": "right"}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{url}/vote", body), timeout=10).close()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    done = run("report", folders / "votes.jsonl")
    assert done.returncode == 0 and "votes: 1, viewers: 1, pictures: 1;" in done.stdout and " of 1, " in done.stdout
    done = run("report", folders / "nothing.jsonl")
    assert done.returncode == 2 and "nothing.jsonl" in done.stderr
    done = run(*arguments[:-4], "--votes", folders / "none" / "votes.jsonl")
    assert done.returncode == 1 and "cannot be written" in done.stderr and "Traceback" not in done.stderr
