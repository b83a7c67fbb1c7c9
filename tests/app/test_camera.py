"""The live camera as visitors meet it: Chromium with a photograph for a camera."""

import shutil
import threading
import urllib.error
import urllib.request

import gradio as gr
import pytest
import torch
from PIL import Image

from style_transfer import checkpoints, fixed, images
from style_transfer.ui import camera, inputs
from tests.conftest import EXAMPLES

playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install playwright")
playwright.expect.set_options(timeout=30_000)  # milliseconds: a busy machine is slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream"]
SECONDS = 1000  # Playwright counts in milliseconds
STYLES = [source.entry.name for source in camera.styles()]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """What Chromium shows as its camera: one photograph of 640 x 480, again and again."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with Image.open(EXAMPLES / "photos" / "astronaut.jpg") as photo:
        photo.convert("RGB").resize((640, 640)).crop((0, 0, 640, 480)).save(path, "JPEG", quality=95)
    return path


@pytest.fixture(scope="module")
def browser(film):
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[
            *FLAGS, "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"])
        yield browser
        browser.close()


def show(page, server, theme="light"):
    page.set_default_timeout(60 * SECONDS)
    page.goto(f"{server.url}?__theme={theme}")
    page.get_by_role("tab", name="Video and camera", exact=True).click()
    page.get_by_role("tab", name="Camera", exact=True).click()
    playwright.expect(page.get_by_role("button", name="Start camera")).to_be_enabled()
    return page


@pytest.fixture
def page(browser, server):
    page = browser.new_page()
    yield show(page, server)
    page.close()


def painted(page, style):
    page.wait_for_function("style => document.querySelector('.camera canvas').dataset.style === style", arg=f"{style}.onnx")


def start(page, style=STYLES[0]):
    page.get_by_role("button", name="Start camera").click()
    painted(page, style)


def title(style):
    return checkpoints.describe(checkpoints.FOLDER / f"{style}.safetensors")["title"]


# The pixels of a canvas as [height, width, 4] in a flat list, and the camera's picture as the page takes it.
PIXELS = """() => {
  const canvas = document.querySelector(".camera canvas"), video = document.querySelector(".camera video");
  const taken = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = taken.getContext("2d");
  context.setTransform(-1, 0, 0, 1, taken.width, 0);
  context.drawImage(video, 0, 0, taken.width, taken.height);
  return [taken, canvas].map((one) => [one.height, one.width,
    ...one.getContext("2d").getImageData(0, 0, one.width, one.height).data]);
}"""


def picture(numbers):
    height, width, *values = numbers
    return torch.tensor(values, dtype=torch.float32).view(1, height, width, 4)[..., :3].permute(0, 3, 1, 2) / 255


@in_browser
def test_the_browser_paints_what_pytorch_paints(page):
    start(page)
    page.wait_for_timeout(2 * SECONDS)  # the camera's first pictures are over
    content, painting = map(picture, page.evaluate(PIXELS))
    assert content.shape == painting.shape == (1, 3, 240, 320)
    expected = fixed.outputs(content, checkpoints.FOLDER / "camera" / f"{STYLES[0]}.safetensors", device="cpu")[-1]
    assert (painting - expected).abs().mean() < 2 / 255
    assert (painting - content).abs().mean() > 20 / 255
    assert page.evaluate("crossOriginIsolated"), "no threads"


@in_browser
def test_it_goes_on_without_the_server_and_sends_nothing(page, tmp_path):
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method != "GET" else None)
    fetched = set()
    page.on("response", lambda answer: fetched.add(answer.url.rpartition("/")[2]))
    start(page)
    page.wait_for_timeout(SECONDS)
    while not {f"{style}.onnx" for style in STYLES} <= fetched:
        page.wait_for_timeout(100)
    page.wait_for_timeout(SECONDS)
    page.context.set_offline(True)
    for style in STYLES[1:]:
        tile = page.get_by_role("button", name=title(style), exact=True)
        tile.click()
        painted(page, style)
        assert tile.get_attribute("aria-pressed") == "true"
        assert title(style) in page.locator(".camera [role=status]").inner_text()
        assert title(style) in page.locator(".camera canvas").get_attribute("aria-label")
    assert page.locator('.camera [aria-pressed="true"]').count() == 1
    with page.expect_download() as download:
        page.get_by_role("button", name="Snapshot").click()
    download.value.save_as(tmp_path / "snapshot.png")
    with Image.open(tmp_path / "snapshot.png") as snapshot:
        assert (snapshot.format, snapshot.size) == ("PNG", (320, 240))
    assert not sent


@in_browser
def test_detail_changes_while_it_runs_and_stop_ends_the_camera(page):
    start(page)
    page.get_by_label("Detail").select_option("192")
    page.wait_for_function("document.querySelector('.camera canvas').width === 192")
    page.locator(".camera .rate", has_text="pictures a second").wait_for()
    page.evaluate("window.track = document.querySelector('.camera video').srcObject.getVideoTracks()[0]")
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    assert page.evaluate("track.readyState") == "ended"
    start(page)
    page.evaluate("window.track = document.querySelector('.camera video').srcObject.getVideoTracks()[0]")
    page.get_by_role("tab", name="Fixed styles", exact=True).click()  # nobody is filmed behind a closed tab
    page.wait_for_function("track.readyState === 'ended'")


@in_browser
def test_by_keyboard_alone(page):
    page.get_by_role("button", name="Start camera").focus()
    page.keyboard.press("Enter")
    painted(page, STYLES[0])
    for _ in range(4):  # Stop, Snapshot, the first tile, the second
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == title(STYLES[1]):
            break
    page.keyboard.press("Space")
    painted(page, STYLES[1])


ERRORS = {"NotAllowedError": "is not allowed", "NotFoundError": "no camera here", "NotReadableError": "in use by another"}


@in_browser
@pytest.mark.parametrize("name", ERRORS)
def test_a_camera_that_cannot_be_had_is_a_sentence(page, name):
    page.evaluate("name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }", name)
    page.get_by_role("button", name="Start camera").click()
    page.get_by_text(ERRORS[name]).wait_for()
    assert page.get_by_role("button", name="Start camera").is_enabled()


@in_browser
@pytest.mark.parametrize("script", ["delete Navigator.prototype.mediaDevices", "delete window.WebAssembly",
                                    "delete window.DecompressionStream"])
def test_an_old_browser_is_told_of_the_server(browser, server, script):
    page = browser.new_page()
    page.add_init_script(script)
    show(page, server)
    page.get_by_role("button", name="Start camera").click()
    page.get_by_text("let the server paint, below").wait_for()
    page.close()


@in_browser
def test_a_broken_download_is_a_sentence_and_the_next_start_works(page):
    page.route("**/*.wasm.gz", lambda route: route.abort())
    page.get_by_role("button", name="Start camera").click()
    page.get_by_text("cannot paint by itself").wait_for()
    page.unroute("**/*.wasm.gz")
    start(page)


@in_browser
def test_the_server_paints_where_the_browser_cannot(page):
    page.get_by_role("button", name="Where the browser cannot").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_role("button", name="capture photo").click()
    image = page.get_by_role("img", name="painted by the server")
    image.wait_for()
    first = image.get_attribute("src")
    page.get_by_role("listbox", name="Style").or_(page.get_by_label("Style", exact=True)).last.click()
    page.get_by_role("option", name=title(STYLES[-1])).click()
    page.wait_for_function("first => document.querySelector('img.painting').src !== first", arg=first)
    assert max(image.evaluate("e => [e.naturalWidth, e.naturalHeight]")) == camera.SIZE


def answer(url):
    try:
        with urllib.request.urlopen(url) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_files_of_the_camera_and_no_others_are_served(server):
    place = f"{server.url}{camera.PLACE}/"
    status, headers, body = answer(f"{place}{STYLES[0]}.onnx")
    assert (status, body) == (200, (checkpoints.FOLDER / "camera" / f"{STYLES[0]}.onnx").read_bytes())
    assert headers["Content-Type"] == "application/octet-stream"
    assert answer(f"{place}worker.js")[1]["Content-Type"].startswith("text/javascript")
    for name in ("camera.py", "..%2fcamera.py", "%2e%2e/camera.py", "README.md", f"{STYLES[0]}.safetensors", "index.json",
                 "..%2f..%2f..%2fcheckpoints%2findex.json", "", "a" * 5000, "%00"):
        assert answer(place + name)[0] == 404, name
    for address in (server.url, f"{place}worker.js"):
        headers = answer(address)[1]
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "credentialless"


HOSTILE = [{"path": "/etc/passwd"}, {"url": "http://127.0.0.1/"}, {"url": "file:///etc/passwd"}, {"url": inputs.FRAME + "?"}, 3,
           {"url": "data:image/svg+xml;base64,PHN2Zy8+"}, {"url": ["x"]}, "x", [], {"url": inputs.FRAME + "A" * 3_000_000}]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: str(value)[:40])
def test_hostile_pictures_of_a_camera_are_refused(value):
    with pytest.raises(gr.Error, match="must be a JPEG"):
        inputs._judge(inputs.Frame(sources=["webcam"], streaming=True), value)


def test_what_is_no_picture_is_said_and_what_is_too_large_too():
    with pytest.raises(gr.Error, match="picture"):
        camera.paint(b"no picture", STYLES[0])
    with pytest.raises(gr.Error, match="no weights by the name"):
        camera.paint((EXAMPLES / "photos" / "cat.jpg").read_bytes(), "../encoder")


def test_cameras_wait_for_no_other_job():
    """While a long job computes, a camera's picture is painted."""
    from style_transfer.ui import turns
    element, done = [], threading.Event()
    content = (EXAMPLES / "photos" / "cat.jpg").read_bytes()
    long = turns._DEVICE.submit(done.wait, 90)
    thread = threading.Thread(target=lambda: element.append(camera.paint(content, STYLES[0])))
    thread.start()
    thread.join(60)
    assert not long.done()
    done.set()
    assert element and element[0].startswith("<img")
    assert max(images.load(camera.base64.b64decode(element[0].partition("base64,")[2].partition('"')[0])).shape) == camera.SIZE
