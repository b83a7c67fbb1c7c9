"""From a name to a weight file: names of checkpoints/ and of repositories, paths, and everything that is neither."""

import os
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from style_transfer import checkpoints, fixed, hub, weights
from style_transfer.errors import CheckpointError, InputError, StyleTransferError
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.vgg import VGG
from tests.hub_server import Blob
from tests.test_hub import PLAN, client, folder, published, server  # noqa: F401

HOSTILE = ["", None, 5, 2.5, True, [], ["encoder"], {}, b"encoder", "../x", "../encoder", "/etc/passwd", "/etc/hostname", ".",
           "..", "a/b/../../c", "checkpoints/encoder", "./encoder", "encoder\n", "enc\0oder", "\0", "x" * 5000, "x" * 10 ** 6,
           "a\nb", "\\\\host\\x", "C:\\x", "//", "/", "a//b", "me/styles/", "me/styles/../one", "me/styles//one",
           "/me/styles/one", "~", "$HOME", "*", "%2e%2e", "encoder.safetensors", ".encoder", "me/none/one", "\u202egnp",
           "🎨" * 80]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A checkpoints folder with an encoder, a decoder and a style; what lies around it must not be found."""
    home = tmp_path / "home-of-weights"
    monkeypatch.setattr(checkpoints, "FOLDER", home)
    for place in (home, tmp_path):
        checkpoints.save(place / "encoder.safetensors", VGG(**PLAN))
    encoder = checkpoints.describe(home / "encoder.safetensors")["fingerprint"]
    checkpoints.save(home / "decoder.safetensors", Decoder(4, **PLAN), family="adain", encoder=encoder)
    checkpoints.save(home / "mosaic.safetensors", Johnson(width=2, blocks=1), name="Mosaic 2", title="A mosaic")
    return home


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:20])
def test_a_name_that_is_none_is_one_sentence_and_nothing_is_read(home, name, monkeypatch):
    monkeypatch.setattr(hub, "index", lambda repo: pytest.fail("asked the Hub"))
    monkeypatch.setenv("STYLE_TRANSFER_REPO", "me/styles")
    monkeypatch.chdir(home.parent)
    opened = []
    monkeypatch.setattr(checkpoints, "safe_open", lambda path, *a: opened.append(Path(path).parent) or safe_open(path, *a))
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        weights.named(name)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 500 and text.endswith(".") and time.monotonic() - start < 1
    assert set(opened) <= {home}  # for the names that the sentence offers
    if not isinstance(name, str) or not name:
        with pytest.raises(InputError):
            weights.find(name)


def test_names_and_paths(home, monkeypatch):
    assert weights.named("mosaic") == weights.find("mosaic") == home / "mosaic.safetensors"
    assert all(weights.find(kind(home / "mosaic.safetensors")) == home / "mosaic.safetensors" for kind in (Path, str))
    assert weights.find("no/such.safetensors") == Path("no/such.safetensors")
    monkeypatch.chdir(home)
    os.link("mosaic.safetensors", "mosaic.bin")
    assert weights.find("mosaic.bin") == Path("mosaic.bin")
    with pytest.raises(InputError, match="choose among mosaic"):
        weights.named("mosaik", "johnson")
    with pytest.raises(InputError, match="choose among decoder, encoder, mosaic"):
        weights.find("Mosaic 2")


def test_folders_and_pipes_of_that_name_are_not_found(home):
    (home / "folder.safetensors").mkdir()
    os.mkfifo(home / "pipe.safetensors")
    for name in ("folder", "pipe"):
        with pytest.raises(InputError):
            weights.named(name)
    sources, problems = weights.installed()
    assert len(sources) == 3 and len(problems) == 2 and all("\n" not in p for p in problems)


def test_a_style_whose_header_has_another_name_paints_by_the_name_that_is_offered(home, photo):
    style, = fixed.styles()
    assert (style.name, style.title) == ("mosaic", "A mosaic")
    assert fixed.stylize(photo, style.name).shape == photo.shape
    source, = weights.installed("johnson", "multimodal")[0]
    assert source.label == "mosaic" and source.path() == home / "mosaic.safetensors" and source.tile() is None


def test_what_is_listed_is_not_hashed(home, monkeypatch):
    monkeypatch.setattr(checkpoints.hashlib, "sha256", lambda *a: pytest.fail("hashed"))
    assert {s.entry.family for s in weights.catalog()[0]} == {"encoder", "adain", "johnson"}
    encoder, (decoder,) = weights.decoders(["decoder"])
    assert encoder.widths == PLAN["widths"] and decoder.level == 4
    assert weights.decoders(["decoder"])[0] is encoder


def test_decoders_of_different_or_missing_encoders_are_refused(home):
    checkpoints.save(home / "other.safetensors", Decoder(4, **PLAN), family="adain", encoder="0" * 16)
    with pytest.raises(CheckpointError, match="different encoders"):
        weights.decoders(["decoder", "other"])
    (home / "broken.safetensors").write_bytes(b"broken")  # hides nothing
    assert weights.decoders(["decoder"])[1][0].level == 4
    for name in ("other", "encoder"):
        with pytest.raises(CheckpointError, match="same release"):
            weights.decoders([name])


def test_python_names_a_style_of_a_repository_as_the_app_does(home, published, server, photo, monkeypatch):  # noqa: F811
    monkeypatch.setenv("STYLE_TRANSFER_REPO", "me/none,me/styles,you/more")
    assert checkpoints.describe(weights.find("me/styles/two"))["title"] == "Two"
    sources, problems = weights.catalog("adain")
    assert [s.label for s in sources] == ["decoder", "me/styles/one", "me/styles/two"] and len(problems) == 2
    encoder, decoders = weights.decoders(["me/styles/one", "me/styles/two"])
    assert len(decoders) == 2 and encoder.widths == PLAN["widths"]
    for name in ("me/styles/three", "me/styles/ONE", "you/styles/one"):
        with pytest.raises(InputError, match=name):
            weights.named(name)
    with pytest.raises(StyleTransferError, match="no repository you/more"):
        weights.named("you/more/one")
    checkpoints.save(home.parent / "up/waves.safetensors", Johnson(width=2, blocks=1), name="not its name")
    checkpoints.write_index(home.parent / "up")
    server.repo("you/more").commit({p.name: Blob(p.read_bytes()) for p in (home.parent / "up").iterdir()})
    assert fixed.stylize(photo, "you/more/waves").shape == photo.shape


def test_a_click_on_a_repositorys_weights_does_not_hash_them_again(home, published, monkeypatch):  # noqa: F811
    monkeypatch.setenv("STYLE_TRANSFER_REPO", "me/styles")
    path = weights.named("me/styles/two")
    monkeypatch.setattr(checkpoints.hashlib, "sha256", lambda *a: pytest.fail("hashed"))
    assert weights.named("me/styles/two") == path
