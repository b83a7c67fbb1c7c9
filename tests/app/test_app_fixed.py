"""The tab of fixed styles in the running app, on small networks with random weights."""

import shutil
from pathlib import Path

import gradio as gr
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import style_transfer as st
from style_transfer import checkpoints, settings
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.multimodal import Multimodal
from style_transfer.ui import recall
from tests.app.app_server import running

CONTENT = next((Path(__file__).resolve().parents[2] / "examples/photos").glob("*.jpg"))


@pytest.fixture(scope="module")
def server(weights, tmp_path_factory):
    temp = tmp_path_factory.mktemp("fixed")
    shutil.copytree(weights, temp / "checkpoints")
    networks = {"zebra": Johnson(width=4, blocks=1), "apple": Johnson(width=4, blocks=1), "papyrus": Multimodal((2, 2, 2))}
    torch.manual_seed(0)
    networks["child"] = child = Johnson(width=4, blocks=1)
    child.load_state_dict({n: x * (1 + 0.2 * torch.randn_like(x)) for n, x in networks["zebra"].state_dict().items()})
    for name, network in networks.items():
        checkpoints.save(temp / f"checkpoints/{name}.safetensors", network, name=name)
        Image.new("RGB", (32, 32), "red").save(temp / f"checkpoints/{name}.jpg")
    with running(temp / "checkpoints", temp) as server:
        yield server


@pytest.fixture
def client(server, tmp_path):
    return Client(server.url, verbose=False, download_files=tmp_path)


def gallery(update):
    """The items of a gallery as the client gives it: the list itself, or an update that holds it."""
    return update["value"] if isinstance(update, dict) else update


def test_multimodal_transfer_shows_its_three_outputs_and_what_changed(client):
    path, _, _, stages = client.predict(handle_file(CONTENT), "papyrus", size=160, api_name="/fixed")
    items = gallery(stages)
    assert [item["caption"].split(",")[0] for item in items] == [
        "Style subnet", "Enhance subnet", "Refine subnet", "What the enhance subnet changed", "What the refine subnet changed"]
    sizes = []
    for item in items:
        with Image.open(item["image"]) as image:
            sizes.append(max(image.size))
    assert sizes == [40, 80, 160, 80, 160]
    with Image.open(path) as last, Image.open(items[2]["image"]) as refined:
        assert last.tobytes() == refined.tobytes()


def test_fixed(client):
    pictures = {name: client.predict(handle_file(CONTENT), name, size=160, api_name="/fixed") for name in ("zebra", "apple")}
    for path, slider, status, stages in pictures.values():
        with Image.open(path) as image:
            assert image.format == "PNG" and max(image.size) == 160
        assert "160" in status and len(slider) == 2 and not gallery(stages)
    assert Path(pictures["zebra"][0]).read_bytes() != Path(pictures["apple"][0]).read_bytes()


def test_strength_zero_is_the_photograph(client):
    path, (before, _), *_ = client.predict(handle_file(CONTENT), "zebra", strength=0, size=160, api_name="/fixed")
    assert torch.equal(st.load(path), (255 * st.load(CONTENT, 160)).round() / 255)
    assert (st.load(before) - st.load(path)).abs().mean() < 0.01  # which is shown as JPEG


def test_two_styles_are_blended(client):
    def paint(**options):
        path, _, status, _ = client.predict(handle_file(CONTENT), "zebra", size=160, api_name="/fixed", **options)
        return path, status
    (path, status), (alone, _), (nothing, _) = paint(other="child", share=0.25), paint(), paint(other="child", share=0)
    assert "zebra 75% + child 25%" in status
    record = settings.read(path)
    assert (record["styles"], record["weights"]) == (["zebra", "child"], [0.75, 0.25])
    assert torch.equal(st.load(alone), st.load(nothing)) and not torch.equal(st.load(alone), st.load(path))
    for wrong, words in (({"other": "apple"}, "do not come from one another"), ({"other": "nobody"}, "by the name of 'nobody'"),
                         ({"other": "child", "share": 2}, "share")):
        with pytest.raises(AppError, match=words):
            paint(**wrong)


@pytest.mark.parametrize("weights, masks, other, share", [
    ([0.75, 0.25], False, "child", 0.25), (None, False, "child", 0.5), (None, True, "", 0.5), ([3, 1], True, "child", 0.25)])
def test_a_blend_comes_back_to_the_controls(weights, masks, other, share):
    controls = {"style": gr.Dropdown(), "other": gr.Dropdown(), "share": gr.Slider()}
    record = settings.make("fixed", ["zebra", "child"], weights, masks)
    _, found = recall.of_record(record, {"fixed": controls})
    assert [found[controls[name]] for name in controls] == ["zebra", other, share]


def test_wrong_input(client, server):
    with pytest.raises(AppError, match="no weights by the name of 'nobody'"):
        client.predict(handle_file(CONTENT), "nobody", api_name="/fixed")
    with pytest.raises(AppError, match="no photograph"):
        client.predict(None, "zebra", api_name="/fixed")
    assert "Traceback" not in server.log.read_text()
