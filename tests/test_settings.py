"""Settings that travel in a picture's file: written and read back whole, and nothing hostile gets through."""

import io
import json
import struct
import zlib

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from style_transfer import images, settings
from style_transfer.errors import InputError
from tests.conftest import EXAMPLES

PICTURE = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
RECORD = settings.make("cascade", ["/home/me/waves.jpg", "C:\\styles\\großes Bild.png"], [0.7, 0.3], alpha=0.6, levels=(4, 2))


def png(text, key=images.SETTINGS):
    info = PngInfo()
    info.add_itxt(key, text)
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize("name, bits", [("a.png", 8), ("a.png", 16), ("a.jpg", 8), ("a.webp", 8)])
def test_settings_come_back_from_the_file(name, bits, tmp_path):
    images.save(PICTURE, tmp_path / name, bits=bits, settings=RECORD)
    assert settings.read(tmp_path / name) == images.settings((tmp_path / name).read_bytes()) == RECORD
    images.save(PICTURE, tmp_path / f"plain-{name}", bits=bits)
    assert settings.read(tmp_path / f"plain-{name}") is None
    torch.testing.assert_close(images.load(tmp_path / name), images.load(tmp_path / f"plain-{name}"), atol=0, rtol=0)


@pytest.mark.parametrize("name", ["a.tif", "a.bmp"])
def test_formats_that_hold_none(name, tmp_path):
    images.save(PICTURE, tmp_path / name, settings=RECORD)
    assert settings.read(tmp_path / name) is None


@pytest.mark.parametrize("wrong", [[1], "text", {"a": float("nan")}, {"a": PICTURE}, {"a": "x" * images.MOST_SETTINGS}])
def test_what_is_no_settings_is_not_written(wrong, tmp_path):
    with pytest.raises(InputError, match="dictionary"):
        images.save(PICTURE, tmp_path / "a.png", settings=wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{", "[]", "5", "null", '"text"', "[" * 16000, '{"a": ' * 2000, "9" * 16000,
                                  json.dumps({"a": "x" * images.MOST_SETTINGS})])
def test_damaged_settings_are_a_sentence(text):
    with pytest.raises(InputError, match="damaged or too long"):
        images.settings(png(text))


def test_other_texts_are_none_of_ours(tmp_path):
    assert images.settings(png("prompt: a cat", "parameters")) is None
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0holiday"
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert images.settings(tmp_path / "a.jpg") is None


@pytest.mark.parametrize("source", [b"", b"no picture", "none.png", None])
def test_what_is_no_picture_is_a_sentence(source):
    with pytest.raises(InputError):
        images.settings(source)


def test_a_text_that_unpacks_to_much_is_refused_unread():
    body = images.SETTINGS.encode() + b"\0\1\0\0\0" + zlib.compress(b" " * 2 ** 24)
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    plain = png("", "other")
    try:
        found = images.settings(plain[:images.PNG_HEADER] + chunk + plain[images.PNG_HEADER:])
    except InputError:
        found = None
    assert found is None


def test_no_pixel_is_decoded(monkeypatch, tmp_path):
    images.save(PICTURE, tmp_path / "a.png", settings=RECORD)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert images.settings(tmp_path / "a.png") == RECORD


def test_names_are_those_of_files_alone():
    assert RECORD["styles"] == ["waves.jpg", "großes Bild.png"]
    for given, name in (("udnie", "udnie"), ("me/repo/night", "me/repo/night"), ("/secret/place/night.safetensors", "night"),
                        ("../../etc", "etc"), ("a\x1b[31m\nb", "a�[31m�b"), ("x" * 999, "x" * 200)):
        assert settings.make("fixed", [given])["styles"] == [name]
    assert settings.make("adain", [EXAMPLES / "styles/waves.jpg"], decoder="/a/b/mine.safetensors")["decoder"] == "mine"


@pytest.mark.parametrize("method", settings.OPTIONS)
def test_every_option_goes_through_at_its_default(method):
    options = {name: option.default for name, option in settings.OPTIONS[method].items()}
    record = settings.make(method, ["waves.jpg"], **options)
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in record["options"].items()} == options
    assert settings.describe(record) == f"{settings.TITLES[method]}: waves.jpg"


def test_unknown_keys_are_left_out():
    found = RECORD | {"mood": "<b>", "options": RECORD["options"] | {"device": "cuda:7", "sparkle": 3}}
    assert settings.check(found) == RECORD


