"""The app and the Hub: weights of a repository, the full VGG-19 on its way, and a network that is not there."""

import socket
import threading
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from style_transfer import checkpoints
from style_transfer.networks.decoder import Decoder
from tests.app.app_server import running
from tests.hub_server import Blob, Hub

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CONTENT, STYLE = (str(next((EXAMPLES / kind).glob("*.jpg"))) for kind in ("photos", "styles"))


@pytest.fixture
def hub(weights, tmp_path):
    """A repository me/more with a second AdaIN decoder for the shipped encoder."""
    encoder = checkpoints.load(weights / "encoder.safetensors")
    decoder = Decoder(4, encoder.depths, encoder.widths)
    checkpoints.save(tmp_path / "more/second.safetensors", decoder, name="second", title="Second", family="adain",
                     encoder=checkpoints.fingerprint(encoder))
    checkpoints.write_index(tmp_path / "more")
    hub = Hub()
    hub.repo("me/more").commit({p.name: Blob(p.read_bytes()) for p in (tmp_path / "more").iterdir()})
    yield hub
    hub.close()


def stylise(client, **options):
    return client.predict(handle_file(CONTENT), handle_file(STYLE), size=128, method="adain", api_name="/arbitrary",
                          **options)[0]


def test_a_decoder_of_a_repository_is_fetched_when_it_is_used(hub, weights, tmp_path):
    with running(weights, tmp_path, HF_ENDPOINT=hub.url, STYLE_TRANSFER_REPO="me/more", HF_HUB_DISABLE_XET="1") as server:
        assert not hub.requests  # nothing is asked before somebody opens the page
        client = Client(server.url, verbose=False, download_files=tmp_path)
        shipped = Path(stylise(client)).read_bytes()
        second = Path(stylise(client, decoder="me/more/second")).read_bytes()
        assert shipped != second and hub.sent > 0
        hub.close()  # from now on there is no network: what is in the cache goes on working
        assert Path(stylise(client, decoder="me/more/second")).read_bytes() == second
        with pytest.raises(AppError, match="does not answer"):
            client.predict(handle_file(CONTENT), handle_file(STYLE), size=128, backbone="vgg19", api_name="/gatys")
        assert Path(stylise(client)).read_bytes() == shipped
        assert "Traceback" not in server.log.read_text()


def test_the_app_starts_and_works_while_the_network_swallows_everything(weights, tmp_path):
    """A listener that never answers: the app asks it for nothing at its start, and is not held up by it."""
    asked = []
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()

        def count():
            while True:
                try:
                    asked.append(deaf.accept())
                except OSError:
                    return

        threading.Thread(target=count, daemon=True).start()
        with running(weights, tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{deaf.getsockname()[1]}",
                     STYLE_TRANSFER_REPO="me/more") as server:
            assert not asked
            client = Client(server.url, verbose=False, download_files=tmp_path)
            assert Path(stylise(client)).stat().st_size > 1000
            assert not asked
            with pytest.raises(AppError, match="does not answer"):
                stylise(client, decoder="me/more/second")
            assert asked and "Traceback" not in server.log.read_text()
        deaf.shutdown(socket.SHUT_RDWR)
