"""The pages as people meet them, in a real browser: axe-core as judge, a keyboard, a phone, quick fingers."""

import shutil
import time
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from style_transfer import networks, ui, weights
from style_transfer.ui import common

playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install playwright")
axe = pytest.importorskip("axe_playwright_python", reason="axe-core judges the pages: pip install axe-playwright-python")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
AXE = Path(axe.__file__).with_name("axe.min.js")
TABS = tuple(tab.TITLE for tab in ui.TABS)
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
        page.locator(".samples .thumbnail-item").first.wait_for()
        choose_tab(page, tab)
        return page

    yield open
    for page in pages:
        page.close()


def choose_tab(page, name):
    """Some are in a menu where the screen is narrow."""
    tab = page.get_by_role("tab", name=name, exact=True).locator("visible=true")
    if not tab.count():
        page.locator(".overflow-menu > button").first.click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.first.click()


def status(page):
    return page.locator(".prose.status:visible").first


def wait_for_status(page, words):
    page.wait_for_function("words => [...document.querySelectorAll('.prose.status')].some(e => e.textContent.includes(words))",
                           arg=words)


def press(page, name):
    page.get_by_role("button", name=name, exact=True).locator("visible=true").first.click()


def fold(page, name):
    page.locator("button.label-wrap", has_text=name).locator("visible=true").first.click()


def paint_cat(page, style=0):
    """Choose a photograph and a style of the tab."""
    source = page.locator("#photograph [data-testid=image] img").get_attribute("src")
    press(page, "Cat")
    page.wait_for_function("old => document.querySelector('#photograph [data-testid=image] img')?.src !== old", arg=source)
    before = status(page).inner_text() if page.locator(".prose.status:visible").count() else ""
    page.locator(".strip:visible .thumbnail-item").nth(style).click()
    page.wait_for_function("""old => [...document.querySelectorAll('.prose.status')].some(
        e => e.offsetParent && e.textContent !== old && e.textContent.includes('pixels'))""", arg=before)


