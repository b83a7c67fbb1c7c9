"""What the tabs share: picture inputs, several styles with weights, the core's errors as sentences, examples."""

import contextlib
import html
import tempfile
from pathlib import Path

import gradio as gr

from .. import images
from ..errors import InputError, StyleTransferError
from .inputs import Picture

try:
    from spaces import GPU as on_gpu  # ZeroGPU lends a GPU for a call's length; elsewhere this changes nothing
except ImportError:
    def on_gpu(duration):
        """Nothing to decorate with outside Spaces."""
        return lambda function: function

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HEAVY = dict(concurrency_id="heavy", concurrency_limit=1)  # whatever computes waits in one line
PRIVATE = dict(api_visibility="private")
MAX_STYLES = 4


def picture(label, height=240):
    """An input for one picture."""
    return Picture(label=label, type="filepath", sources=["upload", "clipboard"], height=height, min_width=140,
                   buttons=["fullscreen"])


def more_styles():
    """An accordion for styles beyond the first: ([three pictures], [four weights])."""
    with gr.Accordion("Blend several styles", open=False):
        first = gr.Slider(0, 1, 1, step=0.05, label="Weight of the first style")
        with gr.Row():
            pictures, weights = [], [first]
            for n in range(2, MAX_STYLES + 1):
                with gr.Column(min_width=140):
                    pictures.append(picture(f"Style {n}", height=150))
                    weights.append(gr.Slider(0, 1, 1, step=0.05, label="Weight", elem_classes="weight",
                                             buttons=[]))
    return pictures, weights


def before_and_after():
    """The result beside the photograph: (download button, slider, status, row that appears with the first result)."""
    slider = gr.ImageSlider(label="Before and after", type="filepath", format="png", height="min(520px, 92vw)",
                            max_height=520, buttons=["fullscreen"], interactive=False)
    status = gr.HTML(elem_classes="status", label="Status", padding=False)
    with gr.Row(visible=False) as done:
        download = gr.DownloadButton("Download PNG")
    return [download, slider, status, done]


def load_pictures(content, styles, weights, size):
    """Files to tensors: (content, [style ...], [weight ...]) without the styles that were not given."""
    if not content:
        raise InputError("There is no content picture yet: choose the photograph to be painted.")
    given = [(s, w) for s, w in zip(styles, weights, strict=True) if s]
    if not given:
        raise InputError("There is no style picture yet: choose a painting or a pattern.")
    weights = [w for _, w in given] if len(given) > 1 else None
    return images.load(content, size), [images.load(s, size) for s, _ in given], weights


def job_folder():
    """A folder for a job's files, gone with the job: Gradio copies what it is given."""
    return tempfile.TemporaryDirectory(prefix="style-transfer-")


@contextlib.contextmanager
def sentences():
    """Show the core's errors as the sentences that they are."""
    try:
        yield
    except StyleTransferError as error:
        message = html.escape(str(error), quote=False)
        raise gr.Error(message, print_exception=False) from None


def photographs(content):
    """The example photographs, by one click into the input; None where there are none."""
    files = [[str(p)] for p in sorted((EXAMPLES / "photos").glob("*.jpg"))]
    if not files:
        return None
    return gr.Examples(files, [content], label="Examples", cache_examples=False, api_visibility="private",
                       examples_per_page=12, elem_id=f"examples-{content._id}")


def examples(content, style):
    """Pairs of a photograph and a style from examples/, by one click into the two inputs; None where there are none."""
    photos, styles = (sorted((EXAMPLES / name).glob("*.jpg")) for name in ("photos", "styles"))
    pairs = [[str(photos[i % len(photos)]), str(s)] for i, s in enumerate(styles[:12])] if photos else []
    if not pairs:
        return None
    return gr.Examples(pairs, [content, style], label="Examples", cache_examples=False, api_visibility="private",
                       examples_per_page=12, elem_id=f"examples-{content._id}")
