"""Blind votes of the Compare tab: what is drawn, counted, revealed and sent, and what strangers can do to it."""

import io
import json

import pytest
import torch
from PIL import Image

from style_transfer import votes
from style_transfer.compare import Result
from style_transfer.errors import InputError
from style_transfer.ui import voting
from style_transfer.votes import Vote
from tests.app import raw_http
from tests.app.app_server import ROOT, running

META = {"meta": {"_type": "gradio.FileData"}}
TITLES = ["AdaIN, strength 0.6", "WCT, strength 1", "Gatys, 60 steps"]


@pytest.fixture
def painted():
    found = voting.Painted()
    for number, title in enumerate(TITLES):
        picture = torch.full((1, 3, 600, 900), number / 4)
        found = voting.paint(found, Result("adain", title, picture, 1.0, None, 0.5, 0.5))
    return found


def vote_on_all(painted, visit, choice="left"):
    while drawn := voting.draw(painted, visit):
        visit = voting.cast(visit, drawn[0], choice)
    return visit


def test_what_is_kept_for_votes(painted):
    assert [title for title, _ in painted.pictures] == TITLES and len(painted.name) == 16
    for number, (_, data) in enumerate(painted.pictures):
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (768, 512) and abs(image.getpixel((9, 9))[0] - 255 * number / 4) < 3


def test_each_pair_is_drawn_once_on_random_sides(painted):
    visit = vote_on_all(painted, voting.Visit())
    assert {frozenset((vote.left, vote.right)) for vote in visit.cast} == {
        frozenset(pair) for pair in ((TITLES[0], TITLES[1]), (TITLES[0], TITLES[2]), (TITLES[1], TITLES[2]))}
    assert len(visit.cast) == 3 and len({vote.viewer for vote in visit.cast}) == 1
    another = painted._replace(name="another")  # the same again, or other pictures
    assert len(vote_on_all(another, visit).cast) == 6
    sides = [voting.draw(painted, voting.Visit())[0].left == TITLES[0] for _ in range(60)]
    assert 5 < sum(sides) < 55
    assert voting.draw(voting.Painted(), voting.Visit()) is None


def test_the_pictures_are_those_of_the_question(painted):
    question, *pictures = voting.draw(painted, voting.Visit())
    for title, picture in zip((question.left, question.right), pictures):
        assert abs(picture.getpixel((9, 9))[0] - 255 * TITLES.index(title) / 4) < 3


def test_a_visit_has_a_number_of_votes(painted):
    question = voting.draw(painted, voting.Visit())[0]
    visit = voting.Visit("ann", (question,) * (voting.MOST - 1))
    visit = voting.cast(visit, question, "left")
    with pytest.raises(InputError, match="200 times"):
        voting.cast(visit, question, "left")


def test_names_and_counts_are_told():
    vote = Vote("ann", "1", "AdaIN, strength 1", "Fixed style: <b>", "left")
    assert "prefer <b>AdaIN, strength 1</b> on the left" in voting.revealed(vote) and "&lt;b&gt;" in voting.revealed(vote)
    assert "<b>Fixed style: &lt;b&gt;</b> on the right" in voting.revealed(vote._replace(vote="right"))
    assert voting.revealed(vote._replace(vote="equal")).startswith("Equal")
    table = voting.table(voting.Visit("ann", (vote, vote._replace(picture="2", vote="equal"))))
    assert "Your votes of this visit: 2, 1 of them equal" in table
    assert "1 of 1</td><td>100%" in table and "0 of 1</td><td>0%" in table
    assert "&lt;b&gt;" in table and "<b>" not in table


def test_sending(painted, tmp_path, monkeypatch):
    path = tmp_path / "votes.jsonl"
    monkeypatch.setenv("STYLE_TRANSFER_VOTES", str(path))
    visit = voting.send(vote_on_all(painted, voting.Visit()))
    assert votes.read(path) == (list(visit.cast), 0)
    with pytest.raises(InputError, match="no new vote"):
        voting.send(visit)
    visit = voting.send(vote_on_all(painted._replace(name="another"), visit))
    assert votes.read(path) == (list(visit.cast), 0) and visit.sent == 6


