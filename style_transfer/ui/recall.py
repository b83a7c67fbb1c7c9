"""Settings that come back to the controls: from a picture's file, from the visit's history, from the page's address."""

import math
from itertools import zip_longest

import gradio as gr

from .. import settings
from . import address, common, history


def _fitting(component, value):
    """The value as the component can show it, or gr.skip() where it is none of its choices."""
    if isinstance(component, gr.Slider):
        return min(max(value, component.minimum), component.maximum)
    if isinstance(component, (gr.Radio, gr.Dropdown)) and not getattr(component, "allow_custom_value", False):
        return value if value in [name for _, name in component.choices] else gr.skip()
    if isinstance(component, gr.CheckboxGroup):
        names = [name for _, name in component.choices]
        return [one for one in value if one in names] or gr.skip()
    return value


def of_record(record, tabs):
    """What the controls of a record's tab get: (name of the tab, {component: value}); tabs: {name: its controls by name}."""
    name = record["method"] if record["method"] in tabs else "arbitrary"
    controls, options = tabs[name], dict(record["options"])
    options["own_size"] = options.get("size", 0) is None
    if options["own_size"]:
        del options["size"]
    if name == "gatys" and options.get("alpha") and options.get("beta"):
        options["log_ratio"] = round(math.log10(options["alpha"] / options["beta"]), 1)
    options |= {"method": record["method"], "decoder": record["decoder"]}
    found = {controls[key]: _fitting(controls[key], value) for key, value in options.items()
             if key in controls and value is not None}
    if name == "fixed":
        style, *others = record["styles"]
        kept = others[:1] if record["weights"] or not record["masks"] else []  # else each had a place of its own
        if left := others[len(kept):]:
            common.warn([f"Only two styles can be blended here: {', '.join(left)} was left out."])
        first, second = (record["weights"] or [1.0, 1.0])[:2] if kept else (1.0, 1.0)
        other, share = kept[0] if kept else "", second / (first + second) if first + second else 0.5
        return name, found | {controls["style"]: style, controls["other"]: other, controls["share"]: share}
    known = {path.name: str(path) for path in (common.EXAMPLES / "styles").glob("*.jpg")}
    pictures = [known.get(style) for style in record["styles"][:len(controls["styles"])]]
    if missing := [style for style in record["styles"] if style not in known]:
        common.warn([f"Choose these styles again, which are not the app's own: {', '.join(missing)}."])
    weights = record["weights"] or [1.0] * len(pictures)
    sliders = controls.get("weights", [])
    found |= dict(zip_longest(controls["styles"], pictures))
    found |= dict(zip_longest(sliders, (min(weight, 1.0) for weight in weights[:len(sliders)]), fillvalue=1.0))
    return name, found


def of_address(found, tabs):
    """The same for what `address.of` found."""
    name = found.get("tab", "fixed" if "style" in found and "painting" not in found else "arbitrary")
    shown = {controls[key]: _fitting(controls[key], found[key]) for controls in tabs.values()
             for key in (*common.LOOK, "method", "alpha", "strength") if key in controls and key in found}
    if "style" in found:
        shown[tabs["fixed"]["style"]] = found["style"]
    if "painting" in found:
        shown |= {controls["styles"][0]: found["painting"] for controls in tabs.values() if "styles" in controls}
    return name, shown


def build(page, pages, tabs):
    """The ways back: page: `common.Page`; pages: the gr.Tabs; tabs: {name of a tab: its controls by name}."""
    made = history.build()
    upload = gr.UploadButton("Use the settings of a picture that was painted here", file_types=["image"], size="sm",
                             elem_classes="recall")
    every = [x for controls in tabs.values() for control in controls.values()
             for x in (control if isinstance(control, list) else [control])]
    outputs = [pages, *every]

    def restored(record):
        if record is None:
            raise gr.Error("This picture holds no settings that can be read: choose them by hand.", print_exception=False)
        name, found = of_record(record, tabs)
        gr.Info(settings.describe(record))
        return found | {pages: gr.Tabs(selected=name)}

    def from_history(text):
        with common.as_gradio_errors():
            return restored(settings.check(history.settings(text)))

    def from_picture(path):
        with common.as_gradio_errors():
            return restored(settings.read(path))

    def from_address(request: gr.Request):
        found = address.of(request, list(tabs))
        if not found:
            return {pages: gr.skip()}
        name, shown = of_address(found, tabs)
        return shown | {pages: gr.Tabs(selected=name)} | (
            {page.content: found["photograph"]} if "photograph" in found else {})

    made.restore(from_history, made, outputs, **common.QUIET)
    upload.upload(from_picture, upload, outputs, **common.QUIET)
    gr.on(None, from_address, None, [page.content, *outputs], **common.QUIET)
