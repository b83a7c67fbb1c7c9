"""What a call may bring: every value is judged here, once for all endpoints, before Gradio does anything with it."""

import base64
import inspect
import math
import os
import stat
import types
from urllib.parse import unquote

import gradio as gr
from gradio.utils import get_upload_folder

FULL = "Too many pictures are waiting: try again in a minute."
ADDRESS = "/gradio_api/file="  # where Gradio shows what was uploaded
# by which clients and agents know that a file is to be given
FILE = {"type": "object", "title": "FileData", "properties": {
    "path": {"type": "string"}, "meta": {"type": "object", "properties": {"_type": {"const": "gradio.FileData"}}}}}
JSON_TYPES = {str: "string", int: "integer", float: "number"}
NO_UPLOAD = "A file here must be one that was uploaded: choose or upload it again."
FRAME, FRAME_BYTES = "data:image/jpeg;base64,", 2_000_000  # how a camera's picture begins; how long it may be
NO_FRAME = "A camera's picture here must be a JPEG below 1.5 MB: let Gradio's own camera take it."


class Picture(gr.Image):
    """A picture's file as it was uploaded, unopened: `images.load` decodes it, and says what is wrong with it."""

    is_template = True
    FILES = "A picture's file: JPEG, PNG, WebP, GIF, TIFF or BMP"

    def preprocess(self, payload):
        return payload and payload.path

    def api_info(self):
        return FILE


class Film(gr.Video):
    """A film's file as it was uploaded, unopened: `video.header` reads it, and says what is wrong with it."""

    is_template = True
    FILES = "A film's file: MP4, MOV, MKV, WebM or AVI"

    def preprocess(self, payload):
        return payload and payload.path

    def api_info(self):
        return FILE


class Frame(gr.Image):
    """A live camera's picture as the bytes of its file, unopened: `images.load` decodes it."""

    is_template = True

    def preprocess(self, payload):
        return payload and payload.url and base64.b64decode(payload.url[len(FRAME):])


def _frame(value):
    """A picture in the text of an address, and nothing else that came with it."""
    url = value.get("url") if isinstance(value, dict) else None
    if isinstance(url, str) and url.startswith(FRAME) and len(url) <= FRAME_BYTES:
        try:
            base64.b64decode(url[len(FRAME):], validate=True)
            return {"url": url, "meta": {"_type": "gradio.FileData"}}
        except ValueError:
            pass
    raise gr.Error(NO_FRAME, print_exception=False)


def uploaded(file, folder=None):
    """A file dictionary that names a regular file of the upload folder, and nothing else that came with it.

    By its path, or by its address, of which the host does not matter: nothing is ever fetched.
    Anything else gets one and the same sentence, and nothing outside of the folder is so much as looked at: neither the
    answer nor its time may tell what there is on the server.
    """
    try:
        name = file["path"]
        if name.startswith(("http://", "https://")):
            name = unquote(name.partition(ADDRESS)[2])
        folder, path = os.path.realpath(folder or get_upload_folder()), os.path.abspath(name)
        if path.startswith(folder + os.sep):
            path = os.path.realpath(path, strict=True)
            if path.startswith(folder + os.sep) and stat.S_ISREG(os.stat(path).st_mode):
                return {"path": path, "meta": {"_type": "gradio.FileData"}}
    except (TypeError, KeyError, ValueError, OSError, AttributeError):
        pass
    raise gr.Error(NO_UPLOAD, print_exception=False)


def _judge(block, value):
    """A value for a component: as it is, or the component's own where nothing was given. Raises gr.Error, one sentence."""
    if value is None and isinstance(block, (Picture, Film)):
        return None  # what stands there when the page opens is no default: who takes it away wants none
    if value is None and not isinstance(block, gr.Dataset):
        return block.value
    if isinstance(block, (Picture, Film)) or isinstance(block, (gr.File, gr.UploadButton)) and block.file_count == "single":
        return uploaded(value, block.GRADIO_CACHE)
    if isinstance(block, Frame):
        return _frame(value)
    if isinstance(block, gr.File):
        if not isinstance(value, list):
            raise gr.Error(NO_UPLOAD, print_exception=False)
        return [uploaded(file, block.GRADIO_CACHE) for file in value]
    if isinstance(block, (gr.Slider, gr.Number)):
        whole = block.precision == 0
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        good = good and block.minimum <= value <= block.maximum and not (whole and value % 1)
        wanted = f"a {'whole ' if whole else ''}number from {block.minimum:.12g} to {block.maximum:.12g}"
    elif isinstance(block, gr.Checkbox):
        good, wanted = isinstance(value, bool), "true or false"
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
        inputs = [*inputs, *[None] * (len(block_fn.inputs) - len(inputs))]  # what is left out at the end has its default
        inputs = [None if block.stateful else _judge(state[block._id] if state and block._id in state else block, value)
                  for block, value in zip(block_fn.inputs, inputs)]
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)

    def get_api_info(self, *arguments, **options):
        info = super().get_api_info(*arguments, **options)
        for fn in self.fns.values():
            endpoint = info["named_endpoints"].get(f"/{fn.api_name}", {"parameters": []})
            for parameter, block in zip(endpoint["parameters"], (block for block in fn.inputs if not block.skip_api)):
                _describe(parameter, block, fn.fn)
        return info


def _meaning(block):
    """What an input is for and which values it takes, for programs and who writes them."""
    text, values = getattr(block, "info", None) or getattr(block, "FILES", ""), ""
    if isinstance(block, (gr.Slider, gr.Number)):
        values = f"From {block.minimum:.12g} to {block.maximum:.12g}"
    elif isinstance(block, (gr.Radio, gr.Dropdown, gr.CheckboxGroup)):
        values = "; ".join(str(name) if name == text else f"{name}: {text}" for text, name in block.choices)
    return " ".join(part.rstrip(".:") + "." for part in (block.label, text, values) if part)


def _describe(parameter, block, function):
    """Say in a parameter of the API's description what it means, which values it takes, and which it has when left out."""
    kind, text = parameter["type"], _meaning(block)
    if isinstance(block, (Picture, Film)):
        default = inspect.signature(function).parameters[parameter["parameter_name"]].default
        parameter |= {"parameter_has_default": default is None, "parameter_default": None, "example_input": None}
    elif isinstance(block, (gr.Slider, gr.Number)):
        kind = kind | {"minimum": block.minimum, "maximum": block.maximum}
    elif isinstance(block, gr.CheckboxGroup):  # which Gradio takes for texts
        kinds = {JSON_TYPES[type(name)] for _, name in block.choices}
        kind = kind | {"items": kind["items"] | {"type": kinds.pop() if len(kinds) == 1 else "number"}}
    parameter["type"] = kind | {"description": text}
    parameter["python_type"] = parameter["python_type"] | {"description": text}


def documented(function, name, blocks):
    """A function under the name of its endpoint, its docstring with what the blocks say: agents are shown both as a tool's."""
    copy = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__, function.__closure__)
    copy.__annotations__, copy.__kwdefaults__ = function.__annotations__, function.__kwdefaults__
    names = [p.name for p in inspect.signature(function).parameters.values()]
    copy.__doc__ = "\n".join([inspect.getdoc(function), "", "Parameters:", *(f"    {name}: {_meaning(block)}" for name, block
                                                                           in zip(names, blocks))])
    return copy
