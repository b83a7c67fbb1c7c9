"""The Hub in both directions, by the real client and the real `hf` command against a stand-in server; its faults."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from style_transfer import checkpoints, hub, weights
from style_transfer.errors import CheckpointError, HubError, InputError
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.vgg import VGG
from tests.hub_server import Blob, Hub

PLAN = dict(depths=(1, 1, 1, 1), widths=(4, 4, 4, 4))
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def server():
    server = Hub()
    yield server
    server.close()


@pytest.fixture
def environment(server, tmp_path):
    return os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret",
                         "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1",
                         "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def client(server, tmp_path, monkeypatch):
    """The client in this process talks to the stand-in and keeps its cache in the test's folder."""
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.delenv("STYLE_TRANSFER_REPO", raising=False)


@pytest.fixture
def folder(tmp_path):
    """A small folder of weights: an encoder and two of its decoders."""
    folder = tmp_path / "weights"
    encoder = VGG(**PLAN)
    checkpoints.save(folder / "encoder.safetensors", encoder, name="encoder", license="mit")
    for name in ("one", "two"):
        checkpoints.save(folder / f"{name}.safetensors", Decoder(4, **PLAN), name=name, title=name.title(), family="adain",
                         license="mit", encoder=checkpoints.fingerprint(checkpoints.load(folder / "encoder.safetensors")))
    checkpoints.write_index(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Weights\n")
    return folder


@pytest.fixture
def published(server, folder):
    """The same folder as the repository me/styles."""
    server.repo("me/styles").commit({p.name: Blob(p.read_bytes()) for p in folder.iterdir()})
    return hub.Repository("me/styles")


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()} if folder.exists() else {}


def command(environment, *arguments, **extra):
    return subprocess.run(arguments, env=environment | extra, capture_output=True, text=True, cwd=ROOT, timeout=120)


def weights_command(environment, *arguments, **extra):
    return command(environment, sys.executable, "-m", "style_transfer", "weights", *arguments, **extra)


def test_push_and_pull_of_the_shipped_weights_are_byte_identical_and_work(environment, tmp_path):
    original, pulled = tmp_path / "original", tmp_path / "pulled"
    shutil.copytree(checkpoints.FOLDER, original, ignore=shutil.ignore_patterns("camera"))  # the camera's are not pushed
    pushed = weights_command(environment, "push", "me/styles", "--folder", original)
    assert pushed.returncode == 0, pushed.stderr
    assert "me/styles" in pushed.stdout
    done = weights_command(environment, "pull", "me/styles", "--folder", pulled)
    assert done.returncode == 0, done.stderr
    assert files(pulled) == files(original)
    assert weights_command(environment, "verify", "--folder", pulled).returncode == 0
    result = command(environment, sys.executable, "-m", "style_transfer", "adain", "examples/photos/cat.jpg",
                     "examples/styles/mosaic.jpg", "--size", "128", "-o", tmp_path / "out.png",
                     STYLE_TRANSFER_CHECKPOINTS=str(pulled))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out.png").stat().st_size > 1000


def test_hf_does_the_same_by_hand(environment, folder, tmp_path):
    hf = str(Path(sys.executable).with_name("hf"))
    up = command(environment, hf, "upload", "me/hand", folder)
    assert up.returncode == 0, up.stderr
    down = command(environment, hf, "download", "me/hand", "--local-dir", tmp_path / "down")
    assert down.returncode == 0, down.stderr
    shutil.rmtree(tmp_path / "down/.cache", ignore_errors=True)
    assert files(tmp_path / "down") == files(folder)
    assert all(problem is None for _, problem in checkpoints.verify(tmp_path / "down"))


def test_push_makes_index_and_model_card_and_removes_what_is_gone(server, folder):
    (folder / "README.md").unlink()
    (folder / "index.json").write_text("{}")
    hub.push(hub.Repository("me/styles"), folder, private=True)
    repo = server.repos["me/styles"]
    assert repo.private and set(repo.commits[repo.refs["main"]]) == {"README.md", "index.json", "encoder.safetensors",
                                                                    "one.safetensors", "two.safetensors"}
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: image-to-image" in card and "license: mit" in card and "two.safetensors" in card
    (folder / "two.safetensors").unlink()
    hub.push(hub.Repository("me/styles"), folder)
    assert "two.safetensors" not in repo.commits[repo.refs["main"]]


def test_push_refuses_broken_weights_empty_folders_and_strangers(server, folder, tmp_path, monkeypatch):
    repo = hub.Repository("me/styles")
    with pytest.raises(InputError, match="no weight file"):
        hub.push(repo, tmp_path / "nothing")
    data = (folder / "one.safetensors").read_bytes()
    (folder / "one.safetensors").write_bytes(data[:-10])
    with pytest.raises(CheckpointError, match="damaged"):
        hub.push(repo, folder)
    (folder / "one.safetensors").write_bytes(data)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="log in"):
        hub.push(repo, folder)
    assert not server.repos