def violations(page):
    """What axe-core calls serious or critical: [(rule, first elements)]."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(v["id"], [node["target"] for node in v["nodes"][:3]]) for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(open_page, width, theme):
    page = open_page(width, theme)
    paint_cat(page)
    for tab in TABS:
        choose_tab(page, tab)
        for fold in page.locator("button.label-wrap:visible").all():
            fold.click()
        page.wait_for_timeout(SECONDS)  # folds open, colours fade
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{tab} is wider than the screen"
        assert not violations(page), tab


def test_the_page_opens_with_a_painting(open_page):
    page = open_page()
    for tab in ("Arbitrary style", "Fixed styles"):
        choose_tab(page, tab)
        after = page.locator("[data-testid=imageslider-image]:visible").nth(1)
        assert after.evaluate("e => e.decode().then(() => e.naturalWidth)") >= 512
        assert "pixels" in status(page).inner_text()
    choose_tab(page, "Compare")
    page.locator(".compared:visible .thumbnail-item").nth(2).wait_for()
    assert "Compare paints your photograph" in status(page).inner_text()
    choose_tab(page, "Gatys")
    assert page.locator("[data-testid=imageslider-image]:visible").nth(1).evaluate(
        "e => e.decode().then(() => e.naturalWidth)") >= 512
    assert not page.get_by_text("Download PNG").locator("visible=true").count()


@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)])
def test_a_click_on_a_style_paints_and_the_button_is_in_sight(open_page, width, height):
    page = open_page(width)
    page.set_viewport_size({"width": width, "height": height})
    begin = page.get_by_role("button", name="Paint", exact=True).locator("visible=true").bounding_box()
    assert begin["y"] + begin["height"] <= height
    start = time.monotonic()
    paint_cat(page, 3)
    assert time.monotonic() - start < 20
    begin, result = (page.locator(e).locator("visible=true").first.bounding_box() for e in (".begin", ".studio > .result"))
    if width < 500:
        assert result["width"] > 0.8 * width and result["y"] < height + 600
    else:
        assert result["x"] > begin["x"] + begin["width"] and result["width"] > 600
    files = [e.get_attribute("src") for e in page.locator("[data-testid=imageslider-image]:visible").all()]
    assert len(files) == 2 and files[0] != files[1]


def test_from_upload_to_download(open_page, tmp_path):
    page = open_page()
    photo = tmp_path / "upload.png"
    with Image.open(common.examples("photos")[0].path) as image:
        image.resize((300, 200)).save(photo)
    press(page, "Remove Image")
    page.locator("#photograph input[type=file]").set_input_files(photo)
    page.locator("#photograph [data-testid=image] img[src*=upload]").wait_for()
    press(page, "Paint")
    wait_for_status(page, "768 × 512 pixels")
    with page.expect_download() as download:
        page.get_by_text("Download PNG").locator("visible=true").first.click()
    with Image.open(download.value.path()) as image:
        assert image.format == "PNG" and image.size == (768, 512)


def test_a_broken_upload_gets_a_sentence(open_page, tmp_path):
    page = open_page()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture at all")
    press(page, "Remove Image")
    page.locator("#photograph input[type=file]").set_input_files(broken)
    page.wait_for_timeout(SECONDS)
    press(page, "Paint")
    page.get_by_text("no picture of a known format").first.wait_for()
    paint_cat(page)  # and the app goes on


def test_two_fixed_styles_are_blended(open_page):
    page = open_page(tab="Fixed styles")
    paint_cat(page)
    fold(page, "Blend with another style")
    page.get_by_label("Other style").click()
    page.get_by_role("option", name="Mosaic", exact=True).click()
    press(page, "Paint")
    wait_for_status(page, "Mosaic 50%")


def test_styles_are_blended_on_the_pad(open_page):
    page = open_page()
    fold(page, "Blend several paintings")
    for number in (2, 3):
        page.get_by_label(f"Style {number}", exact=True).locator("visible=true").first.check()
        page.locator(".strip:visible .thumbnail-item").nth(number).click()
        page.locator(".studio:visible .more [data-testid=image] img").nth(number - 2).wait_for()
    pad = page.locator(".pad:visible")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 2, steps=4)
    page.mouse.up()
    page.wait_for_function("() => [...document.querySelectorAll('.weight input[type=number]')][0].value < 0.1")
    weights = [float(e.input_value()) for e in page.locator(".weight:visible input[type=number]").all()]
    assert sum(weights) == pytest.approx(1, abs=0.01)
    pad.press("ArrowLeft")
    page.wait_for_function("() => [...document.querySelectorAll('.weight input[type=number]')][1].value < 0.92")
    assert "style 1" in pad.get_attribute("aria-valuetext")


def test_regions_are_painted_with_a_brush(open_page):
    """What is not painted stays the photograph, to the pixel but for the edges."""
    page = open_page()
    fold(page, "Where each style goes")
    canvas = page.locator(".stage canvas:visible")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.locator(".brush:visible input").fill("20")
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.8 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    page.locator(".studio:visible img[src*=regions]").wait_for()
    before = status(page).inner_text()
    press(page, "Paint")
    page.wait_for_function("old => { const t = document.querySelector('.prose.status').textContent; "
                           "return t !== old && t.includes('pixels') }", arg=before)
    with page.expect_download() as download:
        page.get_by_text("Download PNG").locator("visible=true").first.click()
    with Image.open(download.value.path()) as image:
        painted = image.convert("RGB")
    with Image.open(common.examples("photos")[1].path) as image:
        photo = image.convert("RGB").resize(painted.size)
    def difference(area):
        return max(ImageStat.Stat(ImageChops.difference(painted.crop(area), photo.crop(area))).mean)
    width, height = painted.size
    assert difference((0, 0, width, height // 2)) < 3
    assert difference((width // 4, 3 * height // 4, 3 * width // 4, 7 * height // 8)) > 15


@pytest.mark.parametrize("width, theme", [(1280, "light"), (390, "dark")])
def test_a_blind_vote_by_keyboard(open_page, width, theme):
    page = open_page(width, theme, "Compare")
    page.set_default_timeout(120 * SECONDS)
    fold(page, "Strengths, steps and size")
    for name, value in (("Steps of Gatys's method", "10"), ("Size: long side, pixels", "128")):
        page.get_by_label(f"number input for {name}").locator("visible=true").fill(value)
        page.keyboard.press("Tab")
    press(page, "Compare")
    wait_for_status(page, " pictures")
    page.get_by_role("button", name="Vote blind").press("Enter")
    panel = page.locator(".blind:visible")
    panel.locator("#vote-left:focus").wait_for()
    panel.locator("img").nth(1).wait_for()
    assert not page.locator(".compared:visible").count()
    names = ("strength", "steps", "Fixed style:")
    assert not [name for name in names if name in panel.inner_text()]
    assert all(image.get_attribute("src").split("/")[-1] == "image.png" for image in panel.locator("img").all())
    page.mouse.move(0, 0)
    page.wait_for_timeout(SECONDS)  # colours fade
    assert not violations(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Enter")
    panel.locator("#vote-another:focus").wait_for()
    assert "You prefer" in panel.inner_text() and "Your votes of this visit: 1, 0 of them equal" in panel.inner_text()
    assert not panel.get_by_text("Send my votes").count()  # there is nobody to send them to
    assert not violations(page)
    page.keyboard.press("Enter")
    panel.locator("#vote-left:focus").wait_for()
    assert not [name for name in names if name in panel.locator("[data-testid=block-label]").nth(0).inner_text()]
    panel.get_by_role("button", name="Back to all pictures").press("Enter")
    page.locator(".compared:visible .thumbnail-item").nth(4).wait_for()


def test_two_visitors_at_once(open_page):
    pages = [open_page(), open_page()]
    for number, page in enumerate(pages):
        page.locator(".strip:visible .thumbnail-item").nth(2 + number).click()
    files = []
    for page in pages:
        page.wait_for_timeout(4 * SECONDS)
        assert "pixels" in status(page).inner_text()
        files.append(page.locator("[data-testid=imageslider-image]:visible").nth(1).get_attribute("src"))
    assert files[0] != files[1]


def test_the_last_of_quick_clicks_wins(open_page):
    page = open_page(tab="Fixed styles")
    paint_cat(page)
    tiles = page.locator(".strip:visible .thumbnail-item")
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
        shown = page.locator("[data-testid=imageslider-image]:visible").nth(1).get_attribute("src")
        assert shown.split("/")[-1] == f"{labels[name]}.png"


def test_a_style_without_a_photograph_says_what_to_do(open_page):
    page = open_page(390, tab="Fixed styles")
    press(page, "Remove Image")
    tile = page.locator(".strip:visible .thumbnail-item").nth(1)
    tile.click()
    page.get_by_text("now choose the photograph").first.wait_for()
    assert tile.get_attribute("aria-label") in page.get_by_text("now choose the photograph").first.inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_no_name_of_a_style_is_cut_off(open_page, width):
    page = open_page(width, tab="Fixed styles")
    tiles = page.locator(".strip:visible .thumbnail-item")
    assert tiles.count() >= 8
    for tile in tiles.all():
        tile.scroll_into_view_if_needed()
        caption = tile.locator(".caption-label")
        assert caption.evaluate("e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight"), "a name is cut off"


def test_everything_has_a_name(open_page):
    page = open_page()
    for tab in ("Arbitrary style", "Fixed styles", "Gatys"):
        choose_tab(page, tab)
        tiles = page.locator(".styles:visible .thumbnail-item")
        assert tiles.count() >= 16
        for tile in tiles.all():
            assert tile.get_attribute("aria-label") == tile.locator(".caption-label").text_content().strip()


def test_by_keyboard_alone(open_page):
    """Choose a photograph, then a style, then move the handle between before and after."""
    page = open_page(tab="Fixed styles")
    page.get_by_role("button", name="Cat", exact=True).first.focus()
    page.keyboard.press("Enter")
    page.locator("#photograph [data-testid=image] img[src*=cat]").wait_for()
    tile = page.locator(".strip:visible .thumbnail-item").nth(3)
    tile.focus()
    page.keyboard.press("Enter")
    wait_for_status(page, f"{tile.get_attribute('aria-label')}, ")
    handle = page.get_by_role("slider", name="Before and after").locator("visible=true")
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
        cut = page.locator("img.fixed:visible").evaluate("e => parseFloat(e.style.clipPath.split(' ').pop())")
        assert abs(cut - value) < 1


def test_gatys_draws_every_term_and_stop_leaves_a_result(open_page):
    page = open_page(tab="Gatys")
    page.get_by_label("number input for Steps").fill("1000")
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
    image = page.locator("[data-testid=imageslider-image]:visible").nth(1)
    assert image.evaluate("e => Math.max(e.naturalWidth, e.naturalHeight)") == 512
