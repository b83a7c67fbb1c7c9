"""Two kinds of work beside each other: a fixed style in a moment while Gatys paints for minutes, and who waits is told."""

import statistics
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from gradio_client import Client, handle_file

from style_transfer import progress
from style_transfer.errors import InputError
from style_transfer.ui import steps, turns
from tests.app import raw_http
from tests.app.app_server import ROOT

PHOTO, STYLE = (str(next((ROOT / f"examples/{kind}").glob("*.jpg"))) for kind in ("photos", "styles"))


def wait_for(job, words, seconds=60):
    """The first status of a Gatys job that has these words in it."""
    start = time.monotonic()
    while True:
        found = [output[2] for output in job.outputs() if words in output[2]]
        if found:
            return found[0]
        assert time.monotonic() - start < seconds, (words, job.outputs()[-1:])
        time.sleep(0.05)


@pytest.fixture
def long_job(server):
    """Gatys with 1,000 iterations, at work and alone in its line."""
    while server.jobs():
        time.sleep(0.05)
    job = Client(server.url, verbose=False).submit(handle_file(PHOTO), handle_file(STYLE), iterations=1000, size=512,
                                                   api_name="/gatys")
    wait_for(job, "Iteration")
    yield job
    job.cancel()


@pytest.fixture(scope="module")
def paint(server):
    """A call that paints in a fixed style, and returns the seconds that it took."""
    fixed = next(e for e in raw_http.endpoints(server) if e[1] == "fixed")
    name = next(c["props"]["value"] for c in raw_http.get(f"{server.url}config")["components"]
                if c["props"].get("label") == "Style" and c["type"] == "dropdown")
    photo = {"path": raw_http.upload(server, Path(PHOTO))}

    def call():
        start = time.monotonic()
        worked, answer = raw_http.call(server, fixed, [photo, name, 1, 512])
        assert worked, answer
        return time.monotonic() - start

    call()  # the network is loaded
    return call


@pytest.fixture
def alone(paint):
    return statistics.median(paint() for _ in range(5))


def test_a_fixed_style_starts_within_two_seconds_while_gatys_runs(alone, paint, long_job):
    """With all of Gatys's iterations still to come, a call takes at most two seconds more than alone."""
    previews = len(long_job.outputs())
    taken = [paint() for _ in range(7)]
    assert statistics.median(taken) < alone + 1 and max(taken) < alone + 2, (alone, taken)
    time.sleep(2)
    assert not long_job.done() and len(long_job.outputs()) > previews  # and Gatys goes on meanwhile


def test_who_waits_is_told_why_and_how_long(server, long_job):
    waiting = []
    try:
        for words in ("one picture is painted before this one", "2 pictures are painted before this one"):
            waiting.append(Client(server.url, verbose=False).submit(handle_file(PHOTO), handle_file(STYLE), iterations=10,
                                                                    size=128, api_name="/gatys"))
            assert words in wait_for(waiting[-1], "Waiting")
            wait_for(waiting[-1], "about")
        long_job.cancel()
        for job in waiting:
            wait_for(job, "Done")
    finally:
        for job in waiting:
            job.cancel()


def taken(generator):
    """(what a generator yields, what it returns)."""
    told = []
    try:
        while True:
            told.append(next(generator))
    except StopIteration as end:
        return told, end.value


def compute(function, *arguments, **options):
    return taken(turns.compute(str, function, *arguments, **options))


def working(seconds, steps=10):
    """What takes so long and tells how far it is."""
    for _ in progress.steps(range(steps)):
        time.sleep(seconds / steps)
    return seconds


def long_work(name, times, order):
    """A generator as those of the core."""
    for _ in range(times):
        time.sleep(0.01)
        order.append(name)
        yield name


