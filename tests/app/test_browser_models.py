"""The tab of models in a real browser: the table, a network of one's own, a repository, on a screen and on a phone."""

import pytest

from tests.app.test_app_models import clean_log, hub, johnson, server  # noqa: F401
from tests.app.test_browser import AXE, CHROMIUM, SECONDS, browser, playwright  # noqa: F401

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture
def open_page(browser, server):  # noqa: F811
    pages = []

    def open(width=1280, theme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        pages.append(page)
        page.set_default_timeout(30 * SECONDS)
        playwright.expect.set_options(timeout=30 * SECONDS)
        page.goto(f"{server.url}?__theme={theme}")
        tab(page, "Models")
        page.locator("table.models").wait_for()
        return page

    yield open
    for page in pages:
        page.close()


def tab(page, name):
    """Go to a tab, which on a phone may be behind the button for more of them."""
    page.get_by_role("tab").first.wait_for()
    if page.viewport_size["width"] < 768:
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    else:
        page.get_by_role("tab", name=name, exact=True).click()


def names(page):
    return page.locator("table.models tbody > tr:first-child button").all_inner_texts()


def test_the_table_sorts_and_unfolds(open_page):
    page = open_page()
    by_name, by_size = (page.locator("table.models th").get_by_role("button", name=name) for name in ("Model", "MB"))
    by_name.click()
    assert names(page) == sorted(names(page), key=str.lower) and len(names(page)) > 10
    by_name.click()
    assert names(page) == sorted(names(page), key=str.lower, reverse=True)
    by_size.click()
    sizes = page.locator("table.models tbody > tr:first-child td:last-child").all_inner_texts()
    assert [float(size) for size in sizes] == sorted(float(size) for size in sizes)
    udnie = page.locator("table.models").get_by_role("button", name="Udnie", exact=True)
    udnie.click()
    details = page.locator("table.models tr.details:visible")
    assert details.count() == 1 and "Francis Picabia" in details.inner_text() and "minutes" in details.inner_text()
    assert details.locator("img").evaluate("e => e.naturalWidth") > 50
    udnie.click()
    assert details.count() == 0


@pytest.mark.parametrize("width, theme", [(1280, "light"), (390, "dark")])
def test_for_screen_readers_and_phones(open_page, width, theme):
    page = open_page(width, theme)
    page.evaluate(AXE.read_text())
    page.locator("table.models").get_by_role("button", name="Udnie", exact=True).click()
    found = page.evaluate("() => axe.run('table.models')")["violations"]
    assert not found, [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_ones_own_network_is_offered_to_oneself(open_page, tmp_path):
    page, other = open_page(), open_page()
    path = johnson(tmp_path / "dunes.safetensors")
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Click to Upload").locator("visible=true").click()
    chooser.value.set_files(path)
    page.get_by_text("Dunes works").wait_for()
    playwright.expect(page.locator("table.models tbody").first).to_contain_text("yours, for this visit")
    for visitor, count in ((page, 1), (other, 0)):
        tab(visitor, "Fixed styles")
        visitor.get_by_role("combobox", name="Style").click()
        visitor.get_by_role("option", name="Udnie").wait_for()
        assert visitor.get_by_role("option", name="Dunes (yours)").count() == count
    page.get_by_role("option", name="Dunes (yours)").click()
    page.get_by_role("button", name="Paint", exact=True).locator("visible=true").click()
    page.locator(".history li", has_text="Dunes").wait_for()


def test_a_repository_arrives_in_the_other_tabs(open_page):
    page = open_page()
    page.get_by_role("combobox", name="Repository").fill("me/more")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Fetch", exact=True).click()
    page.get_by_text("Fetched from me/more").wait_for()
    playwright.expect(page.locator("table.models")).to_contain_text("Meadow")
    tab(page, "Fixed styles")
    page.get_by_role("combobox", name="Style").click()
    page.get_by_role("option", name="Meadow").wait_for()
    page.keyboard.press("Escape")
    tab(page, "Arbitrary style")
    page.get_by_text("Advanced").locator("visible=true").first.click()
    page.get_by_role("combobox", name="AdaIN decoder").click()
    page.get_by_role("option", name="Second (second)").wait_for()
