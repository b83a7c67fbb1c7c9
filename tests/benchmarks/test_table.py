"""The tables: those in the model card and the README are the figures', and a run measures what it says."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

import style_transfer as st
from benchmarks import pairs, quality, table
from style_transfer.networks.vgg import VGG, VGG19


@pytest.fixture
def extractor(tmp_path):
    torch.manual_seed(0)
    oxford = VGG((2, 2, 4), VGG19["widths"][:3])
    save_file({k: v.contiguous() for k, v in oxford.state_dict().items()}, tmp_path / "vgg.safetensors")
    return quality.Extractor(tmp_path / "vgg.safetensors")


@pytest.fixture
def options(tmp_path, photo, painting, monkeypatch):
    """Two photographs and a painting, small, as the command's options."""
    monkeypatch.setattr(quality, "SIZE", 64)
    monkeypatch.setattr(pairs, "SIZE", 48)
    for name in ("contents", "styles", "paintings"):
        (tmp_path / name).mkdir()
    st.save(photo, tmp_path / "contents" / "a.png")
    st.save(photo.flip(3), tmp_path / "contents" / "b.png")
    st.save(painting, tmp_path / "styles" / "c.png")
    st.save(painting, tmp_path / "paintings" / "the-scream.png")
    return SimpleNamespace(contents=tmp_path / "contents", styles=tmp_path / "styles", paintings=tmp_path / "paintings",
                           reference=None, compact_teacher=None, peers=[], folder=tmp_path / "runs")


def test_card_and_readme_have_the_tables_of_the_figures_and_headers():
    for path, text in table.render(table.read_figures()).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m benchmarks.table --render"


def test_a_table_is_replaced_between_its_markers():
    text = "a\n<!-- table: one -->\n| old |\n<!-- /table -->\nb\n<!-- table: two -->\n<!-- /table -->\n"
    done = table.replaced(text, "one", "| new |")
    assert done == text.replace("| old |", "| new |")
    assert table.replaced(done, "two", "| x |").count("|") == 4
    for name in ("three", "one"):
        with pytest.raises(ValueError, match="instead of one"):
            table.replaced(text + text.replace("two", "four"), name, "")


def test_quality_of_every_method(options, extractor, monkeypatch):
    monkeypatch.setattr(table, "ALPHAS", {"adain": (0.5, 1.0), "wct": (1.0,)})
    monkeypatch.setattr(pairs, "diagonal", lambda contents, styles: pairs.every(contents, styles)[:1])
    peer = options.folder / "microast"
    chosen = pairs.every(pairs.pictures(options.contents), pairs.pictures(options.styles))
    pairs.make(chosen, peer, pairs.painter("unchanged"), None)
    options.peers = [peer]
    found = table.measure_quality(options, options.folder, extractor, None)
    assert found["features"] == extractor.name
    assert [(row["name"], row["alpha"], row["pairs"]) for row in found["all"]] == [
        ("unchanged", None, 2), ("adain", 0.5, 2), ("adain", 1.0, 2), ("wct", 1.0, 2), ("microast", None, 2)]
    assert [row["name"] for row in found["six"]] == ["unchanged", "adain", "adain", "wct", "gatys", "microast"]
    rows = {(row["name"], row["alpha"]): row for row in found["all"]}
    unchanged, peer = rows["unchanged", None], rows["microast", None]
    assert unchanged["content"] < 1e-6 < rows["adain", 1.0]["content"]
    assert [peer[name] for name in ("style", "gram", "content")] == [unchanged[name] for name in ("style", "gram", "content")]
    assert len(list((options.folder / "adain-0.5").iterdir())) == 2

    def never(*arguments):
        raise AssertionError("what was made and measured is not made again")

    monkeypatch.setattr(st, "save", never)
    options.peers = []
    monkeypatch.setattr(quality, "measure", never)
    assert table.measure_quality(options, options.folder, extractor, None)["all"] == found["all"][:-1]


def test_fixed_styles_against_their_own_paintings(options, extractor, capsys):
    found = table.measure_fixed(options, options.folder, extractor, None)
    row, = found["rows"]
    assert row["name"] == "the-scream" and row["title"] == "The Scream" and row["style"] > 0 and row["unchanged"] > 0
    assert not found["oxford"] and "Udnie is left out" in capsys.readouterr().out
    assert "full width" not in table.table_fixed({"fixed": found})


def test_a_school_is_a_folder_of_pictures(options, extractor, painting, painting_2):
    alone, = table.measure_fixed(options, options.folder, extractor, None)["rows"]
    school = options.paintings / "the-scream"
    (options.paintings / "the-scream.png").unlink()
    school.mkdir()
    st.save(painting, school / "one.png")
    same, = table.measure_fixed(options, options.folder / "same", extractor, None)["rows"]
    assert same == pytest.approx(alone)
    before = table.fingerprint(options.paintings)
    st.save(painting_2, school / "two.png")
    assert before != table.fingerprint(options.paintings)
    both, = table.measure_fixed(options, options.folder / "both", extractor, None)["rows"]
    (school / "one.png").unlink()
    other, = table.measure_fixed(options, options.folder / "other", extractor, None)["rows"]
    for name in ("style", "gram", "unchanged"):
        assert both[name] == pytest.approx((alone[name] + other[name]) / 2, abs=1e-3)


def test_pictures_are_kept_apart_by_what_they_were_made_of(options, photo):
    before = table.fingerprint(options.contents, options.styles)
    assert before == table.fingerprint(options.contents, options.styles)
    st.save(photo, options.styles / "d.png")
    assert before != table.fingerprint(options.contents, options.styles)


def test_figures_are_from_one_yardstick():
    figures = table.read_figures()
    assert figures["quality"]["features"] == figures["fixed"]["features"]
    assert {row["name"] for row in figures["fixed"]["rows"]} == {style.name for style in pairs.fixed_styles()}
    assert json.dumps(figures) == json.dumps({part: figures[part] for part in ("quality", "fixed", "speed")})
