"""Decoders of AdaIN and of WCT in one pass."""

import pytest
import torch

from style_transfer import checkpoints
from style_transfer.networks.decoder import Decoder
from tests.training.conftest import COMMON, SMALL
from training import adain


def test_a_deeper_decoder_begins_as_the_one_that_learnt(monkeypatch):
    encoder, shallow, start = (checkpoints.load(checkpoints.FOLDER / f"{name}.safetensors")
                               for name in ("encoder", "adain-decoder", "wct-decoder-5"))
    deep = Decoder(5, encoder.depths, encoder.widths, skips=True, canvas=shallow.canvas)
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
