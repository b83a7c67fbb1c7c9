"""All methods side by side: what is yielded, what is measured, and the sheet."""

import sys
import threading
import time

import pytest
import torch
from PIL import Image

from style_transfer import arbitrary, compare, distances, images
from style_transfer.compare import Result
from style_transfer.errors import InputError, StyleTransferError
from tests.conftest import EXAMPLES

SMALL = dict(fixed_style="udnie", iterations=2, size=96)


def result(title="AdaIN", seconds=1.0, memory=2 * 10 ** 6, style=0.5, content=0.25, picture=None, method="adain"):
    return Result(method, title, torch.zeros(1, 3, 60, 90) if picture is None else picture, seconds, memory, style, content)


@pytest.fixture(scope="module")
def steps(photo, painting):
    return list(compare.paint(photo, painting, **SMALL))


def test_each_method_paints_and_is_measured(steps, photo, painting):
    results = [step.result for step in steps if step.result]
    assert [r.title for r in results] == ["AdaIN, strength 0.6", "AdaIN, strength 1", "WCT, strength 0.6", "WCT, strength 1",
                                          "Fixed style: Udnie", "Gatys, 2 steps"]
    content = images.resize(photo, 96)
    for r in results:
        assert r.picture.shape == content.shape and 0 <= r.picture.min() and r.picture.max() <= 1
        assert 0 < r.seconds < 60 and 0 < r.content < 2
        assert (r.style is None) == (r.method == "fixed") and (r.style is None or r.style > 0)
        near = distances.measure(r.picture, content, [images.resize(painting, 160)])
        assert (r.style or near[0], r.content) == pytest.approx(near, rel=1e-4)
    torch.testing.assert_close(results[1].picture, arbitrary.stylize(content, [painting], method="adain"), atol=1e-5, rtol=0)


def test_progress_goes_from_0_to_1(steps):
    shares = [step.share for step in steps]
    assert shares[0] == 0 and shares == sorted(shares) and shares[-1] == 1 == max(shares)
    assert steps[0].title == "AdaIN, strength 0.6" and steps[0].result is None
    assert [step.title for step in steps if step.result] == list(dict.fromkeys(step.title for step in steps))


def test_a_picture_is_at_no_distance_from_itself(photo, painting):
    assert distances.measure(photo, photo, [photo]) == pytest.approx((0, 0), abs=1e-6)
    assert distances.measure(photo, photo)[0] is None
    style, content = distances.measure(painting, images.resize(photo, painting.shape[2:]), [painting])
    assert style == pytest.approx(0, abs=1e-6) and content > 0.5


