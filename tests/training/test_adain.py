"""Decoders of AdaIN and of WCT in one pass."""

import pytest
import torch

from style_transfer import checkpoints
from style_transfer.networks.decoder import Decoder
from tests.training.conftest import COMMON, SMALL
from training import adain, spin


def test_a_deeper_decoder_begins_as_the_one_that_learnt(monkeypatch):
    encoder, shallow, start = (checkpoints.load(checkpoints.FOLDER / f"{name}.safetensors")
                               for name in ("encoder", "adain-decoder", "wct-decoder-5"))
    deep = Decoder(5, encoder.depths, encoder.widths, skips=True)
    deep.load_state_dict(start.state_dict(), strict=False)
    features = encoder(torch.rand(1, 3, 32, 48), deep.layers)

    def difference():
        adain.take_over(deep, shallow)
        expected, found = (decoder({n: f.clone() for n, f in features.items()}) for decoder in (shallow, deep))
        return float((found - expected).detach().abs().max())
    assert difference() > 1e-3  # the deepest layer is heard
    monkeypatch.setattr(adain, "HEARD", 0.0)
    assert difference() < 1e-5


def test_wct_goes_on_from_a_shallower_decoder(script, inputs, tmp_path, capsys):
    out, words = tmp_path / "wct-decoder.safetensors", (*inputs["adain"], *SMALL["adain"], *COMMON, "--steps", 2)
    script("adain", *words, "--method", "wct", "--take-over", checkpoints.FOLDER / "adain-decoder.safetensors",
           "--run-folder", tmp_path / "run", "-o", out)
    header = checkpoints.describe(out)
    assert (header["family"], header["title"]) == ("wct", "WCT decoder") and "--method wct" in header["command"]
    assert checkpoints.load(out).layers == [f"relu{n}_1" for n in range(5, 0, -1)]
    with pytest.raises(SystemExit) as stopped:
        script("adain", *words, "--method", "wct", "--take-over", checkpoints.FOLDER / "wct-decoder-4.safetensors",
               "--run-folder", tmp_path / "again", "-o", out)
    assert stopped.value.code == 2 and "is no decoder from relu4_1 with skips" in capsys.readouterr().err


def test_the_mean_over_shifts_lies_where_the_picture_does():
    image = torch.rand(2, 3, 48, 64)
    expected = image[:, :, spin.PERIOD:48 - spin.PERIOD, spin.PERIOD:64 - spin.PERIOD]
    assert torch.allclose(spin.spun(lambda x: x, image), expected)
    grid = torch.zeros(1, 1, 64, 64)
    grid[..., ::2] = 1.0  # at every second place, wherever the picture begins

    def paint(x):
        return x + grid[:, :, :x.shape[2], :x.shape[3]]
    assert float((spin.shifted(paint, image, (0, 0)) - expected).std()) > 0.4
    assert torch.allclose(spin.shifted(lambda x: x, image, (3, 5)), expected)


@pytest.mark.parametrize("name", ["adain", "wct"])
def test_a_decoder_learns_from_its_shifts(name, script, inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(spin, "VALIDATION", (2, 64))
    start, out = checkpoints.FOLDER / f"{name}-decoder.safetensors", tmp_path / "out.safetensors"
    words = (*inputs["adain"], "--crop", 64, "--batch", 2, *COMMON, "--steps", 2, "-o", out)
    script("spin", "--decoder", start, *words, "--run-folder", tmp_path / "run")
    header, before = checkpoints.describe(out), checkpoints.describe(start)
    assert all(header[key] == before[key] for key in ("family", "title", "license", "encoder", "arguments"))
    a, b = (torch.cat([p.flatten() for p in checkpoints.load(path).parameters()]) for path in (start, out))
    assert 0 < float((a - b).abs().mean()) < 0.1 * float(a.abs().mean())
    with pytest.raises(SystemExit):
        script("spin", "--decoder", checkpoints.FOLDER / "wct-decoder-3.safetensors", *words,
               "--run-folder", tmp_path / "again")
    assert "is no decoder of AdaIN or WCT in one pass" in capsys.readouterr().err