def test_turns_are_given_in_order_and_to_one_at_a_time():
    order = []
    threads = [threading.Thread(target=lambda name=name: list(turns.iterate(long_work, name, 20, order))) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(order) == 60
    steady = order[3:50]  # all three are there: nobody is served twice while another one waits
    assert all(len(set(steady[i:i + 3])) == 3 for i in range(len(steady) - 2))


def test_quick_work_tells_nothing_and_slow_work_how_far_it_is():
    assert compute(lambda: 7) == ([], 7)
    told, value = compute(working, 1.3)
    assert value == 1.3 and 3 <= len(told) <= 6
    shares = [int(word.split("Painting, ")[1].removesuffix(" %")) for word in told]
    assert shares == sorted(shares) and shares[0] < 35 and shares[-1] > 65 and "<progress" in told[0]


def test_who_waits_for_a_picture_is_told_for_how_many_and_how_long():
    compute(working, 0.5)
    found = [None] * 3
    threads = [threading.Thread(target=lambda k=k: found.__setitem__(k, compute(working, 0.9)[0])) for k in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(10)
    assert "Waiting" not in str(found[0])
    assert found[1][0].startswith("Waiting: one picture is painted before this one, about 1 s")
    assert found[2][0].startswith("Waiting: 2 pictures are painted before this one, about ")
    assert not turns._JOBS


def test_an_error_is_a_sentence_and_gives_the_turn_back():
    def wrong():
        raise InputError("Choose <another> one.")

    with pytest.raises(gr.Error, match="Choose &lt;another&gt; one"):
        compute(wrong)
    with pytest.raises(gr.Error, match="the fault is the app's"):
        compute(lambda: 1 / 0)
    assert compute(lambda: 7)[1] == 7 and not turns._JOBS


@pytest.mark.parametrize("start", [lambda order: turns.compute(str, working, 20, 200),
                                   lambda order: turns.iterate(working_steps, order)], ids=["compute", "iterate"])
def test_what_is_closed_ends_at_once_and_the_next_is_served(start):
    ended = []
    first = start(ended)
    next(first)
    waiting = turns.compute(str, lambda: ended.append("never"))
    next(waiting)
    waiting.close()  # leaves the line
    begin = time.monotonic()
    first.close()
    assert time.monotonic() - begin < 0.1  # Gradio closes generators in its event loop
    assert compute(lambda: 7)[1] == 7
    assert time.monotonic() - begin < 1 and "never" not in ended and not turns._JOBS


def working_steps(ended):
    try:
        yield working(20, 200)
    finally:
        ended.append("closed")


def test_closed_between_two_steps_a_generator_frees_what_it_holds():
    order = []

    def holding():
        try:
            yield from long_work("a", 100, order)
        finally:
            order.append("freed")

    steps = turns.iterate(holding)
    assert next(steps) == "a"
    steps.close()
    compute(lambda: 7)
    assert order == ["a", "freed"]


def test_the_time_that_is_asked_for_grows_with_the_work():
    small, large = torch.empty(1, 3, 512, 512), torch.empty(1, 3, 2048, 2048)
    assert 5 <= turns._seconds(max, small, [small]) <= 6 and 7 <= turns._seconds(max, large, [large, large], method="wct") <= 12
    assert turns._seconds(max, small, [small], iterations=300) < turns._seconds(max, large, [large], iterations=300) == 120


def test_places_add_up():
    with turns.Place(100) as first, turns.Place(300) as second, turns.Place(50) as third:
        assert first.ahead() == (0, 0.0) and second.ahead() == (1, None)
        first.elapsed, first.left = 6.0, 4.0
        assert second.ahead() == (1, 4.0)
        assert third.ahead() == (2, 4.0 + 300 * 0.1)
    assert not turns._LINE


@pytest.mark.parametrize("growth", [2.0, 3.0, 4.0])
def test_the_time_left_is_near_the_truth(monkeypatch, growth):
    """Three scales of 100 iterations, each slower than the one before by a factor that nobody told the clock."""
    now = [100.0]
    monkeypatch.setattr(steps.time, "perf_counter", lambda: now[0])
    clock, paces = steps.Clock(512), [0.01, 0.01 * growth, 0.01 * growth ** 2]
    end = 100 + 5 + 100 * sum(paces)
    now[0] += 5  # things are loaded
    for iteration in range(1, 301):
        scale = (iteration - 1) // 100
        now[0] += paces[scale]
        image = torch.empty(1, 3, 96 * 2 ** scale, 128 * 2 ** scale)
        left = clock.left(SimpleNamespace(image=image, iteration=iteration, iterations=300, done=iteration == 300))
        true = end - now[0]
        if iteration >= 110:  # two scales have been seen
            assert abs(left - true) < 0.15 * true + 0.1
        elif iteration > 1:
            assert true / 2.2 < left < true * 2.2
    assert left == 0.0