@pytest.mark.parametrize("change", [{"left": "Magic"}, {"right": "../../etc"}, {"vote": "both"}, {"left": "AdaIN\n"},
                                    {"left": "AdaIN" * 100}, {"viewer": ""}, {"right": "WCT"}])
def test_what_is_no_vote_is_not_sent(tmp_path, monkeypatch, change):
    path = tmp_path / "votes.jsonl"
    monkeypatch.setenv("STYLE_TRANSFER_VOTES", str(path))
    good = Vote("ann", "1", "AdaIN", "WCT", "left")
    with pytest.raises(InputError):
        voting.send(voting.Visit("ann", (good, good._replace(picture="2", **({"left": "WCT"} | change)))))
    assert not path.exists()


def test_the_file_has_a_limit_and_its_place_is_not_told(painted, tmp_path, monkeypatch, caplog):
    visit = vote_on_all(painted, voting.Visit())
    monkeypatch.setattr(voting, "MOST_BYTES", 100)
    for path in (tmp_path / "votes.jsonl", tmp_path, tmp_path / "none" / "votes.jsonl"):
        monkeypatch.setenv("STYLE_TRANSFER_VOTES", str(path))
        with pytest.raises(InputError) as caught:
            voting.send(visit)
        assert str(tmp_path) not in str(caught.value) and "cannot be taken" in str(caught.value)
    assert "is full" in caplog.text and "none/votes.jsonl cannot be written" in caplog.text


@pytest.fixture(scope="module")
def voting_server(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("voting")
    with running(weights, folder, STYLE_TRANSFER_VOTES=str(folder / "votes.jsonl")) as server:
        server.votes = folder / "votes.jsonl"
        yield server


def of_votes(server):
    """The private endpoints by name, which take nothing but the visit's state: ask; vote left, right and equal; give."""
    found = {}
    for endpoint in raw_http.endpoints(server):
        if set(endpoint[2]) == {"state"}:
            found.setdefault(endpoint[1].rstrip("_0123456789"), []).append(endpoint)
    return found


def test_a_visit_votes_and_sends(voting_server):
    """What a browser sends in place of the visit's own state is of no account."""
    server, found = voting_server, of_votes(voting_server)
    assert len(found["ask"]) == 2 and len(found["vote"]) == 3 and len(found["give"]) == 1
    photo = {"path": raw_http.upload(server, ROOT / "examples/photos/cat.jpg")} | META
    forged = {"viewer": "x", "picture": "x", "left": "Magic", "right": "WCT", "vote": "left"}

    def call(endpoint, session, values=None):
        return raw_http.call(server, endpoint, values or [None] * len(endpoint[2]), session=session, timeout=120)

    worked, answer = call(found["give"][0], "stranger", [{"cast": [forged]}])
    assert not worked and "no new vote" in answer["error"]
    worked, answer = call(found["vote"][0], "stranger", [forged, None, None])
    assert worked and "Magic" not in json.dumps(answer)
    compare = next(e for e in raw_http.endpoints(server) if e[1] == "compare")
    worked, answer = call(compare, "visit", [photo, photo, ["adain"], [0.6, 1.0], None, 10, 128])
    assert worked, answer
    worked, answer = call(found["ask"][0], "visit")
    assert worked and "strength" not in json.dumps(answer["data"])
    worked, answer = call(found["vote"][2], "visit")
    assert worked and "Equal for you: AdaIN, strength" in json.dumps(answer["data"])
    call(found["vote"][2], "visit")  # a click twice
    worked, answer = call(found["give"][0], "visit")
    assert worked and "from you: 1." in json.dumps(answer["data"])
    worked, answer = call(found["give"][0], "visit")
    assert not worked
    (vote,), left_out = votes.read(server.votes)
    assert vote.vote == "equal" and left_out == 0 and {vote.left, vote.right} == {"AdaIN, strength 0.6", "AdaIN, strength 1"}
    assert "Traceback" not in server.log.read_text()
