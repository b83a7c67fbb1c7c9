"""Work that is watched tells how far it is, ends when the watcher says so, and leaves nothing half done behind."""

import pytest
import torch

import style_transfer as st
from style_transfer import progress, tiles

STYLE = "starry-night"


class Enough(BaseException):
    """What a watcher raises."""


METHODS = {
    "adain": lambda content, style: st.arbitrary.stylize(content, [style], preserve_color="match"),
    "wct": lambda content, style: st.arbitrary.stylize(content, [style], method="wct", stroke=2),
    "johnson": lambda content, style: st.fixed.stylize(content, STYLE, preserve_color="luminance"),
    "multimodal": lambda content, style: st.fixed.stylize(content, "divisionism"),
    "regions": lambda content, style: st.fixed.stylize(content, [STYLE, "emaki"], masks=[torch.ones(1, 1, 2, 2)] * 2),
}


@pytest.fixture(params=[1 << 20, 1 << 13], ids=["whole", "tiled"])
def tile(request, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", request.param)
    monkeypatch.setattr(tiles, "VALUES", 24 * request.param)


def shares_of(work):
    told = []
    with progress.watched(told.append):
        work()
    return told


@pytest.mark.parametrize("name", METHODS)
def test_the_share_grows_from_nothing_to_all(name, tile, photo, painting):
    told = shares_of(lambda: METHODS[name](photo, painting))
    assert told[0] == 0 and 0.5 <= told[-1] <= 1 and all(0 <= share <= 1 for share in told)
    assert len(set(told)) >= 4 and sum(a <= b for a, b in zip(told, told[1:])) >= 0.9 * (len(told) - 1)


@pytest.mark.parametrize("name", METHODS)
def test_work_ends_at_any_tick_and_the_next_picture_is_right(name, tile, photo, painting):
    work = METHODS[name]
    whole, count = work(photo, painting), len(shares_of(lambda: work(photo, painting)))
    for last in {0, 1, count // 3, count // 2, count - 1}:
        told = []

        def watcher(share):
            if len(told) == last:  # noqa: B023
                raise Enough
            told.append(share)  # noqa: B023

        with pytest.raises(Enough), progress.watched(watcher):
            work(photo, painting)
        assert len(told) == last
    told.clear()
    assert torch.equal(work(photo, painting), whole) and not told  # nobody watches any more


def test_an_optimisation_ends_within_a_step(photo, painting):
    steps, told = st.gatys.optimize(photo, [painting], iterations=50, scales=1, size=64), []
    with progress.watched(told.append):
        next(steps)
        before = len(told)
        next(steps)
    assert before and len(told) > before

    def stop(share):
        raise Enough

    with progress.watched(stop), pytest.raises(Enough):
        next(steps)


def test_parts_lie_within_parts():
    told = []
    with progress.watched(told.append):
        for _ in progress.steps("ab"):
            with progress.part(0.5, 1):
                for _ in progress.steps(range(2)):
                    progress.tick()
        progress.tick()
    assert told == [0, 0.25, 0.25, 0.25, 0.375, 0.375, 0.5, 0.75, 0.75, 0.75, 0.875, 0.875, 1]


def test_unwatched_work_goes_its_way():
    progress.tick()
    with progress.part(0, 1):
        assert list(progress.steps("ab")) == ["a", "b"]


def test_another_thread_is_not_watched():
    from threading import Thread
    told = []
    with progress.watched(told.append):
        thread = Thread(target=progress.tick)
        thread.start()
        thread.join()
    assert not told
