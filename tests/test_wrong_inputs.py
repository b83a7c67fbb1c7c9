"""Wrong inputs, a table for each way in: every one is a sentence, at once, and every file stays what it was.

Python's cases are expressions, the command line's are what people type; both are run in a folder of small files (`here`).
"""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save

import style_transfer as st
from style_transfer import (
    arbitrary,
    backbones,
    checkpoints,
    color,
    convert,
    device,
    fixed,
    gatys,
    hub,
    images,
    neighbours,
    weights,
)
from style_transfer.errors import CheckpointError, HubError, InputError, StyleTransferError
from style_transfer.networks.decoder import Decoder
from style_transfer.networks.johnson import Johnson
from style_transfer.networks.multimodal import Multimodal
from style_transfer.networks.vgg import VGG

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 2
TINY = dict(depths=(1, 1, 1, 1), widths=(2, 2, 2, 2))
NAN, INF = float("nan"), float("inf")


STATE = Johnson(width=2, blocks=1).state_dict()
FIRST = STATE["conv1.weight"]


def weight_file(tensors=STATE, **changes):
    """The bytes of a weight file; what is changed in its header to None is left out."""
    header = {"format": checkpoints.FORMAT, "architecture": "johnson", "arguments": '{"width": 2, "blocks": 1}'} | changes
    return save(tensors, {key: value for key, value in header.items() if value is not None})