def test_only_what_is_asked_for_is_painted(photo, painting):
    found = [s.result for s in compare.paint(photo, painting, ["wct", "wct", "adain"], [0.5, 0.5], size=64) if s.result]
    assert [r.title for r in found] == ["AdaIN, strength 0.5", "WCT, strength 0.5"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read off /proc")
def test_memory_and_time_are_those_of_the_painting_alone(photo, painting, monkeypatch):
    taken = []

    def stylize(content, *_, alpha, **__):
        start = time.perf_counter()
        kept = torch.ones(int(50e6 * alpha))  # 200 MB for 1
        time.sleep(0.1)
        del kept
        taken.append(time.perf_counter() - start)
        return content

    monkeypatch.setattr(arbitrary, "stylize", stylize)
    found = []
    for step in compare.paint(photo, painting, ["adain"], [0.5, 1.0], size=64):
        time.sleep(0.5)  # others' turn
        found += [step.result] if step.result else []
    for r, wanted, seconds in zip(found, (100e6, 200e6), taken[1::2], strict=True):  # after a warm start each
        assert wanted * 0.95 < r.memory < wanted * 1.1
        assert seconds <= r.seconds < seconds + 0.5


def test_it_can_be_closed_in_the_middle(photo, painting):
    before = threading.active_count()
    steps = compare.paint(photo, painting, ["gatys"], iterations=500, size=64)
    for step in steps:
        if step.share > 0:
            break
    steps.close()
    assert step.share < 0.1 and next(steps, None) is None and threading.active_count() == before


@pytest.mark.parametrize("change, words", [
    ({"methods": []}, "At least one method"), ({"methods": "wct"}, "At least one"), ({"methods": [["wct"]]}, "no method"),
    ({"methods": ["magic"]}, "no method 'magic'"), ({"alphas": []}, "At least one"), ({"alphas": [2]}, "from 0 to 1"),
    ({"alphas": ["1"]}, "from 0 to 1"), ({"alphas": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, "name 6 at most"),
    ({"iterations": 0}, "iterations"), ({"size": 10 ** 6}, "size"), ({"fixed_style": "none"}, "no weights by the name"),
    ({"fixed_style": None}, "Name the weights"), ({"size": 64, "content": torch.rand(1, 3, 400, 40)}, "too small"),
    ({"style": torch.rand(1, 3, 8, 8)}, "too small"), ({"content": None}, "missing"), ({"device": "magic"}, "no device"),
])
def test_wrong_arguments_are_a_sentence(photo, painting, change, words):
    arguments = SMALL | {"content": photo, "style": painting} | change
    with pytest.raises(InputError, match=words):
        next(compare.paint(**arguments))


def test_long_strips_are_measured(painting):
    strip = torch.rand(1, 3, 40, 1200, generator=torch.Generator().manual_seed(0))
    found = [s.result for s in compare.paint(strip, strip, ["adain"], [1.0], size=1200) if s.result]
    assert found[0].picture.shape == strip.shape and 0 < found[0].content < 2 and found[0].style >= 0


def test_figures_are_text():
    assert compare.figures(result()) == {"time": "1.00 s", "memory": "2 MB", "from the painting": "0.500",
                                         "from the photograph": "0.250"}
    assert list(compare.figures(result(seconds=63.2, memory=None, style=None)).values()) == ["63 s", "-", "-", "0.250"]


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (40, 900), (900, 40)])
@pytest.mark.parametrize("count", [0, 1, 6, 13])
def test_the_sheet_holds_every_picture(shape, count):
    photo, style = torch.rand(1, 3, *shape) * 0.2, torch.rand(1, 3, 50, 50) * 0.2
    colors = [((37 * k) % 255, 255, (91 * k) % 255) for k in range(count)]
    results = [result(f"Way {k}", picture=(torch.tensor(color) / 255).view(1, 3, 1, 1).expand(1, 3, *shape))
               for k, color in enumerate(colors)]
    page = compare.sheet(photo, style, results)
    assert page.mode == "RGB" and page.getpixel((2, 2)) == (250, 248, 245)
    found = {color for _, color in page.getcolors(page.width * page.height)}
    assert found >= set(colors)


def test_the_least_figures_stand_out():
    def blues(results):
        page = compare.sheet(torch.zeros(1, 3, 60, 90), torch.zeros(1, 3, 60, 90), results)
        return sum(count for count, color in page.getcolors(page.width * page.height) if color == (65, 83, 179))

    assert blues([result()]) == 0
    best = result(seconds=0.5, memory=10 ** 6, style=0.1, content=0.1)
    unknown = result(memory=None, style=None)
    assert blues([best, result()]) > blues([best, unknown]) > 0


def test_letters_that_the_font_has_not():
    page = compare.sheet(torch.zeros(1, 3, 60, 90), torch.zeros(1, 3, 60, 90), [result("Été à 神奈川")])
    plain = compare.sheet(torch.zeros(1, 3, 60, 90), torch.zeros(1, 3, 60, 90), [result("Ete a ")])
    assert page.tobytes() == plain.tobytes()


def test_the_command_line_writes_a_sheet(typed, tmp_path, capsys):
    photo, style, out = EXAMPLES / "photos/cat.jpg", EXAMPLES / "styles/waves.jpg", tmp_path / "sheet.png"
    code, _ = typed(f"compare {photo} {style} -o {out} --methods adain,gatys --fixed-style udnie --alphas 0.7 --iterations 2 "
                    "--size 64")
    assert code == 0
    with Image.open(out) as page:
        assert page.width > 4 * compare.CELL
    for line, words in ((f"{photo.parent} {style} -o {out}", "is a folder"), (f"{photo} {style} -o {style}", "originals"),
                        (f"{photo} {style} -o {out} --methods fixed", "Name the weights"),
                        (f"{photo} {style} -o {out} --methods magic", "no method 'magic'"),
                        (f"{photo} {style} -o {out} --alphas many", "cannot be read"),
                        (f"{photo} none.jpg -o {out}", "no file 'none.jpg'"), (f"{photo} {style} -o a.xyz", "suffix")):
        code, said = typed(f"compare {line}")
        assert code == 2 and words in said, said


def test_errors_of_a_method_are_the_comparisons(photo, painting, monkeypatch):
    def fail(*_, **__):
        raise StyleTransferError("It diverged: use another picture.")

    monkeypatch.setattr(arbitrary, "stylize", fail)
    with pytest.raises(StyleTransferError, match="It diverged"):
        list(compare.paint(photo, painting, **SMALL))
