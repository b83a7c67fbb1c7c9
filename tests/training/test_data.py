"""Training pictures: what is found where, what is left out and told, what memory holds, and the crops."""

import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from style_transfer.errors import InputError
from tests.conftest import EXAMPLES
from tests.hub_server import Blob, Hub
from tests.training.conftest import COMMON, SMALL
from training import data, sources
from training.data import Pictures


def crops(pictures, seed=0):
    return pictures.crops(6, 32, random.Random(seed), jitter=0.2)


def test_pictures_are_found_below_and_those_held_out_can_be_read(folder):
    pictures = Pictures(folder, short_side=32)
    assert len(pictures) >= 131 and folder / "broken.jpg" in pictures.paths
    train, test = pictures.split(10)
    assert len(test) == 10 and not {*train.paths} & {*test.paths}
    assert all(min(x.shape[1:]) == 32 and x.dtype == torch.uint8 for x in test)
    with pytest.raises(InputError, match="There is no .*none: name a folder"):
        Pictures(folder / "none")


def test_the_split_comes_from_the_seed(folder):
    """Seed 0 holds out what it did when the shipped weights were trained: the beginning of Python's own shuffle."""
    splits = [Pictures(folder).split(10, seed)[1].paths for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    paths = sorted(folder.rglob("*.jpg"))
    random.Random(0).shuffle(paths)
    assert splits[0] == [path for path in paths[:11] if path.name != "broken.jpg"][:10]


def test_crops(folder):
    pictures = Pictures(folder)
    first = crops(pictures)
    assert first.shape == (6, 3, 32, 32) and 0 <= first.min() and first.max() <= 1
    assert torch.equal(first, crops(pictures)) and not torch.equal(first, crops(pictures, 1))


def test_crops_are_the_same_from_memory_from_files_and_in_threads(folder):
    kept, read = Pictures(folder), Pictures(folder, memory=0)
    with ThreadPoolExecutor(4) as pool:
        results = [list(pool.map(lambda seed, p=p: crops(p, seed), [*range(60)] * 2)) for p in (kept, read)]
    alone = [crops(Pictures(folder), seed) for seed in range(3)]
    for seed in range(60):
        assert all(torch.equal(results[0][seed], x) for x in (results[0][seed + 60], results[1][seed], *alone[seed:seed + 1]))
    assert kept.skipped == read.skipped == {folder / "broken.jpg"}
    assert len(kept.memory) > 100 and not read.memory


def test_memory_is_counted_by_real_bytes(tmp_path):
    """Pictures three times as long as high take three times as much; what does not fit is read from its file."""
    for number in range(12):
        Image.fromarray(np.full((40, 120, 3), 20 * number, np.uint8)).save(tmp_path / f"{number:02d}.png")
    room = 5 * 40 * 120 * 3
    pictures = Pictures(tmp_path, short_side=40, memory=room + 1)
    for _ in range(2):
        assert [int(x[0, 0, 0]) for x in pictures] == [20 * number for number in range(12)]
        assert sorted(pictures.memory) == [0, 1, 2, 3, 4] and pictures.memory.room == 1
    train, test = Pictures(tmp_path, short_side=40, memory=room).split(4)
    assert train.memory is test.memory and len(test.memory) == 5


def test_half_of_the_free_memory_is_left(folder, monkeypatch):
    """Two sets of pictures, as of a training of two processes, take half of what was free, and not half each."""
    free, sets = [200 * 64 * 72 * 3], []
    monkeypatch.setattr(data, "_free", lambda device: free[0] - sum(x.nbytes for s in sets for x in s.memory.values()))
    sets += [Pictures(folder), Pictures(folder)]
    for pictures in sets:
        assert sum(x is not None for x in pictures) >= 130
    assert [len(pictures.memory) for pictures in sets] == [100, 0]


def test_processes_share_a_batch(folder):
    whole = crops(Pictures(folder))
    parts = [Pictures(folder, rank=rank, world_size=2) for rank in range(2)]
    assert torch.equal(whole[0::2], crops(parts[0])) and torch.equal(whole[1::2], crops(parts[1]))
    assert torch.equal(*(part.fixed(6, 32, 1) for part in parts))  # what is validated with is the same everywhere


@pytest.mark.parametrize("memory", [None, 0])
def test_pictures_are_upright(tmp_path, memory):
    """A red half on the left of an upright picture that is stored lying, as telephones do."""
    upright = Image.new("RGB", (64, 128), "blue")
    upright.paste("red", (0, 0, 32, 128))
    stored, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    for name in ("a.jpg", "b.png"):
        stored.save(tmp_path / name, exif=exif)
    for picture in Pictures(tmp_path, memory=memory):
        assert picture.shape == (3, 128, 64)
        red, _, blue = picture.float()
        assert red[:, :28].min() > 200 and red[:, 36:].max() < 60 and blue[:, 36:].min() > 200


def test_broken_and_tiny_pictures_are_left_out_and_told(tmp_path, capsys):
    good = {"good.png": (40, 40), "other.png": (32, 900)}
    for name, size in {**good, "tiny.png": (31, 900), "dot.png": (1, 1)}.items():
        Image.new("RGB", size).save(tmp_path / name)
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    pictures = Pictures(tmp_path)
    assert crops(pictures).shape[0] == 6
    assert [path.name for path, x in zip(pictures.paths, pictures) if x is not None] == [*good]
    assert {p.name for p in pictures.skipped} == {"tiny.png", "dot.png", "cut.png"}
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2 and all(f"tiny: {count} so far" in line for line, count in zip(told, (1, 2)))  # and at 4, 8 ...
    crops(Pictures(tmp_path, rank=1))
    assert capsys.readouterr().out == ""
    for number in range(12):
        (tmp_path / f"{number}.jpg").write_bytes(b"no picture")
    train, test = Pictures(tmp_path).split(10)  # of 17 files two can be read, and each set has one of them
    assert {*train.paths, *test.paths} == {tmp_path / name for name in good} and len(train) == len(test) == 1


def test_too_few_pictures_are_refused(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match="Of 1 files 1 can be read"):
        Pictures(tmp_path).split(1)
    (tmp_path / "one.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="Of 1 files 0 can be read"):
        Pictures(tmp_path).split(1)
    with pytest.raises(InputError, match="100 files in a row"):
        crops(Pictures(tmp_path))
    (tmp_path / "one.png").unlink()
    with pytest.raises(InputError, match="no picture that can be read"):
        Pictures(tmp_path)


def test_a_large_folder_starts_at_once(tmp_path):
    """6,000 files are listed, and some held out, in less time than it takes to decode a tenth of them."""
    name = tmp_path / "0.jpg"
    Image.effect_noise((640, 480), 60).convert("RGB").save(name, quality=92)
    for number in range(1, 6000):
        (tmp_path / f"{number % 7}").mkdir(exist_ok=True)
        os.link(name, tmp_path / f"{number % 7}" / f"{number}.jpg")
    begun = time.perf_counter()
    train, test = Pictures(tmp_path).split(16)
    test.fixed(8, 64, 1)
    start = time.perf_counter() - begun
    assert len(train) == 5984 and len(train.memory) < 50
    begun = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        assert len([*pool.map(Pictures(tmp_path, memory=0).__getitem__, range(100))]) == 100
    assert start < 6 * (time.perf_counter() - begun)


# Sources that hold the same pictures in the same order

HOSTILE = ("../../outside.jpg", "/tmp/absolute.jpg", "C:\\windows.jpg", "a/._a.jpg", "notes.txt", "\x1b[31mred.jpg")


def packed(folder, kind, path):
    """The folder's pictures as an archive or a dataset, among what is no picture or hostile."""
    files = sorted(folder.rglob("*.jpg"), key=str)
    if kind == "dataset":
        rows = {"image": [{"bytes": f.read_bytes(), "path": None} for f in files], "depth": [None] * len(files),
                "label": [*range(len(files))]}
        kinds = datasets.Features({"label": datasets.Value("int64"), "image": datasets.Image(), "depth": datasets.Image()})
        path.mkdir()
        datasets.Dataset.from_dict(rows, features=kinds).to_parquet(path / "train-0.parquet")
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
            for name in HOSTILE:
                archive.writestr(name, b"no picture")
    else:
        with tarfile.open(path, f"w:{kind.partition('.')[2]}") as archive:
            for file in files:
                archive.add(file, file.relative_to(folder))
            for name in HOSTILE:
                entry = tarfile.TarInfo(name)
                entry.size = 10
                archive.addfile(entry, io.BytesIO(b"no picture"))
            for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
                entry = tarfile.TarInfo(f"{number}.jpg")
                entry.type, entry.linkname = kind, "/etc/passwd"
                archive.addfile(entry)
    return path


@pytest.fixture(scope="module")
def few(folder, tmp_path_factory):
    """Twenty of the pictures."""
    path = tmp_path_factory.mktemp("few")
    for number, file in enumerate(sorted(folder.rglob("[1-9]*.jpg"))[:20]):
        (path / "below").mkdir(exist_ok=True)
        os.link(file, path / ("below" if number % 2 else "") / f"{number}.jpg")
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "dataset"])
def test_archives_and_datasets_are_read_as_they_are(few, kind, tmp_path, capsys):
    Path(tmp_path, "in").mkdir()
    source = packed(few, kind, tmp_path / "in" / f"pictures.{kind}")
    expected = {x.numpy().tobytes() for x in Pictures(few)}
    before = {*tmp_path.rglob("*")}
    pictures = Pictures(source, memory=0 if kind in ("zip", "tar") else None)
    assert {x.numpy().tobytes() for x in pictures if x is not None} == expected
    hostile = 0 if kind == "dataset" else 4  # those that look like pictures
    assert len(pictures.skipped) == hostile and not any("\x1b" in line for line in capsys.readouterr().out.splitlines())
    again = Pictures(source)
    assert all(torch.equal(crops(pictures, seed), crops(again, seed)) for seed in range(4))
    assert {*tmp_path.rglob("*")} == before and not Path("/tmp/absolute.jpg").exists()
    both = Pictures(few, source)
    assert len(both) == len(few_files := Pictures(few)) + len(pictures) and len(few_files) == 20


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_damaged_archives_are_a_sentence(few, kind, tmp_path):
    whole = packed(few, kind, tmp_path / f"whole.{kind}").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(InputError, match=r"damaged or incomplete|no folder and no \.zip"):
        crops(Pictures(tmp_path / "cut"))
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(InputError, match=r"text.zip is no folder and no \.zip or \.tar archive"):
        Pictures(tmp_path / "text.zip")


