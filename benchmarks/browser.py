"""How fast the app is where people meet it, in a browser: from its start to the first page, from a click to the picture, and
the camera's pictures a second.

    python -m benchmarks.browser [--visits 5] [--seconds 20]

Needs Chromium and Playwright. The clicks: an example's style on the page as it opens, then the same by AdaIN at 512 pixels;
each visit has a browser of its own, so that nothing comes out of a cache of the browser's. The camera is a photograph of
640 x 480 that Chromium shows as one, painted at 320 x 240 by WebAssembly.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.large import EXAMPLES
from style_transfer import checkpoints
from tests.app.app_server import running

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
PAINTED = """old => [...document.querySelectorAll('.prose.status')].some(
    e => e.offsetParent && e.textContent !== old && e.textContent.includes('pixels'))"""
SHOWN = "() => [...document.querySelectorAll('[data-testid=imageslider-image]')].every(e => !e.offsetParent || e.complete)"


def visit(browser, url, adain):
    """(seconds until the page can be used, seconds from the click on a style to its picture)."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    begin = time.perf_counter()
    page.goto(f"{url}{'?method=adain&size=512&alpha=1' if adain else ''}")
    tile = page.locator(".strip:visible .thumbnail-item").nth(3)
    tile.wait_for()
    opened = time.perf_counter() - begin
    page.wait_for_timeout(2000)
    old = page.locator(".prose.status:visible").first.inner_text()
    begin = time.perf_counter()
    tile.click()
    page.wait_for_function(PAINTED, arg=old, polling=20)
    page.wait_for_function(SHOWN, polling=20)
    seconds = time.perf_counter() - begin
    page.close()
    return opened, seconds


def camera(browser, url, seconds):
    """Pictures a second that the page's camera paints."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    for tab in ("Video and camera", "Camera"):
        page.get_by_role("tab", name=tab, exact=True).click()
    page.get_by_role("button", name="Start camera").click()
    page.wait_for_function("document.querySelector('.camera canvas').dataset.style")
    count = """seconds => new Promise(done => {
        let number = 0;
        const canvas = document.querySelector('.camera canvas'), context = canvas.getContext('2d'), put = context.putImageData;
        context.putImageData = function (...all) { number += 1; return put.apply(this, all); };
        setTimeout(() => done([number / seconds, canvas.width, canvas.height]), 1000 * seconds);
    })"""
    page.wait_for_timeout(3000)
    found = page.evaluate(count, seconds)
    page.close()
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--visits", type=int, default=5)
    p.add_argument("--seconds", type=int, default=20, help="how long the camera is watched")
    args = p.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        photo = Path(folder, "camera.mjpeg")
        with Image.open(EXAMPLES / "photos" / "astronaut.jpg") as image:
            image.convert("RGB").resize((640, 640)).crop((0, 0, 640, 480)).save(photo, "JPEG", quality=95)

        def browse(function, *arguments):
            flags = [*FLAGS, f"--use-file-for-fake-video-capture={photo}"]
            browser = driver.chromium.launch(executable_path=chromium, args=flags)
            try:
                return function(browser, *arguments)
            finally:
                browser.close()

        (temp := Path(folder, "app")).mkdir()
        begin = time.perf_counter()
        with running(checkpoints.FOLDER, temp) as server:
            print(f"From the start to the first page: {time.perf_counter() - begin:.1f} s", flush=True)
            for text, adain in (("as the page opens", False), ("AdaIN, 512 pixels", True)):
                found = [browse(visit, server.url, adain) for _ in range(args.visits)]
                opened, clicks = zip(*found)
                print(f"Click to picture, {text}: first {clicks[0]:.2f} s, median {statistics.median(clicks):.2f} s, longest "
                      f"{max(clicks):.2f} s; page ready after {statistics.median(opened):.2f} s", flush=True)
            rate, width, height = browse(camera, server.url, args.seconds)
            print(f"Camera, {width:.0f} x {height:.0f} pixels: {rate:.1f} pictures a second")


if __name__ == "__main__":
    main()