GOOD = weight_file()
WEIGHT_FILES = {
    "empty": b"", "seven-bytes": GOOD[:7], "header-only": GOOD[:8 + int.from_bytes(GOOD[:8], "little")],
    "half": GOOD[:len(GOOD) // 2], "one-byte-less": GOOD[:-1], "longer": GOOD + bytes(100), "text": b"these are no weights",
    "zeros": bytes(10_000), "endless-header": b"\xff" * 64, "html": b"<!doctype html>" * 99, "pickle": b"\x80\x02}q\x00.",
    "lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 855374\n",
    "no-tensors": weight_file({}),
    "one-missing": weight_file({key: value for key, value in STATE.items() if value is not FIRST}),
    "one-more": weight_file(STATE | {"more": torch.zeros(3)}),
    "transposed": weight_file(STATE | {"conv1.weight": FIRST.transpose(0, 1).contiguous()}),
    "scalar": weight_file(STATE | {"conv1.weight": torch.tensor(1.0)}),
    "nothing-in-it": weight_file(STATE | {"conv1.weight": torch.zeros(0)}),
    "flat": weight_file(STATE | {"conv1.weight": FIRST.flatten()}),
    "long-name": weight_file(STATE | {"x" * 5000: torch.zeros(2)}),
    "integers": weight_file({key: value.int() for key, value in STATE.items()}),
    "bytes": weight_file({key: value.to(torch.uint8) for key, value in STATE.items()}),
    "complex": weight_file({key: value.to(torch.complex64) for key, value in STATE.items()}),
    "nan": weight_file(STATE | {"conv1.weight": torch.full_like(FIRST, NAN)}),
    "infinite": weight_file(STATE | {"conv1.weight": torch.full_like(FIRST, -INF)}),
    "no-format": weight_file(format=None),
    "next-format": weight_file(format="style-transfer-2"),
    "no-architecture": weight_file(architecture=None),
    "unknown-architecture": weight_file(architecture="cyclogan"),
    "long-architecture": weight_file(architecture="x" * 10_000),
    "two-lines": weight_file(architecture="john\nson"),
    "class-name": weight_file(architecture="style_transfer.networks.johnson.Johnson"),
    "other-architecture": weight_file(architecture="vgg"),
    **{f"arguments-{name}": weight_file(arguments=text) for name, text in {
        "none": None, "empty": "", "no-json": "{width: 2}", "null": "null", "number": "5", "list": "[2, 1]", "text": '"2"',
        "width-nan": '{"width": NaN}', "width-0": '{"width": 0}', "width-negative": '{"width": -2}',
        "width-3": '{"width": 3}', "width-half": '{"width": 2.5}', "width-text": '{"width": "2"}',
        "width-list": '{"width": [2]}', "width-600": '{"width": 600}', "width-10^30": f'{{"width": {10 ** 30}}}',
        "blocks-2000": '{"blocks": 2000}', "blocks-null": '{"blocks": null}', "unknown": '{"wide": 2}',
        "deep": "[" * 50_000, "long": "1" * 50_000}.items()},
    "widths-empty": weight_file(architecture="multimodal", arguments='{"widths": []}'),
    "widths-two": weight_file(architecture="multimodal", arguments='{"widths": [2, 2]}'),
    "level-9": weight_file(architecture="decoder", arguments='{"level": 9, "depths": [1], "widths": [2]}'),
    "depths-and-widths": weight_file(architecture="vgg", arguments='{"depths": [1, 1], "widths": [2]}'),
    "folder": None, "pipe": None, "dangling": None, "loop": None, "device": None,
}
ITEM = dict(name="a", title="A", family="johnson", file="a.safetensors", sha256="", size=5)
INDICES = {
    "empty": "", "no-json": "weights", "null": "null", "list": "[]", "number": "7", "no-weights": "{}", "binary": b"\xff\xfe\0",
    "weights-number": '{"weights": 5}', "weights-text": '{"weights": "ab"}', "weights-null": '{"weights": null}',
    "weights-object": '{"weights": {"a": 1}}', "of-numbers": '{"weights": [1]}', "of-lists": '{"weights": [[]]}',
    "of-nothing": '{"weights": [{}]}', "deep": '{"weights": ' + "[" * 1000 + "]" * 1000 + "}",
    **{f"{key}-{name}": json.dumps({"weights": [ITEM | {key: value}]}) for key, name, value in [
        ("file", "number", 5), ("file", "null", None), ("file", "list", ["a"]), ("file", "parent", "../a.safetensors"),
        ("file", "absolute", "/a.safetensors"), ("file", "hidden", ".safetensors"), ("file", "pickle", "a.pth"),
        ("file", "two-lines", "a\nb.safetensors"), ("size", "text", "5"), ("title", "null", None)]},
    "missing": None, "folder": None, "pipe": None,
}


def write_weights(folder):
    """WEIGHT_FILES, and weights of other layouts."""
    folder.mkdir()
    for name, data in WEIGHT_FILES.items():
        if data is not None:
            (folder / f"{name}.safetensors").write_bytes(data)
    (folder / "folder.safetensors").mkdir()
    os.mkfifo(folder / "pipe.safetensors")
    for name, target in (("dangling", "gone"), ("loop", "loop.safetensors"), ("device", "/dev/zero")):
        (folder / f"{name}.safetensors").symlink_to(target)
    torch.save({"a": 5}, folder / "no-tensors.pth")
    torch.save([torch.zeros(2)], folder / "list.pth")
    torch.save({f"{n}.weight": torch.tensor(1.0) for n in range(9)}, folder / "scalars.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, folder / "one-tensor.pth")
    torch.save(Johnson(width=2, blocks=1), folder / "module.pth")  # a class, whose code would have to be run
    torch.save(STATE, folder / "ours.pth")
    (folder / "empty.pth").touch()
    (folder / "text.pth").write_text("no weights")
    os.mkfifo(folder / "pipe.pth")


def write_indices(folder):
    for name, text in INDICES.items():
        (folder / name).mkdir(parents=True)
        if text is not None:
            (folder / name / "index.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "folder/index.json").mkdir()
    os.mkfifo(folder / "pipe/index.json")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder of pictures, weights and indices, most of them wrong."""
    here = tmp_path_factory.mktemp("here")
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8))
    for name in ("photo.jpg", "style.jpg", "in/1.jpg", "in/2.jpg", "both/a.jpg", "both/a.png", "-dash.jpg"):
        (here / name).parent.mkdir(exist_ok=True)
        image.save(here / name)
    image.resize((1, 1)).save(here / "pixel.png")
    image.resize((400, 2)).save(here / "strip.png")
    for name in ("[red]in[/b].jpg", "broken.jpg", "bad/1.jpg"):  # the first is markup to rich
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_bytes((here / "photo.jpg").read_bytes()[:300])
    (here / "empty.jpg").touch()
    (here / "text.jpg").write_text("no picture")
    (here / "vector.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (here / "nothing").mkdir()
    (here / "clash").mkdir()
    for name in ("a.jpg", "a.png", "a.jpg.jpg"):
        image.save(here / "clash" / name)
    os.mkfifo(here / "pipe.jpg")
    (here / "dangling.jpg").symlink_to("gone.jpg")
    (here / "loop.jpg").symlink_to("loop.jpg")
    (here / "zero.jpg").symlink_to("/dev/zero")
    (here / "link.png").symlink_to("photo.jpg")
    (here / "loop.png").symlink_to("loop.png")
    np.save(here / "huge.npy", np.zeros(1))
    Image.new("1", (15000, 15000)).save(here / "huge.png")
    write_weights(here / "w")
    write_indices(here / "index")
    checkpoints.save(here / "good/good.safetensors", Johnson(width=2, blocks=1))
    checkpoints.write_index(here / "good")
    (here / "good/README.md").touch()
    return here


@pytest.fixture(autouse=True)
def place(here, monkeypatch):
    """In that folder, without a Hub; what lies there must be the same afterwards, and nothing may wait for ever."""
    def files():
        return {str(p.relative_to(here)): p.read_bytes() if p.is_file() and not p.is_symlink() else os.lstat(p).st_mode
                for p in sorted(here.rglob("*"))}

    def ring(*_):
        pytest.fail("it hangs")

    monkeypatch.chdir(here)
    monkeypatch.setattr(device, "_chosen", None)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(here.parent / "no-cache/hub"))
    monkeypatch.setattr(constants, "HF_HOME", str(here.parent / "no-cache"))
    monkeypatch.setenv("TORCH_HOME", str(here.parent / "no-cache"))
    for name in ("STYLE_TRANSFER_REPO", "STYLE_TRANSFER_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    before, old = files(), signal.signal(signal.SIGALRM, ring)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)
    assert files() == before


HINT = r":|must|need|use |choose|name |cannot|at least|or more|only"  # what to do, or what is possible


def check_sentence(text):
    assert 15 <= len(text) <= 400 and text.isprintable() and text[0] != " " and text.endswith("."), text
    assert not re.search(r"[a-z]Error\b|Traceback|'NoneType'|object at 0x|has no attribute", text), text
    assert re.search(HINT, text.lower()), f"says nothing of what to do: {text}"


def tensor(*shape, dtype=torch.float32, fill=0.5):
    return torch.full(shape or (1, 3, 32, 32), fill, dtype=dtype)


class Names:
    """What the expressions of the table may name."""

    photo = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    style = torch.rand(1, 3, 40, 32, generator=torch.Generator().manual_seed(1))
    thin = tensor(1, 3, 2000, 1)
    gradients = tensor().requires_grad_()
    holes = torch.where(torch.arange(32) == 5, NAN, tensor())
    array = np.zeros((1, 3, 32, 32), np.float32)
    mask = tensor(1, 1, 8, 8)


NAMES = {k: v for k, v in vars(Names).items() if k[0] != "_"} | dict(
    st=st, images=images, arbitrary=arbitrary, fixed=fixed, gatys=gatys, neighbours=neighbours, color=color, weights=weights,
    checkpoints=checkpoints,
    hub=hub, backbones=backbones, convert=convert, device=device, torch=torch, np=np, Path=Path, Image=Image, tensor=tensor,
    nan=NAN, inf=INF, os=os, VGG=VGG, Decoder=Decoder, Johnson=Johnson, Multimodal=Multimodal)

WRONG_PICTURES = ["None", "'photo.jpg'", "5", "[]", "[photo]", "array", "Image.new('RGB', (32, 32))", "tensor(3, 32, 32)",
                  "tensor(2, 3, 32, 32)", "tensor(0, 3, 32, 32)", "tensor(1, 1, 32, 32)", "tensor(1, 4, 32, 32)",
                  "tensor(1, 3, 32)", "tensor(32)", "torch.tensor(0.5)", "tensor(1, 3, 0, 32)",
                  "tensor(dtype=torch.uint8, fill=5)",
                  "tensor(dtype=torch.complex64)", "gradients", "holes", "tensor(fill=inf)"]
FEW_PICTURES = ["None", "tensor(3, 32, 32)", "holes", "array"]
WRONG_STRENGTHS = ["None", "'1'", "nan", "inf", "-0.1", "1.1", "[]", "True", "1j"]
WRONG_SIZES = ["0", "15", "-512", "16385", "10 ** 30", "100.5", "nan", "'512'", "[64]", "(64, 64)", "True"]
WRONG_MODES = ["None", "'yes'", "''", "2", "[]", "{}"]
WRONG_DEVICES = ["''", "'foo'", "'cuda:99'", "'cpu:x'", "'meta'", "5.5", "[]", "object"]
WRONG_NAMES = ["None", "''", "5", "[]", "'nonono'", "'../encoder'", "'a/b/c'", "'x' * 5000", "'a\\nb'", "'\\0'", "b'x'"]

PYTHON = [
    *((InputError, f"st.load({x})") for x in [
        "None", "5", "[]", "''", "'nowhere.jpg'", "'no/where.jpg'", "'.'", "Path('in')", "'broken.jpg'", "'empty.jpg'",
        "'text.jpg'", "'vector.svg'", "'huge.npy'", "'huge.png'", "b''", "b'no picture'", "'pipe.jpg'", "'zero.jpg'",
        "'dangling.jpg'", "'loop.jpg'", "'a\\0b.jpg'", "'x' * 5000", "'a\\nb.jpg'", "open('text.jpg')", "photo", "array",
        "Image.new('RGB', (0, 5))", "Image.new('F', (2, 2), nan)", "'photo.jpg', 0", "'photo.jpg', -5", "'photo.jpg', nan",
        "'photo.jpg', inf", "'photo.jpg', 'large'", "'photo.jpg', [64]", "'photo.jpg', 10 ** 30", "'strip.png', 60_000_000"]),
    *((InputError, f"st.save({x})") for x in [
        "None, 'out.png'", "[], 'out.png'", "array, 'out.png'", "Image.new('RGB', (5, 5)), 'out.png'",
        "tensor(2, 3, 8, 8), 'out.png'", "tensor(8, 8), 'out.png'", "tensor(1, 3, 0, 8), 'out.png'", "photo, 'out'",
        "photo, 'out.gif'", "photo, 'out.png.txt'", "photo, ''", "photo, '.'", "photo, '.png'", "photo, 'in'", "photo, None",
        "photo, 5",
        "photo, 'no/out.png'", "photo, 'photo.jpg/out.png'", "photo, 'out.jpg', 'high'", "photo, 'out.jpg', 0",
        "photo, 'out.jpg', 101", "photo, 'out.webp', nan", "tensor(1, 3, 1, 17000), 'out.webp'",
        "tensor(1, 3, 1, 66000), 'out.jpg'"]),
    *((StyleTransferError, f"st.save({x})") for x in [
        "holes, 'out.png'", "tensor(fill=inf), 'out.png'", "photo, 'a\\0b.png'", "photo, 'x' * 300 + '.png'"]),
    *((InputError, f"images.check({x})") for x in WRONG_PICTURES),
    *((InputError, f"images.{x}") for x in [
        "check(photo, 'style', 33)", "resize(photo, 0)", "resize(photo, (0, 5))", "resize(photo, (10 ** 5, 10 ** 5))",
        "resize(photo, 'x')", "resize(photo, nan)", "fit(4, 4, 10 ** 9)", "fit(4, 4, None)", "from_pil(Image.new('L', (0, 0)))",
        "to_pil(None)", "to_pil(tensor(1, 4, 8, 8))", "output_format('out.xyz')", "output_format(None)"]),

    *((InputError, f"arbitrary.encode({x})") for x in FEW_PICTURES),
    *((InputError, f"arbitrary.encode(style, {x})") for x in [
        "None", "'gram'", "''", "[]", "'adain', 'foo'", "'wct', decoder='adain-decoder'", "'adain', decoder='nonono'",
        "'adain', decoder=5", "'adain', decoder='wct-decoder-5'"]),
    (InputError, "arbitrary.encode(tensor(1, 3, 15, 32))"),
    *((CheckpointError, f"arbitrary.encode(style, decoder={x})") for x in [
        "'good/good.safetensors'", "'w/none.safetensors'", "'w/nan.safetensors'", "'encoder'", "'the-scream'", "Path('in')"]),
    *((InputError, f"arbitrary.stylize({x}, [style])") for x in WRONG_PICTURES),
    *((InputError, f"arbitrary.stylize(photo, {x})") for x in [
        "None", "[]", "()", "style", "'style.jpg'", "[None]", "['style.jpg']", "[style, None]", "[tensor(1, 3, 8, 8)]",
        "[holes]",
        "{'a': style}", "[arbitrary.encode(style, 'wct')]", "[style], 5", "[style], 'a'", "[style], [1, 2]", "[style], []",
        "[style, style], [0, 0]", "[style, style], [-1, 2]", "[style, style], [nan, 1]", "[style, style], [inf, 1]",
        "[style], ['much']", "[style], [None]", "[style, style], {1: 2}",
        "[style], masks=mask", "[style], masks=[]", "[style], masks=[None]", "[style], masks=[mask, mask]",
        "[style], masks=[tensor(1, 3, 8, 8)]", "[style], masks=[tensor(8, 8)]", "[style], masks=[tensor(1, 1, 0, 8)]",
        "[style], masks=[tensor(1, 1, 8, 8, fill=nan)]", "[style], masks='left'", "[style], masks=[array]",
        "[style], method='gram'", "[style], method=None", "[style], method='wct', decoder='adain-decoder'",
        "[style], size=None, device='foo'"]),
    *((InputError, f"arbitrary.stylize(photo, [style], method='cascade', levels={x})") for x in [
        "None", "[]", "5", "'4321'", "[0]", "[6]", "[1.5]", "[nan]", "[inf]", "['4']", "[[4]]", "[None]", "[True]"]),
    *((InputError, f"arbitrary.stylize(photo, [style], alpha={x})") for x in WRONG_STRENGTHS),
    *((InputError, f"arbitrary.stylize(photo, [style], size={x})") for x in WRONG_SIZES),
    *((InputError, f"arbitrary.stylize(photo, [style], preserve_color={x})") for x in WRONG_MODES),
    (InputError, "arbitrary.stylize(thin, [style], size=64)"),
    (InputError, "arbitrary.stylize(tensor(1, 3, 15, 400), [style])"),

    *((InputError, f"fixed.stylize({x}, 'the-scream')") for x in FEW_PICTURES),
    *((InputError, f"fixed.stylize(photo, {x})") for x in WRONG_NAMES),
    *((InputError, f"fixed.stylize(photo, {x})") for x in ["'encoder'", "'adain-decoder'", "'pipe.jpg/x'"]),
    *((CheckpointError, f"fixed.stylize(photo, {x})") for x in [
        "Path('nonono')", "Path('in')", "'photo.jpg'", "'w/half.safetensors'", "'w/pipe.safetensors'", "Path('pipe.jpg')",
        "'nonono.safetensors'"]),
    *((InputError, f"fixed.stylize(photo, 'the-scream', {x})") for x in WRONG_STRENGTHS),
    *((InputError, f"fixed.stylize(photo, 'the-scream', size={x})") for x in WRONG_SIZES[:6]),
    *((InputError, f"fixed.stylize(photo, 'the-scream', preserve_color={x})") for x in WRONG_MODES[:4]),
    *((InputError, f"fixed.outputs({x})") for x in [
        "tensor(1, 3, 1, 4097), 'the-scream'", "tensor(1, 3, 8, 32), 'wheat-field'", "photo, 'the-scream', device='foo'",
        "photo, 'the-scream', size='big'"]),
    *((InputError, f"fixed.mix({x})") for x in [
        "None, photo", "photo, None", "photo, array", "photo, holes", "photo, photo, 2", "photo, photo, 1, 'x'"]),

    *((InputError, f"next(gatys.optimize({x}, [style]))") for x in FEW_PICTURES),
    *((InputError, f"next(gatys.optimize(photo, {x}))") for x in [
        "None", "[]", "style", "[None]", "[holes]", "['style.jpg']", "[tensor(1, 3, 1, 32)]", "[style], style_weights=[1, 2]",
        "[style], style_weights=[nan]", "[style], style_weights='a'", "[style], terms=[]", "[style], terms='content'",
        "[style], terms=[None]", "[style], terms=5", "[style], network=5", "[style], network=Johnson(2, 1)",
        "[style], network=VGG((1,), (2,))"]),
    *((InputError, f"next(gatys.optimize(photo, [style], {x}))") for x in [
        "alpha=-1", "alpha=nan", "alpha='1'", "beta=inf", "beta=None", "alpha=0, beta=0", "variation=-1", "variation=nan",
        "content_layer=None", "content_layer='relu9_9'", "content_layer='conv1_1'", "content_layer=['relu1_1']",
        "content_layer='relu5_2'", "style_layers=None", "style_layers=[]", "style_layers='relu1_1'", "style_layers={}",
        "style_layers=['relu9_9']", "style_layers=[None]", "style_layers={'relu1_1': 0}", "style_layers={'relu1_1': -1}",
        "style_layers={'relu1_1': 'x'}", "style_layers={'relu1_1': nan}", "iterations=0", "iterations=-5", "iterations=1.5",
        "iterations=nan", "iterations='300'", "iterations=10 ** 9", "scales=0", "scales=9", "scales=1.5",
        "size=8", "size=nan", "size='512'", "size=20000", "stroke=0", "stroke=nan", "stroke=-1",
        "stroke=100",
        "init='black'", "init=None", "optimizer='sgd'", "optimizer=[]", "backbone='resnet'", "backbone=None", "backbone=[]",
        "seed=-1", "seed=0.5", "seed=None", "seed='0'", "seed=2 ** 31", "preserve_color='yes'", "device='foo'"]),
    *((InputError, f"next(gatys.optimize({x}))") for x in ["tensor(1, 3, 8, 8), [style]", "thin, [style]",
        "tensor(1, 3, 1, 1), [style]"]),
    (HubError, "next(gatys.optimize(photo, [style], backbone='vgg19'))"),

    *((InputError, f"next(neighbours.optimize({x}, [style]))") for x in FEW_PICTURES),
    *((InputError, f"next(neighbours.optimize(photo, {x}))") for x in [
        "None", "[]", "style", "[None]", "[holes]", "['style.jpg']", "[style], network=5",
        "[style], alpha=-1", "[style], alpha=nan", "[style], iterations=0", "[style], iterations=1.5", "[style], size='512'",
        "[style], stroke=0", "[style], backbone='resnet'", "[style], preserve_color='yes'", "[style], device='foo'",
        "[style], masks=[None, None]"]),

    *((InputError, f"color.preserve({x})") for x in [
        "None, photo, 'match'", "photo, None, 'luminance'", "photo, array, 'match'", "photo, style, 'luminance'",
        "photo, tensor(1, 1, 32, 40), 'match'", "photo, photo, 'yes'", "photo, photo, None", "photo, photo, 3",
        "photo, tensor(3, 32, 40), 'match'"]),

    *((InputError, f"weights.find({x})") for x in WRONG_NAMES),
    *((InputError, f"weights.named({x})") for x in [*WRONG_NAMES, "'photo.jpg'", "'/etc/passwd'", "'encoder.safetensors'",
        "Path('encoder')"]),
    *((CheckpointError, f"weights.decoders([{x}])") for x in ["'encoder'", "'good/good.safetensors'", "'w/none.safetensors'"]),
    *((CheckpointError, f"checkpoints.{f}({x})") for f in ("load", "describe", "sha256", "shared", "entry")
      for x in ["'nonono'", "'.'", "'pipe.jpg'", "'/dev/zero'", "'a\\0b'", "'x' * 5000", "''"]),
    *((CheckpointError, f"checkpoints.{x}") for x in [
        "load(None)", "load(-1)", "load([])", "load('photo.jpg')", "verify('nonono')", "verify('photo.jpg')",
        "verify('nothing')", "verify('w')",
        "write_index('nonono')", "write_index('photo.jpg')", "write_index('w')", "read_index('nonono')", "read_index('in')",
        "encoder_of('good/good.safetensors')", "encoder_of('nonono')"]),
    *((InputError, f"hub.parse({x})") for x in [
        "None", "5", "''", "'name'", "'owner/'", "'/name'", "'a/b/c'", "'a b/c'", "'a/b@..'", "'a/b@x y'",
        "'https://huggingface.co/a/b'",
        "'a/../b'", "'a\\n/b'", "[]"]),
    *((HubError, x) for x in [
        "list(hub.pull(hub.parse('a/b'), folder='nothing'))", "hub.push(hub.parse('a/b'), 'good')",
        "hub.index(hub.parse('a/b'))",
        "hub.commit('a/b')", "list(backbones.download('vgg16'))", "backbones.load('vgg19')",
        "backbones.load('vgg16', ['relu5_3'])"]),
    *((InputError, x) for x in [
        "list(hub.pull(hub.parse('a/b'), folder='photo.jpg'))", "hub.push(hub.parse('a/b'), 'nothing')",
        "hub.push(hub.parse('a/b'), 'nonono')", "hub.push(hub.parse('a/b'), 'photo.jpg')", "hub.index(hub.Repository('a b'))"]),
    (CheckpointError, "hub.push(hub.parse('a/b'), 'w')"),
    *((InputError, f"backbones.load({x})") for x in ["None", "'resnet'", "''", "[]", "5", "'VGG19'"]),
    *((CheckpointError, f"convert.convert({x}, 'out.safetensors')") for x in [
        "'nonono.pth'", "'in'", "'photo.jpg'", "'w/empty.pth'", "'w/text.pth'", "'w/pipe.pth'", "'w/list.pth'",
        "'w/no-tensors.pth'",
        "'w/scalars.pth'", "'w/one-tensor.pth'", "'w/module.pth'", "'w/ours.pth'", "'w/half.safetensors'",
        "'good/good.safetensors'",
        "'/dev/zero'", "'x' * 5000"]),
    *((CheckpointError, f"convert.convert('w/ours.pth', {x})") for x in ["'out.pth'", "'out'", "'w/ours.pth'", "''"]),
    *((InputError, f"device.pick({x})") for x in WRONG_DEVICES),
    *((InputError, f"device.use_precision({x})") for x in ["None", "''", "'half'", "'float16'", "16", "[]", "torch.float32"]),
]


@pytest.mark.parametrize("kind, expression", PYTHON, ids=[expression[:80] for _, expression in PYTHON])
def test_python(kind, expression):
    code = compile(expression, "table", "eval")
    start = time.monotonic()
    with pytest.raises(StyleTransferError) as caught:
        eval(code, dict(NAMES))
    seconds = time.monotonic() - start
    check_sentence(str(caught.value))
    assert isinstance(caught.value, kind) and seconds < SECONDS, (caught.value, seconds)


def check_message(text):
    """What the command line prints for wrong input: one line, or typer's box below the usage."""
    assert "Traceback" not in text and "\x1b" not in text
    if "╭─ Error" not in text:  # typer's
        lines = [line for line in text.splitlines() if not re.search(r" \d+/[\d?]+ (pictures|iterations|bytes)\b", line)]
        assert lines
        for line in lines:
            check_sentence(line)


@pytest.mark.parametrize("name", WEIGHT_FILES)
def test_weight_files(name, typed):
    path = f"w/{name}.safetensors"
    for work in (checkpoints.load, lambda path: fixed.stylize(Names.photo, path)):
        start = time.monotonic()
        with pytest.raises(CheckpointError) as caught:
            work(path)
        assert name in str(caught.value) and time.monotonic() - start < SECONDS
        check_sentence(str(caught.value))
    code, text = typed(f"fixed photo.jpg --style {path} -o out.png")
    assert code == 2 and name in text
    check_message(text)


@pytest.mark.parametrize("name", INDICES)
def test_indices(name, typed):
    start = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        checkpoints.read_index(f"index/{name}/index.json")
    check_sentence(str(caught.value))
    code, text = typed(f"weights verify --folder index/{name}")
    assert code == 2 and time.monotonic() - start < SECONDS
    check_message(text)


PAINT = [f"{command} photo.jpg style.jpg -o out.png" for command in ("adain", "wct", "gatys", "neighbours")]
COMMANDS = [
    *((2, f"{method} {rest}") for method in ("adain", "gatys") for rest in [
        "", "photo.jpg", "photo.jpg style.jpg", "photo.jpg -o out.png", "photo.jpg style.jpg -o", "--nonono",
        "nowhere.jpg style.jpg -o out.png", "photo.jpg nowhere.jpg -o out.png", "broken.jpg style.jpg -o out.png",
        "photo.jpg broken.jpg -o out.png", "photo.jpg style.jpg empty.jpg -o out.png", "pipe.jpg style.jpg -o out.png",
        "photo.jpg pipe.jpg -o out.png", "photo.jpg zero.jpg -o out.png", "loop.jpg style.jpg -o out.png",
        "photo.jpg loop.jpg -o out.png", "dangling.jpg style.jpg -o out.png", "photo.jpg nothing -o out.png",
        "pixel.png style.jpg -o out.png", "nothing style.jpg -o out", "'' style.jpg -o out.png", "photo.jpg '' -o out.png",
        "huge.png style.jpg -o out.png", f"{'x' * 300} style.jpg -o out.png", f"photo.jpg {'x' * 300} -o out.png",
        "'[red]in[/b].jpg' style.jpg -o out.png", "'a\nb.jpg' style.jpg -o out.png", "nowhere.jpg style.jpg -o new/out.png",
        "photo.jpg nowhere.jpg -o new/out.png",
        "photo.jpg broken.jpg -o new/out.png", "bad style.jpg -o nothing", "in style.jpg -o out.png",
        "in style.jpg -o out --weights 1,2",
        "in style.jpg -o out --alpha nan"]),
    *((2, f"adain photo.jpg style.jpg -o {output}") for output in [
        "out", "out.gif", "out.txt", "out.png.", "photo.jpg", "./photo.jpg", "link.png", "style.jpg", "../here0/photo.jpg",
        "in/../photo.jpg", "photo.jpg/out.png", "'out\npng'", "new/out.xyz", "in/1.jpg/out.png"]),
    *((2, f"adain {line}") for line in [
        "both/a.png style.jpg -o both", "link.png style.jpg -o .", "link.png style.jpg -o ''", "in style.jpg -o photo.jpg",
        "in style.jpg -o in", "in style.jpg -o in/", "in style.jpg -o nothing/../in", "both style.jpg -o both",
        "clash style.jpg -o out",
        "in style.jpg -o pipe.jpg", "in style.jpg -o photo.jpg/out", "in in/1.jpg -o in",
        "photo.jpg style.jpg -o pipe.jpg/a.png"]),
    *((2, f"{paint} {option}") for paint in PAINT for option in [
        "--alpha x", "--alpha ''", "--alpha nan", "--alpha -1", "--weights ''", "--weights a", "--weights 1,2", "--weights nan",
        "--weights 0", "--weights -1", "--weights inf", "--preserve-color", "--preserve-color yes", "--device foo",
        "--device ''",
        "--device cuda:99", "--device meta", "--precision half", "--precision ''", "--nonono", "--overwrite=yes", "--size 0",
        "--size -5", "--size x", "--size 1.5", "--size nan", "--size 100000"]),
    *((2, f"{paint} {option}") for paint in PAINT[:2] for option in [
        "--alpha 1.1", "--style-size 1", "--style-size x", "--style-size 99999"]),
    *((2, f"{PAINT[0]} --decoder {value}") for value in [
        "nonono", "../encoder", "encoder", "wct-decoder-1", "the-scream", "photo.jpg", "nonono.safetensors", "pipe.jpg", "in",
        "w/half.safetensors", "good/good.safetensors"]),
    *((2, f"cascade photo.jpg style.jpg -o out.png --levels {value}") for value in [
        "''", "0", "6", "9", "-1", "1.5", "nan", "inf", "a", "4,,2", "4;2", "4,nan", "1" * 5000, "True", "None"]),
    *((2, f"{PAINT[2]} {option}") for option in [
        "--alpha 0 --beta 0", "--beta -1", "--beta nan", "--beta x", "--content-layer ''", "--content-layer relu9_9",
        "--content-layer relu1_1,relu2_1", "--content-layer relu5_3", "--style-layers ''", "--style-layers relu9_9",
        "--style-layers relu1_1=", "--style-layers relu1_1=a", "--style-layers relu1_1=-1", "--style-layers relu1_1=nan",
        "--style-layers relu1_1=0", "--style-layers =1", "--style-layers relu1_1=1=2", "--style-layers ,", "--iterations 0",
        "--iterations -1", "--iterations 1.5", "--iterations 1000000", "--iterations nan", "--scales 0", "--scales 9",
        "--scales x", "--stroke 0", "--stroke nan", "--stroke -1", "--stroke inf", "--variation -1",
        "--variation nan", "--init black", "--init ''", "--optimizer sgd", "--backbone resnet", "--backbone ''", "--seed -1",
        "--seed 1.5", "--seed x", "--seed 99999999999", "--size 31"]),
    *((2, f"fixed {rest}") for rest in [
        "", "photo.jpg -o out.png", "photo.jpg --style the-scream", "--style the-scream -o out.png",
        "nowhere.jpg --style the-scream -o out.png", "broken.jpg --style the-scream -o out.png",
        "photo.jpg style.jpg --style the-scream -o out.png", "strip.png --style wheat-field -o out.png --size 16",
        "photo.jpg --style the-scream -o photo.jpg", "photo.jpg --style the-scream -o out.gif",
        "pipe.jpg --style udnie -o out.png",
        "in --style the-scream -o in", "in --style nonono -o out",
        "photo.jpg --style the-scream -o out.png --ray local", "in --style the-scream -o out --ray"]),
    *((2, f"fixed in --style the-scream -o out --ray {address}") for address in [
        "''", "nonono", "ray://127.0.0.1:1", "127.0.0.1", ":9", "127.0.0.1:", "127.0.0.1:x", "'a b:9'", "'a\nb:9'",
        "x" * 1000]),
    *((2, f"fixed photo.jpg -o out.png --style {style}") for style in [
        "''", "nonono", "The-Scream", "../the-scream", "encoder", "adain-decoder", "photo.jpg", "in", "pipe.jpg", "a/b/c",
        "'a b'",
        "nonono.safetensors", "'[red]'", "x" * 1000, "'a\nb'"]),
    *((2, f"fixed photo.jpg -o out.png --style the-scream {option}") for option in [
        "--strength 2", "--strength -1", "--strength nan", "--strength x", "--size 15", "--size x", "--preserve-color 1",
        "--device foo", "--precision foo", "--alpha 1"]),
    *((2, f"weights {rest}") for rest in [
        "nonono", "pull", "pull name", "pull a/b/c", "pull 'a b/c'", "pull a/b --revision ..", "pull a/b --revision 'x y'",
        "pull a/b --folder photo.jpg", "push", "push name", "push a/b --folder nonono", "push a/b --folder nothing",
        "push a/b --folder photo.jpg", "push a/b --folder w", "verify --folder nonono", "verify --folder photo.jpg",
        "verify --folder nothing", "index --folder nonono", "index --folder photo.jpg", "index --folder w",
        "verify --folder out",
        "convert", "convert w/ours.pth", "convert nonono.pth -o out.safetensors", "convert in -o out.safetensors",
        "convert w/pipe.pth -o out.safetensors", "convert w/text.pth -o out.safetensors",
        "convert photo.jpg -o out.safetensors",
        "convert w/list.pth -o out.safetensors", "convert w/module.pth -o out.safetensors",
        "convert w/scalars.pth -o out.safetensors",
        "convert w/ours.pth -o out.safetensors", "convert w/ours.pth -o out.pth", "convert w/ours.pth -o w/ours.pth",
        "convert w/half.safetensors -o out.safetensors", "convert w/half.safetensors -o w/half.safetensors", "list nonono"]),
    *((1, line) for line in [
        "weights pull a/b --folder nothing", "weights pull a/b x --folder nothing", "weights push a/b --folder good",
        "gatys photo.jpg style.jpg -o out.png --backbone vgg19", "gatys photo.jpg style.jpg -o out.png --backbone vgg16",
]),
]


@pytest.mark.parametrize("code, line", COMMANDS, ids=[line[:100] for _, line in COMMANDS])
def test_command_line(code, line, typed):
    start = time.monotonic()
    found, text = typed(line)
    assert found == code, text
    check_message(text)
    assert time.monotonic() - start < SECONDS