@pytest.mark.parametrize("change, words", [
    ({"app": "another"}, "no settings of this project"), ({"version": "1"}, "no settings"), ({"version": True}, "no settings"),
    ({"version": 10 ** 999}, "another version"), ({"method": "magic"}, "no known method"), ({"method": ["wct"]}, "no known"),
    ({"styles": "waves.jpg"}, "1 to 64 styles"), ({"styles": []}, "1 to 64"), ({"styles": [5]}, "1 to 64"),
    ({"styles": ["a"] * 65}, "1 to 64"), ({"weights": [1]}, "as many as the styles"), ({"weights": "12"}, "one number"),
    ({"weights": [1, "1"]}, "number of 0 or more"), ({"weights": [1, True]}, "number"), ({"weights": [1, -1]}, "number"),
    ({"weights": [10 ** 999, 1]}, "number"), ({"weights": [0, 0]}, "above 0"), ({"masks": "yes"}, "wrong kind"),
    ({"decoder": 5}, "wrong kind"), ({"options": None}, "no options"), ({"options": [1]}, "no options"),
    *(({"options": {name: value}}, words) for name, value, words in [
        ("alpha", 1.5, "alpha must be a number from 0 to 1"), ("alpha", "1", "alpha"), ("alpha", None, "alpha"),
        ("alpha", float("nan"), "alpha"), ("alpha", {}, "alpha"), ("stroke", 10 ** 999, "stroke"), ("size", 10 ** 9, "size"),
        ("size", 100.5, "whole number"), ("preserve_color", "<script>", "no preserve_color"),
        ("preserve_color", [], "no preserve_color"),
        ("levels", [6], "no level 6"), ("levels", 4, "levels must be a list"), ("levels", [], "levels must"),
        ("levels", [4] * 99, "levels must"), ("levels", [[4]], "no level")]),
])
def test_hostile_records_are_a_sentence(change, words):
    with pytest.raises(InputError, match=words) as error:
        settings.check(RECORD | change)
    assert str(error.value).endswith(".") and str(error.value).isprintable()


@pytest.mark.parametrize("found", [None, [], "text", 5, {}, {"app": "style-transfer"}])
def test_what_is_no_record_is_a_sentence(found):
    with pytest.raises(InputError, match="no settings of this project"):
        settings.check(found)


def test_layers_may_have_weights():
    layers = {"relu1_1": 1.0, "relu4_1": 2.0}
    record = settings.make("gatys", ["a.jpg"], style_layers=layers, loss="gaussian")
    assert record["options"]["style_layers"] == layers
    assert settings.describe(record) == "Gatys: a.jpg; style layers relu1_1=1 relu4_1=2"
    with pytest.raises(InputError, match="weight of relu1_1"):
        settings.make("gatys", ["a.jpg"], style_layers={"relu1_1": -1})


def test_pictures_older_than_an_option_come_back_as_they_were_painted():
    record = settings.check({"app": "style-transfer", "version": 1, "method": "gatys", "styles": ["a.jpg"],
                             "options": {"beta": 30.0}})
    assert record["options"] == {"loss": "gram", "beta": 30.0}
    assert settings.describe(record) == "Gatys: a.jpg; loss gram"


def test_levels_of_an_older_record_belong_to_the_cascade():
    older = settings.make("wct", ["a.jpg"]) | {"options": {"alpha": 0.6, "levels": [4, 2]}}
    assert settings.check(older)["method"] == "cascade" and settings.check(older)["options"] == older["options"]
    assert settings.check(older | {"options": {"alpha": 0.6}})["method"] == "wct"


def test_one_line_says_what_is_not_the_default():
    assert settings.describe(RECORD) == "WCT, level by level: waves.jpg 0.7, großes Bild.png 0.3; alpha 0.6, levels 4 2"
    record = settings.make("fixed", ["udnie"], masks=["mask.png"], strength=1.0, preserve_color="luminance")
    assert settings.describe(record) == "Fixed style: udnie; preserve color luminance, where masks say"


def test_the_command_line_writes_and_prints_them(typed, tmp_path, capsys):
    photo, style, out = EXAMPLES / "photos/cat.jpg", EXAMPLES / "styles/waves.jpg", tmp_path / "out.png"
    lines = {"adain": f"adain {photo} {style} --alpha 0.5", "cascade": f"cascade {photo} {style} --levels 3,1",
             "gatys": f"gatys {photo} {style} --iterations 2 --init noise", "fixed": f"fixed {photo} --style udnie"}
    for method, line in lines.items():
        assert typed(f"{line} --size 64 --bits {16 if method == 'fixed' else 8} -o {out} --overwrite")[0] == 0
        capsys.readouterr()
        record = settings.read(out)
        assert (record["method"], record["options"]["size"]) == (method, 64)
        assert record["styles"] == ["udnie" if method == "fixed" else "waves.jpg"]
        code, said = typed(f"settings {out}")
        assert code == 0 and settings.describe(record) in said
    assert typed(f"settings {photo}")[0] == 2


def test_the_command_line_prints_json(typed, tmp_path, monkeypatch):
    images.save(PICTURE, tmp_path / "a.png", settings=RECORD)
    printed = []
    monkeypatch.setattr("builtins.print", lambda text: printed.append(text))
    assert typed(f"settings {tmp_path / 'a.png'}")[0] == 0
    assert json.loads(printed[0]) == RECORD
