"""What was made in this visit: small pictures below the tabs, kept in the page's memory and nowhere else.

A finished result is noted by the browser itself (history.js), which fetches the PNG that the download button holds and reads
the settings in it. Nothing of it comes to the server before somebody asks to use the settings again.
"""

import json
from pathlib import Path

import gradio as gr

from . import common

SCRIPT = Path(__file__).with_name("history.js").read_text()
LONGEST = 20_000  # characters of settings
TEMPLATE = """<section class="history" aria-label="Made in this visit" hidden>
<h2>Made in this visit</h2><p class="note">They are kept in this page alone, and gone when it is closed.</p>
<ol></ol></section>
<dialog class="history-dialog" aria-label="A result"><form method="dialog"><button aria-label="Close">✕</button></form>
<div class="pictures"></div>
<div class="actions"><a class="download">Download</a><button type="button" class="use">Use these settings</button>
<button type="button" class="copy">Copy the settings</button>
<button type="button" class="remove">Remove</button><label>Compare with <select></select></label></div></dialog>"""


class History(gr.HTML):
    """The strip and its dialog. Event `restore`: somebody asks for a result's settings, the value (see `settings`)."""


def build():
    """The component, to be placed once below the tabs."""
    return History("", html_template=TEMPLATE, js_on_load=SCRIPT, apply_default_css=False, label="Made in this visit",
                   padding=False)


def note(button):
    """Let the browser note what a tab's download button holds whenever it changes; to be called inside of the gr.Tab.

    What it opens with is told to the browser, which may see a change to that while it builds the page.
    """
    button.elem_id = f"result-{button._id}"
    tab = button.parent
    while tab and not isinstance(tab, gr.Tab):
        tab = tab.parent
    opening = button.value["url"] if button.value else None
    detail = json.dumps({"id": button.elem_id, "tab": tab.label if tab else "", "opening": opening})
    button.change(None, button, None, js="(file) => { dispatchEvent(new CustomEvent('style-transfer-result', "
                                         f"{{ detail: {{ ...{detail}, url: file && file.url }} }})); }}", **common.PRIVATE)


def settings(text):
    """The settings in a value of `History`, {name: value}; raises gr.Error, one sentence. What is in them is not judged here.

    They come from a picture that anybody may have made.
    """
    try:
        found = json.loads(text if len(text) <= LONGEST else "")
    except (TypeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise gr.Error("This picture holds no settings that can be read: choose them by hand.", print_exception=False)
    return found