def test_what_is_read_once_must_fit(few, tmp_path, capsys, monkeypatch):
    archive, dataset = packed(few, "tar.gz", tmp_path / "a.tar.gz"), packed(few, "dataset", tmp_path / "dataset")
    picture = Pictures(few)[0].nbytes
    with pytest.raises(InputError, match="Only 7 pictures of .*a.tar.gz fit in memory"):
        Pictures(archive, memory=7.5 * picture)
    monkeypatch.setattr(sources, "STREAMED", 3.5 * picture)
    pictures = Pictures(dataset)
    assert len(pictures) == 3 and "the first 3 pictures are used" in capsys.readouterr().out
    assert len(Pictures(f"{dataset}[:5]")) == 5 and len(Pictures(f"{dataset}:train[:500]")) == 20
    with pytest.raises(InputError, match="Only 4 pictures"):
        Pictures(f"{dataset}:train[:5]", memory=4.5 * picture)


def test_datasets_without_pictures_parts_or_library(few, tmp_path, monkeypatch):
    dataset = packed(few, "dataset", tmp_path / "dataset")
    with pytest.raises(InputError, match="It has train: name one as in"):
        Pictures(f"{dataset}:test")
    (tmp_path / "numbers").mkdir()
    datasets.Dataset.from_dict({"a": [1], "b": ["x"]}).to_parquet(tmp_path / "numbers/train.parquet")
    with pytest.raises(InputError, match=r"no column of pictures \(a, b\)"):
        Pictures(tmp_path / "numbers")
    (tmp_path / "numbers/train.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(InputError, match="The dataset .*numbers cannot be read"):
        Pictures(tmp_path / "numbers")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="pip install datasets"):
        Pictures(dataset)


