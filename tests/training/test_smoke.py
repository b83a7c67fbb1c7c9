"""Every script with --smoke, and what it makes in the app: eight commands that need nothing but what lies in the repository."""

from gradio_client import Client, handle_file

from style_transfer import arbitrary, checkpoints, images
from tests.app.app_server import running
from tests.conftest import EXAMPLES
from tests.training.conftest import COMMON


def test_what_every_smoke_run_makes_paints_in_the_app(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # below which runs/smoke comes to lie
    made = tmp_path / "made"
    encoder = made / "encoder.safetensors"
    script("distill", "--smoke", *COMMON, "-o", encoder)
    script("decoders", "--smoke", *COMMON, "--encoder", encoder, "-o", made)
    script("adain", "--smoke", *COMMON, "--encoder", encoder, "--start", made / "wct-decoder-4.safetensors", "-o",
           made / "adain-decoder.safetensors")
    script("adain", "--smoke", *COMMON, "--method", "wct", "--encoder", encoder, "--start", made / "wct-decoder-5.safetensors",
           "-o", made / "wct-decoder.safetensors")
    styles = {"johnson": ["waves"], "multimodal": ["several"], "cyclegan": ["smoke", "smoke-to-photo"]}
    for name, (style, *_) in styles.items():
        script(name, "--smoke", *COMMON, "--name", style, "-o", made)
    script("slim", "--smoke", *COMMON, "--teacher", "udnie", "-o", made / "camera")
    assert len(list((tmp_path / "runs/smoke").iterdir())) == 8

    checkpoints.write_index(made)
    content, style = (handle_file(EXAMPLES / f"{name}.jpg") for name in ("photos/cat", "styles/waves"))
    (tmp_path / "app").mkdir()
    with running(made, tmp_path / "app") as server:
        client = Client(server.url, verbose=False, download_files=tmp_path)
        for name in sum(styles.values(), []):
            path = client.predict(content, name, size=128, api_name="/fixed")[0]
            assert max(images.load(path).shape[2:]) == 128, name
        for method in arbitrary.METHODS:
            path = client.predict(content, style, method=method, size=128, api_name="/arbitrary")[0]
            assert max(images.load(path).shape[2:]) == 128, method
        path = client.predict(content, style, size=128, iterations=10, api_name="/gatys")[0]
        assert max(images.load(path).shape[2:]) == 128