def test_pull_of_one_decoder_brings_its_encoder(published, tmp_path):
    assert list(hub.pull(published, ["one"], tmp_path / "here")) == ["one.safetensors", "encoder.safetensors"]
    assert {e.name for e in checkpoints.read_index(tmp_path / "here/index.json")} == {"one", "encoder"}
    assert checkpoints.encoder_of(tmp_path / "here/one.safetensors").widths == PLAN["widths"]
    with pytest.raises(InputError, match="no three: it has encoder, one, two"):
        list(hub.pull(published, ["three"], tmp_path / "here"))


def test_pull_does_not_overwrite_other_files_unless_forced(published, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (here / "one.safetensors").write_bytes(b"mine")
    with pytest.raises(InputError, match="one.safetensors"):
        list(hub.pull(published, folder=here))
    assert files(here) == {"one.safetensors": b"mine"}
    list(hub.pull(published, folder=here, force=True))
    assert all(problem is None for _, problem in checkpoints.verify(here))


def test_a_pinned_revision_in_the_cache_costs_no_request(server, published, monkeypatch):
    sha = server.repos["me/styles"].refs["main"]
    monkeypatch.setenv("STYLE_TRANSFER_REPO", f"me/styles@{sha}")

    def use():
        sources, problems = weights.catalog("adain")
        assert not problems
        return next(s for s in sources if s.label == "me/styles/one").path()

    path = use()
    asked = len(server.requests)
    assert asked > 0 and use() == path
    assert len(server.requests) == asked


def test_a_new_commit_is_seen_and_a_tag_stays(server, published, folder):
    repo = server.repos["me/styles"]
    repo.refs["v1"] = repo.refs["main"]
    checkpoints.save(folder / "three.safetensors", VGG(**PLAN), name="three")
    checkpoints.write_index(folder)
    repo.commit({p.name: Blob(p.read_bytes()) for p in folder.iterdir()})
    assert "three" in {e.name for e in hub.index(published)[1]}
    assert "three" not in {e.name for e in hub.index(hub.parse("me/styles@v1"))[1]}


def test_without_network_the_cache_serves(server, published, monkeypatch):
    sha, entries = hub.index(published)
    path = hub.fetch(published, sha, entries[1])
    server.close()
    assert hub.index(published) == (sha, entries) and hub.fetch(published, sha, entries[1]) == path
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.index(published) == (sha, entries) and hub.fetch(published, sha, entries[1]) == path
    with pytest.raises(HubError, match="two.safetensors of me/styles: HF_HUB_OFFLINE is set"):
        hub.fetch(published, sha, entries[2])


def sentence(work):
    with pytest.raises(HubError) as caught:
        work()
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_a_dead_network_is_noticed_within_five_seconds(published, monkeypatch, tmp_path):
    import socket
    with socket.socket() as deaf:  # takes connections and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        for endpoint in (f"http://127.0.0.1:{deaf.getsockname()[1]}", "http://127.0.0.1:9", "http://no-such-host.invalid"):
            monkeypatch.setattr(constants, "ENDPOINT", endpoint)
            start = time.monotonic()
            assert "does not answer" in sentence(lambda: list(hub.pull(published, folder=tmp_path / "here")))
            sentence(lambda: hub.index(hub.Repository("me/styles", "0" * 40)))
            assert time.monotonic() - start < 10
    assert not (tmp_path / "here").exists()


def test_gated_private_missing(server, published, tmp_path, monkeypatch):
    repo = server.repos["me/styles"]
    repo.gated, repo.token = True, "another"
    assert "gated" in sentence(lambda: hub.index(published))
    repo.gated, repo.private = False, True
    assert "no repository me/styles that you may read" in sentence(lambda: hub.index(published))
    repo.private = False
    assert "no repository me/none" in sentence(lambda: hub.index(hub.Repository("me/none")))
    assert "revision" in sentence(lambda: hub.index(hub.Repository("me/styles", "v9")))
    server.repo("me/other").commit({"README.md": Blob(b"nothing here")})
    assert "no file index.json" in sentence(lambda: hub.index(hub.Repository("me/other")))
    del repo.commits[repo.refs["main"]]["two.safetensors"]
    assert "no file two.safetensors" in sentence(lambda: list(hub.pull(published, folder=tmp_path / "here")))
    assert not (tmp_path / "here").exists()
    for name in ("styles", "a/b/c", "me/sty les", ""):
        with pytest.raises(InputError, match="owner/name"):
            hub.parse(name)


def test_wrong_content_is_thrown_away(server, published, tmp_path):
    sha, entries = hub.index(published)
    server.corrupt = True
    assert "SHA-256" in sentence(lambda: list(hub.pull(published, folder=tmp_path / "here")))
    assert not (tmp_path / "here").exists()
    server.corrupt = False
    assert checkpoints.sha256(hub.fetch(published, sha, entries[0])) == entries[0].sha256


def test_a_page_instead_of_the_hub(server, published, tmp_path):
    server.html = True
    assert "not the Hub" in sentence(lambda: list(hub.pull(published, folder=tmp_path / "here")))
    server.html = False
    assert len(list(hub.pull(published, folder=tmp_path / "here"))) == 5


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"weights": [{"name": "x"}]}', json.dumps({"weights": [dict(
    name="x", title="x", family="adain", file="../../evil.safetensors", sha256="0", size=1)]})])
