"""The pages as people meet them, in a real browser: axe-core as judge, a keyboard, a phone, quick fingers."""

import shutil
from pathlib import Path

import pytest

from style_transfer import networks, weights

playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install playwright")
axe = pytest.importorskip("axe_playwright_python", reason="axe-core judges the pages: pip install axe-playwright-python")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
AXE = Path(axe.__file__).with_name("axe.min.js")
TABS = ("Fixed styles", "Arbitrary style", "Gatys")
SECONDS = 1000  # Playwright counts in milliseconds


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    pages = []

    def open(width=1280, theme="light", tab=TABS[0]):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        pages.append(page)
        page.set_default_timeout(60 * SECONDS)
        page.goto(f"{server.url}?__theme={theme}")
        page.get_by_role("tab", name=tab, exact=True).click()
        page.locator('[id^="examples-"] img:visible').first.wait_for()
        return page

    yield open
    for page in pages:
        page.close()


def status(page):
    return page.locator(".prose.status:visible").first


def wait_for_status(page, words):
    page.wait_for_function("words => [...document.querySelectorAll('.prose.status')].some(e => e.textContent.includes(words))",
                           arg=words)


def paint_example(page, name="cat"):
    page.get_by_role("button", name=name, exact=True).first.click()
    wait_for_status(page, "pixels")


def violations(page):
    """What axe-core calls serious or critical: [(rule, first elements)]."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(v["id"], [node["target"] for node in v["nodes"][:3]]) for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(open_page, width, theme):
    page = open_page(width, theme)
    paint_example(page)
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        for fold in page.locator("button.label-wrap:visible").all():
            fold.click()
        page.wait_for_timeout(SECONDS)  # folds open, colours fade
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{tab} is wider than the screen"
        assert not violations(page), tab


def test_the_last_of_quick_clicks_wins(open_page):
    page = open_page()
    paint_example(page)
    tiles = page.locator(".styles .thumbnail-item")
    names = [tiles.nth(n).get_attribute("aria-label") for n in range(tiles.count())]
    labels = {source.entry.title: source.label for source in weights.installed(*networks.FIXED)[0]}
    for order in ([0, 3, 2, 1, 4], [4, 1, 0, 3, 2]):
        for number in order:
            tiles.nth(number).click(delay=5)
        name = names[order[-1]]
        wait_for_status(page, f"{name}, ")
        page.wait_for_timeout(3 * SECONDS)  # nothing comes after it
        assert status(page).inner_text().startswith(f"{name}, ")
        assert page.get_by_role("combobox", name="Style").input_value() == name
        shown = page.get_by_test_id("imageslider-image").nth(1).get_attribute("src")
        assert shown.split("/")[-1] == f"{labels[name]}.png"


def test_a_style_without_a_photograph_says_what_to_do(open_page):
    page = open_page(390)
    tile = page.locator(".styles .thumbnail-item").nth(1)
    tile.click()
    page.get_by_text("now choose the photograph").first.wait_for()
    assert tile.get_attribute("aria-label") in page.get_by_text("now choose the photograph").first.inner_text()


def test_all_styles_are_inside_their_box_on_a_phone(open_page):
    page = open_page(390)
    box = page.locator(".block.styles").bounding_box()
    tiles = page.locator(".styles .thumbnail-item")
    assert tiles.count() >= 8
    for tile in tiles.all():
        inner = tile.bounding_box()
        assert box["x"] <= inner["x"] and inner["x"] + inner["width"] <= box["x"] + box["width"] + 0.5
        assert box["y"] <= inner["y"] and inner["y"] + inner["height"] <= box["y"] + box["height"] + 0.5
        caption = tile.locator(".caption-label")
        assert caption.evaluate("e => e.scrollWidth <= e.clientWidth"), "a name is cut off"


def test_everything_has_a_name(open_page):
    page = open_page()
    tiles = page.locator(".styles .thumbnail-item")
    for tile in tiles.all():
        assert tile.get_attribute("aria-label") == tile.locator(".caption-label").inner_text().strip()
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        images = page.locator('[id^="examples-"] img:visible')
        images.first.wait_for()
        assert all(image.get_attribute("alt") for image in images.all())


def test_by_keyboard_alone(open_page):
    """Choose an example, then a style, then move the handle between before and after."""
    page = open_page()
    page.get_by_role("button", name="cat", exact=True).first.focus()
    page.keyboard.press("Enter")
    wait_for_status(page, "pixels")
    tile = page.locator(".styles .thumbnail-item").nth(3)
    tile.focus()
    page.keyboard.press("Enter")
    wait_for_status(page, f"{tile.get_attribute('aria-label')}, ")
    handle = page.get_by_role("slider", name="Before and after")
    assert handle.get_attribute("aria-valuenow") == "50"
    for _ in range(60):  # the handle comes up by Tab
        page.keyboard.press("Tab")
        if handle.evaluate("e => e === document.activeElement"):
            break
    else:
        pytest.fail("Tab does not reach the handle")
    for key, value in [("ArrowLeft", 48), ("ArrowRight", 50), ("End", 100), ("ArrowRight", 100), ("Home", 0), ("PageUp", 20)]:
        page.keyboard.press(key)
        playwright.expect(handle).to_have_attribute("aria-valuenow", str(value))
        cut = page.locator("img.fixed").evaluate("e => parseFloat(e.style.clipPath.split(' ').pop())")
        assert abs(cut - value) < 1


def test_gatys_draws_every_term_and_stop_leaves_a_result(open_page):
    page = open_page(tab="Gatys")
    page.locator('[id^="examples-"] td:visible').first.click()
    page.locator('[data-testid="image"] img:visible').nth(1).wait_for()  # both pictures are there
    page.get_by_label("number input for Iterations").fill("1000")
    page.keyboard.press("Tab")
    paint, stop = (page.get_by_role("button", name=name, exact=True).locator("visible=true") for name in ("Paint", "Stop"))
    paint.click()
    wait_for_status(page, " left")
    assert "at 128 ×" in status(page).inner_text()  # a quarter of the final size
    page.locator(".vega-embed path[stroke]").nth(3).wait_for(state="attached")
    curves = page.locator(".vega-embed .mark-line path")
    assert curves.count() == page.locator(".vega-embed .role-legend-label text").count() >= 4
    stop.click()
    wait_for_status(page, "Stopped")
    playwright.expect(stop).to_be_disabled()
    image = page.get_by_role("img", name="The painting so far")
    assert image.evaluate("e => Math.max(e.naturalWidth, e.naturalHeight)") == 512
