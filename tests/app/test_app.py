"""Both endpoints with real pictures, what they say to wrong input, and stopping."""

import time
from pathlib import Path

import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageChops

PHOTOS = Path(__file__).resolve().parents[2] / "examples" / "photos"
SIZE = 192


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A content and a style picture as small files."""
    folder = tmp_path_factory.mktemp("pictures")
    files = []
    for path in sorted(PHOTOS.glob("*.jpg"))[:2]:
        with Image.open(path) as image:
            image.thumbnail((SIZE, SIZE))
            image.save(folder / f"{path.stem}.png")
            files.append(folder / f"{path.stem}.png")
    return files


def files(paths):
    return [handle_file(p) for p in paths]


def check(result, content, size):
    """A PNG of the content's shape at a long side, and not the content itself."""
    with Image.open(result) as out, Image.open(content) as before:
        assert Path(result).suffix == ".png" and out.format == "PNG"
        width, height = (round(side * size / max(before.size)) for side in before.size)
        assert out.size == (width, height)
        small = before.convert("RGB").resize(out.size)
        assert max(high for _, high in ImageChops.difference(out, small).getextrema()) > 8


@pytest.mark.parametrize("options", [
    dict(), dict(method="cascade", wct_levels=[3, 2, 1], alpha=0.6, preserve_color="luminance"),
    dict(preserve_color="match")])
def test_arbitrary(client, pictures, options):
    result, slider, status = client.predict(*files(pictures), size=SIZE, api_name="/arbitrary", **options)
    check(result, pictures[0], SIZE)
    assert len(slider) == 2
    with Image.open(slider[0]) as before, Image.open(slider[1]) as after:
        assert before.size == after.size
    assert " s" in status


def test_arbitrary_blends_styles(client, pictures):
    content, style = files(pictures)
    one = client.predict(content, style, size=SIZE, api_name="/arbitrary")[0]
    blend = client.predict(content, style, style_3=content, weight_3=0.5, size=SIZE, api_name="/arbitrary")[0]
    check(blend, pictures[0], SIZE)
    assert Path(one).read_bytes() != Path(blend).read_bytes()


def test_gatys_streams_previews(client, pictures):
    job = client.submit(*files(pictures), size=SIZE, iterations=30, api_name="/gatys")
    result, slider, status, plot = job.result(timeout=60)
    check(result, pictures[0], SIZE)
    assert len(slider) == 2
    assert "30 iterations" in status
    assert len(job.outputs()) >= 2
    with Image.open(next(output[0] for output in job.outputs() if isinstance(output[0], str))) as preview:
        assert preview.format == "PNG" and max(preview.size) == SIZE  # Stop leaves a result of the full size
    assert plot


def test_gatys_stops(client, server, pictures):
    job = client.submit(*files(pictures), size=SIZE, iterations=1000, api_name="/gatys")
    while not any(isinstance(output[0], str) for output in job.outputs()):
        assert not job.done(), job.exception()
        time.sleep(0.05)
    assert server.jobs()
    start = time.monotonic()
    job.cancel()
    while server.jobs():
        assert time.monotonic() - start < 5, "the job went on after it was cancelled"
        time.sleep(0.05)
    check(job.outputs()[-1][0], pictures[0], SIZE)
    result = client.predict(*files(pictures), size=SIZE, iterations=10, api_name="/gatys")[0]  # the line is free
    check(result, pictures[0], SIZE)


@pytest.mark.parametrize("endpoint", ["/arbitrary", "/gatys"])
def test_wrong_input_gets_a_sentence(client, server, pictures, tmp_path, endpoint):
    content, style = files(pictures)
    broken = tmp_path / "broken<b>.png"
    broken.write_bytes(b"no picture at all")
    known = server.log.read_text()
    for arguments, words in [((None, style), "no photograph"), ((content, None), "style picture"),
                             ((handle_file(broken), style), "no picture")]:
        with pytest.raises(AppError) as error:
            client.predict(*arguments, api_name=endpoint)
        message = str(error.value)
        assert words in message and "<b>" not in message and "Traceback" not in message
    assert "Traceback" not in server.log.read_text().removeprefix(known)


@pytest.mark.parametrize("endpoint", ["/arbitrary", "/gatys"])
def test_sizes_are_limited(client, pictures, endpoint):
    with pytest.raises(AppError, match="from 128 to"):
        client.predict(*files(pictures), size=100_000, api_name=endpoint)


def test_missing_backbone_gets_a_sentence(client, pictures):
    with pytest.raises(AppError, match="does not answer"):
        client.predict(*files(pictures), size=SIZE, iterations=10, content_layer="relu5_1", backbone="vgg16",
                       api_name="/gatys")


def test_public_endpoints(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/arbitrary", "/fixed", "/gatys", "/neighbours", "/compare", "/film"}
    for name, endpoint in endpoints.items():
        first, second, *rest = endpoint["parameters"]
        assert (first["parameter_name"], second["parameter_name"]) == ("film" if name == "/film" else "content", "style")
        assert all(p["parameter_has_default"] for p in rest)


def test_exif_rotation(client, pictures, tmp_path):
    turned = tmp_path / "turned.jpg"
    with Image.open(pictures[0]) as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.convert("RGB").save(turned, exif=exif)
        width, height = image.size
    result = client.predict(handle_file(turned), handle_file(pictures[1]), size=SIZE, api_name="/arbitrary")[0]
    with Image.open(result) as out:
        assert (out.width < out.height) == (width > height)
