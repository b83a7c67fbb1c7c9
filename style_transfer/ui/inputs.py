"""What a call may bring: every value is judged here, once for all endpoints, before Gradio does anything with it."""

import math
import os
import stat

import gradio as gr

FULL = "Too many pictures are waiting: try again in a minute."
NO_UPLOAD = "A picture here must be a file that was uploaded: choose or upload it again."


class Picture(gr.Image):
    """A picture's file as it was uploaded, unopened: `images.load` decodes it, and says what is wrong with it."""

    is_template = True

    def preprocess(self, payload):
        return payload and payload.path

    def api_info(self):
        return {"type": "object", "properties": {"path": {"type": "string"}, "meta": {"type": "object"}},
                "additional_description": "A picture's file, uploaded before: JPEG, PNG, WebP, GIF, TIFF or BMP."}


def _uploaded(file, folder):
    """A file dictionary that names a regular file of the upload folder, and nothing else that came with it.

    Anything else gets one and the same sentence, and nothing outside of the folder is so much as looked at: neither the
    answer nor its time may tell what there is on the server.
    """
    try:
        folder, path = os.path.realpath(folder), os.path.abspath(file["path"])
        if path.startswith(folder + os.sep):
            path = os.path.realpath(path, strict=True)
            if path.startswith(folder + os.sep) and stat.S_ISREG(os.stat(path).st_mode):
                return {"path": path, "meta": {"_type": "gradio.FileData"}}
    except (TypeError, KeyError, ValueError, OSError):
        pass
    raise gr.Error(NO_UPLOAD, print_exception=False)


def _judge(block, value):
    """A value for a component: as it is, or the component's own where nothing was given. Raises gr.Error, one sentence."""
    if value is None and not isinstance(block, gr.Dataset):
        return block.value
    if isinstance(block, Picture):
        return _uploaded(value, block.GRADIO_CACHE)
    if isinstance(block, gr.File):
        if not isinstance(value, list):
            raise gr.Error(NO_UPLOAD, print_exception=False)
        return [_uploaded(file, block.GRADIO_CACHE) for file in value]
    if isinstance(block, (gr.Slider, gr.Number)):
        whole = block.precision == 0
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        good = good and block.minimum <= value <= block.maximum and not (whole and value % 1)
        wanted = f"a {'whole ' if whole else ''}number from {block.minimum:.12g} to {block.maximum:.12g}"
    elif isinstance(block, gr.Dataset):
        good, wanted = type(value) is int and 0 <= value < len(block.samples), "the number of an example"
    elif isinstance(block, gr.CheckboxGroup):
        names = [name for _, name in block.choices]
        good, wanted = isinstance(value, list) and all(x in names for x in value), f"a list of some of {names}"
    elif isinstance(block, (gr.Radio, gr.Dropdown)):
        names = [name for _, name in block.choices]
        free = getattr(block, "allow_custom_value", False)
        good = isinstance(value, str) and (free or value in names)
        wanted = "a name" if free else f"one of {', '.join(names)}"
    else:
        good, wanted = isinstance(value, str), "a text"
    if not good:
        raise gr.Error(f"{block.label or 'This input'} must be {wanted}.", print_exception=False)
    return value


class Blocks(gr.Blocks):
    """Blocks whose endpoints, public or private, take only what their components are for."""

    def queue(self, *arguments, **options):
        super().queue(*arguments, **options)
        push = self._queue.push

        async def told(*arguments, **options):
            done, value, state = await push(*arguments, **options)
            return done, FULL if state == "queue_full" else value, state

        self._queue.push = told
        return self

    async def preprocess_data(self, block_fn, inputs, state, explicit_call=False):
        if len(inputs) < len(block_fn.inputs):
            raise gr.Error(f"This needs {len(block_fn.inputs)} inputs, not {len(inputs)}.", print_exception=False)
        inputs = [None if block.stateful else _judge(state[block._id] if state and block._id in state else block, value)
                  for block, value in zip(block_fn.inputs, inputs)]
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)

    def get_api_info(self, *arguments, **options):
        info = super().get_api_info(*arguments, **options)
        for fn in self.fns.values():
            endpoint = info["named_endpoints"].get(f"/{fn.api_name}", {"parameters": []})
            for parameter, block in zip(endpoint["parameters"], fn.inputs):
                text = getattr(block, "info", None) or parameter["python_type"]["description"]
                text = f"{parameter['label']}: {text}" if text else parameter["label"]
                parameter["python_type"] = parameter["python_type"] | {"description": text}
        return info