def test_an_index_that_is_none(server, text):
    server.repo("me/styles").commit({"index.json": Blob(text.encode())})
    assert "index.json of me/styles cannot be read" in sentence(lambda: hub.index(hub.Repository("me/styles")))


def test_a_connection_that_breaks_is_taken_up_again(server, published, tmp_path):
    server.cut = [500, 700]
    list(hub.pull(published, folder=tmp_path / "here"))
    assert not server.cut and all(problem is None for _, problem in checkpoints.verify(tmp_path / "here"))


def test_a_connection_that_always_breaks(server, published, tmp_path):
    server.cut = [100] * 50
    assert "broke" in sentence(lambda: list(hub.pull(published, folder=tmp_path / "here")))
    assert not (tmp_path / "here").exists()


def test_a_server_that_fails_twice_and_recovers(server, published, tmp_path):
    server.fail = 2
    assert len(list(hub.pull(published, folder=tmp_path / "here"))) == 5
    server.fail = 100
    assert "HTTP 500" in sentence(lambda: hub.index(published))


def test_the_command_line_says_it_in_one_line(server, environment, published, tmp_path):
    """The list goes on with what is here; the exit code tells."""
    done = weights_command(environment, "list", STYLE_TRANSFER_REPO="me/styles,me/none")
    assert done.returncode == 1 and "me/styles/two" in done.stdout and "wct-decoder-4" in done.stdout
    assert done.stderr.strip().count("\n") == 0 and "me/none" in done.stderr
    for arguments, code in ((("pull", "me/none"), 1), (("pull", "me/styles", "three"), 2), (("pull",), 2),
                            (("verify", "--folder", str(tmp_path)), 2)):
        done = weights_command(environment, *arguments)
        assert done.returncode == code and done.stderr.strip().count("\n") == 0 and "Traceback" not in done.stderr, done.stderr


def test_a_folder_that_is_none_is_a_sentence_and_is_not_made(environment, published, tmp_path):
    (tmp_path / "file").write_text("x")
    for arguments in (("index",), ("verify",), ("push", "me/styles")):
        for target in ("nonono", "file"):
            done = weights_command(environment, *arguments, "--folder", tmp_path / target)
            assert done.returncode == 2 and done.stderr.count("\n") == 1 and target in done.stderr, done.stderr
    done = weights_command(environment, "pull", "me/styles", "--folder", tmp_path / "file")
    assert done.returncode == 2 and "is a file" in done.stderr
    assert not (tmp_path / "nonono").exists() and (tmp_path / "file").read_text() == "x"


def test_verify_finds_what_is_wrong(folder):
    assert all(problem is None for _, problem in checkpoints.verify(folder))
    data = bytearray((folder / "one.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "one.safetensors").write_bytes(data)
    (folder / "two.safetensors").rename(folder / "three.safetensors")
    found = dict(checkpoints.verify(folder))
    assert "SHA-256" in found["one.safetensors"] and "missing" in found["two.safetensors"]
    assert "not in the index" in found["three.safetensors"] and found["encoder.safetensors"] is None


def test_the_shipped_index_is_the_one_of_the_files():
    assert all(problem is None for _, problem in checkpoints.verify())
    assert checkpoints.read_index(checkpoints.FOLDER / "index.json") == [
        checkpoints.entry(p)._replace(sha256=checkpoints.sha256(p)) for p in sorted(checkpoints.FOLDER.glob("*.safetensors"))]


def test_a_decoder_from_a_repository_stylises(published, photo, monkeypatch):
    """AdaIN by a decoder and its encoder that lie in the cache only."""
    from style_transfer import arbitrary
    monkeypatch.setenv("STYLE_TRANSFER_REPO", "me/styles")
    path = next(s for s in weights.catalog("adain")[0] if s.label == "me/styles/two").path()
    image = arbitrary.stylize(photo, [photo.flip(3)], decoder=path)
    assert image.shape == photo.shape and not torch.equal(image, arbitrary.stylize(photo, [photo.flip(3)]))
    encoded = arbitrary.encode(photo, decoder=path)
    assert torch.isfinite(arbitrary.stylize(photo, [encoded], decoder=path)).all()
    with pytest.raises(InputError, match="another method or decoder"):
        arbitrary.stylize(photo, [encoded])
