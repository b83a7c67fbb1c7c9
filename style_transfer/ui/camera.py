"""The live camera: painted in the visitor's own browser, or, where that cannot be, by the server.

The page is camera.html, camera.css and camera.js; worker.js runs the networks of checkpoints/camera by onnxruntime-web.
"""

import base64
import io
import threading
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Route

from .. import checkpoints, fixed, images, networks, weights
from . import common
from .inputs import Frame

HERE = Path(__file__).parent
PLACE = "gradio_api/camera"  # below Gradio's own addresses, which reach Python wherever the page itself is made
SIZE = 256  # long side of what the server paints
MAX_PIXELS = 4_000_000  # of what a camera sends
EVERY = 0.25  # seconds between the pictures that a browser sends
# Beside the lines of the other jobs: so many cameras at once, each for so many seconds before the next in line has its turn.
STREAM = dict(concurrency_id="camera", concurrency_limit=4, time_limit=60)
_ONE = threading.Lock()  # picture of all these cameras is painted at a time
TYPES = {".js": "text/javascript", ".mjs": "text/javascript"}
ON_LOAD = """
const base = new URL(props.value.place, (window.gradio_config?.root ?? location.origin).replace(/\\/*$/, "/"));
import(new URL("camera.js", base)).then((module) => module.start(element, { base, styles: props.value.styles }), () => {
  element.querySelector(".said").textContent = "The camera's page could not be fetched: load this page again.";
});
"""


def styles():
    """The styles that a browser can paint, by title: those in `checkpoints/` with a slim network in `checkpoints/camera`."""
    sources, _ = weights.installed(*networks.FIXED)
    return sorted((s for s in sources if _network(s.entry.name).is_file()), key=lambda source: source.entry.title)


def _network(name):
    return checkpoints.FOLDER / checkpoints.CAMERA / f"{name}.onnx"


def _files():
    """What a page may fetch, {name: path}, and nothing else."""
    files = {path.name: path for path in (HERE / "camera.js", HERE / "worker.js")}
    files |= {path.name: path for path in (HERE / "vendor" / "onnxruntime-web").iterdir() if path.suffix in (".gz", ".mjs")}
    for source in styles():
        found = (_network(source.entry.name), source.tile())
        files |= {path.name: path for path in found if path}
    return files


def _serve(request):
    path = _files().get(request.path_params["name"])
    if path is None:
        return PlainTextResponse("There is no such file.", 404)
    return FileResponse(path, media_type=TYPES.get(path.suffix, "application/octet-stream"),
                        headers={"Cache-Control": "public, max-age=3600"})


class Isolation:
    """ASGI middleware: headers by which browsers let a page compute with several threads."""

    HEADERS = [(b"cross-origin-opener-policy", b"same-origin"), (b"cross-origin-embedder-policy", b"credentialless"),
               (b"cross-origin-resource-policy", b"cross-origin")]

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def answer(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self.HEADERS]
            await send(message)
        await self.app(scope, receive, answer if scope["type"] == "http" else send)


APP = dict(routes=[Route(f"/{PLACE}/{{name}}", _serve)], middleware=[Middleware(Isolation)])


def paint(frame, style):
    """A picture of a visitor's camera in a fixed style, by the server: an element of the page, for no file is to be left."""
    with common.as_gradio_errors():
        if not frame:
            return ""
        content, network = images.load(frame, SIZE, MAX_PIXELS), weights.named(style, *networks.FIXED)
        painting = io.BytesIO()
        with _ONE:
            image = fixed.outputs(content, network, device="cpu")[-1]
        images.to_pil(image).save(painting, "JPEG", quality=90)
    address = f"data:image/jpeg;base64,{base64.b64encode(painting.getvalue()).decode()}"
    return f'<img class="painting" alt="The camera\'s picture, painted by the server" src="{address}">'


def build():
    """The camera's components and events."""
    installed, _ = weights.installed(*networks.FIXED)
    if not installed:
        gr.Markdown("There is no fixed style here yet: fetch one in the tab Models, then load this page again.")
        return
    if found := styles():
        _in_the_browser(found)
    else:
        gr.Markdown("No style here has a network for browsers (`python -m training.slim`): the server paints.")
    with gr.Accordion("Where the browser cannot paint: let the server do it", open=not found):
        _by_the_server(sorted((s.entry.title, s.entry.name) for s in installed))


def _in_the_browser(found):
    value = dict(place=f"{PLACE}/", styles=[dict(
        file=_network(s.entry.name).name, title=s.entry.title, tile=s.tile() and s.tile().name) for s in found])
    gr.HTML(value, html_template=(HERE / "camera.html").read_text(), css_template=(HERE / "camera.css").read_text(),
            js_on_load=ON_LOAD, apply_default_css=False, label="Camera")


def _by_the_server(names):
    gr.Markdown("Each picture is sent to the server, painted there and sent back, a few in a second, and kept nowhere.")
    style = gr.Dropdown(names, value=names[0][1], label="Style")
    with gr.Row():
        camera = Frame(label="Camera", sources=["webcam"], streaming=True, height=320,
                       webcam_options=gr.WebcamOptions(constraints={"video": {"width": 320, "height": 240}}))
        painting = gr.HTML(label="Painted by the server", css_template=".painting { width: 100%; height: auto; }")
    camera.stream(paint, [camera, style], painting, stream_every=EVERY, show_progress="hidden",
                  **STREAM, **common.PRIVATE)