READ = """
import json, sys
from style_transfer.errors import StyleTransferError
from training.data import Pictures
for name in sys.argv[1:]:
    try:
        print(json.dumps([sum(map(int, x.flatten())) for x in Pictures(name, rank=1)]))
    except StyleTransferError as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
"""


def test_datasets_on_the_hub(few, tmp_path):
    """By the real client against the stand-in Hub, in processes of their own, for the client reads HF_ENDPOINT once."""
    table = packed(few, "dataset", tmp_path / "dataset").joinpath("train-0.parquet").read_bytes()
    files = sorted(few.rglob("*.jpg"), key=str)
    hub = Hub()
    whole = hub.repo("datasets/me/table")
    old = whole.commit({"a/test-0.parquet": Blob(table), "a/validation-0.parquet": Blob(table)})
    whole.commit({"data/train-0.parquet": Blob(table), "data/test-0.parquet": Blob(table)})
    hub.repo("datasets/me/files").commit({f"train/{n:02d}.jpg": Blob(f.read_bytes()) for n, f in enumerate(files)})
    subsets = "---\nconfigs:\n" + "".join(f"- {{config_name: {n}, data_files: {n}/*}}\n" for n in ("one", "two")) + "---"
    hub.repo("datasets/me/subsets").commit({"README.md": Blob(subsets.encode()), "one/0.parquet": Blob(table),
                                             "two/0.parquet": Blob(table)})
    hub.repo("datasets/me/text").commit({"train.csv": Blob(b"a,b\n1,2\n")})
    hub.repo("datasets/me/mine").commit({"train-0.parquet": Blob(table)})
    hub.repo("datasets/me/mine").private = True
    (tmp_path / "me/here").mkdir(parents=True)  # a folder goes first
    os.link(files[0], tmp_path / "me/here/0.jpg")
    hub.repo("datasets/me/here").commit({"data/train-0.parquet": Blob(table)})
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1",
                                "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent)}
    good = ["me/here", "me/table", "me/files", "me/table:test[:3]", f"me/table@{old}:validation", "me/subsets/two"]
    bad = {"me/none": "InputError: There is no me/none here, and no such dataset at http",
           "me/mine": "InputError: There is no me/mine here, and no such dataset at http",
           "me/table@other": "InputError: There is no me/table@other here", f"me/table@{old}": "It has validation, test: name",
           "me/subsets": "named as in owner/name/subset.*one.*two", "me/text": "InputError: The dataset me/text has no column"}
    try:
        result = subprocess.run([sys.executable, "-c", READ, *good, *bad], env=environment, cwd=tmp_path, capture_output=True,
                                text=True, timeout=120)
        assert result.returncode == 0, result.stderr[-2000:]
        lines = [*map(json.loads, result.stdout.splitlines())]
        pictures = Pictures(few)
        sums = {path: int(x.sum(dtype=torch.int64)) for path, x in zip(pictures.paths, pictures)}
        every = [sums[file] for file in files]
        assert lines[:len(good)] == [every[:1], every, every, every[:3], every, every]
    finally:
        hub.close()
    for sentence, words in zip(lines[len(good):], bad.values()):
        assert re.search(words, sentence), sentence

    gone = subprocess.run([sys.executable, "-m", "training.johnson", "--photos", "me/table", "--run-folder",
                           str(tmp_path / "run"), *map(str, SMALL["johnson"] + COMMON)], env=environment, cwd=EXAMPLES.parent,
                          capture_output=True, text=True, timeout=120)
    error = gone.stderr.strip().splitlines()[-1]
    assert gone.returncode == 1 and error.startswith("There is no me/table here, and http") and "network" in error
    assert "Traceback" not in gone.stderr
