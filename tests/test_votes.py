"""Blind votes: files that survive whatever happens to them, counts, and the two formulas against tables and SciPy."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from style_transfer import votes
from style_transfer.errors import InputError
from style_transfer.votes import Duel, Vote

VOTE = Vote("ann", "lake__waves", "adain", "wct", "left")


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "votes.jsonl"
    assert votes.read(path) == ([], 0)
    others = [VOTE._replace(viewer="Bé 神"), VOTE._replace(picture="cat__waves", vote="equal")]
    votes.append(path, [VOTE])
    votes.append(path, others)
    assert votes.read(path) == ([VOTE, *others], 0)
    assert json.loads(path.read_text().splitlines()[0]) == VOTE._asdict()


def test_a_line_that_was_cut_off_costs_that_line_alone(tmp_path):
    path = tmp_path / "votes.jsonl"
    votes.append(path, [VOTE, VOTE._replace(picture="b")])
    path.write_bytes(path.read_bytes()[:-20])
    assert votes.read(path) == ([VOTE], 1)
    votes.append(path, [VOTE._replace(picture="c")])
    assert votes.read(path) == ([VOTE, VOTE._replace(picture="c")], 1)


def test_a_viewer_has_one_vote_a_pair_whichever_side(tmp_path):
    path = tmp_path / "votes.jsonl"
    votes.append(path, [VOTE, VOTE._replace(left="wct", right="adain"), VOTE._replace(viewer="bob")])
    assert votes.read(path) == ([VOTE, VOTE._replace(viewer="bob")], 1)


@pytest.mark.parametrize("change", [{"vote": "both"}, {"vote": 1}, {"left": "wct"}, {"left": ""}, {"left": None},
                                    {"viewer": "x" * 201}, {"viewer": "a\nb"}, {"left": ["adain"]}, {"more": "x"}])
def test_what_is_no_vote(tmp_path, change):
    wrong = VOTE._asdict() | change
    with pytest.raises(InputError, match="vote"):
        votes.check(wrong)
    path = tmp_path / "votes.jsonl"
    path.write_text("\n".join(["", json.dumps(VOTE._asdict()), json.dumps(wrong), "[" * 100_000, "5", "\0", "nonsense"]))
    assert votes.read(path) == ([VOTE], 5)


def test_what_is_no_vote_is_not_written(tmp_path):
    with pytest.raises(InputError):
        votes.append(tmp_path / "votes.jsonl", [VOTE, VOTE._replace(left="a\nb")])
    assert not (tmp_path / "votes.jsonl").exists()


def test_the_file_has_a_limit(tmp_path):
    path = tmp_path / "votes.jsonl"
    with pytest.raises(InputError, match="full: it may have 0.001 MB"):
        for number in range(100):
            votes.append(path, [VOTE._replace(picture=str(number))], most=1000)
    assert 900 < path.stat().st_size < 1000 and votes.read(path)[1] == 0


def test_places_that_cannot_be_written_or_read(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "votes.jsonl"):
        with pytest.raises(InputError, match="cannot be written"):
            votes.append(path, [VOTE])
    with pytest.raises(InputError, match="cannot be read"):
        votes.read(tmp_path)


def test_many_at_once(tmp_path):
    path = tmp_path / "votes.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: votes.append(path, [VOTE._replace(picture=f"{n}-{k}") for k in range(5)]), range(40)))
    found, left_out = votes.read(path)
    assert len(found) == 200 and left_out == 0


def test_counts():
    cast = [VOTE, VOTE._replace(left="wct", right="adain"), VOTE._replace(vote="right"), VOTE._replace(vote="equal"),
            VOTE._replace(right="gatys", vote="right")]
    assert votes.duels(cast) == [Duel("adain", "gatys", 0, 1, 0), Duel("adain", "wct", 1, 2, 1)]
    assert votes.totals(cast) == {"gatys": (1, 0), "wct": (2, 1), "adain": (1, 3)}
    assert list(votes.totals(cast)) == ["gatys", "wct", "adain"]
    assert votes.duels([]) == [] and votes.totals([]) == {}


@pytest.mark.parametrize("wins, total, low, high", [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
                                                    (1, 29, 0.0061, 0.1718), (29, 29, 0.8830, 1), (0, 0, 0, 1)])
def test_wilson(wins, total, low, high):
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, and both ends."""
    assert votes.wilson(wins, total) == pytest.approx((low, high), abs=6e-5)
    for p in votes.wilson(wins, total):  # where it comes from
        if 1e-9 < p < 1 - 1e-9:
            assert abs(wins / total - p) == pytest.approx(1.959964 * math.sqrt(p * (1 - p) / total), rel=1e-6)


@pytest.mark.parametrize("wins, losses", [(0, 0), (1, 0), (0, 5), (8, 2), (5, 5), (30, 20), (400, 330)])
def test_sign_test(wins, losses):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1
    assert votes.sign_test(wins, losses) == votes.sign_test(losses, wins) == pytest.approx(expected)
