"""The command line as people run it: a subprocess on real pictures."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from tests.conftest import EXAMPLES

PHOTO = sorted((EXAMPLES / "photos").glob("*.jpg"))[0]
STYLES = sorted((EXAMPLES / "styles").glob("*.jpg"))[:2]


def run(*arguments, cwd=EXAMPLES.parent):
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent), "COLUMNS": "100"}
    return subprocess.run([sys.executable, "-m", "style_transfer", *map(str, arguments)], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [
    ("adain", PHOTO, STYLES[0], "--size", 128),
    ("cascade", PHOTO, *STYLES, "--weights", "0.7,0.3", "--size", 128, "--levels", "4,2", "--preserve-color", "luminance"),
    ("gatys", PHOTO, STYLES[0], "--size", 96, "--iterations", 6, "--style-layers", "relu1_1,relu4_1=2"),
])
def test_a_picture_comes_out(arguments, tmp_path):
    result = run(*arguments, "-o", tmp_path / "new" / "out.png")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "new" / "out.png") as image, Image.open(PHOTO) as photo:
        assert max(image.size) == arguments[arguments.index("--size") + 1]
        assert image.width / image.height == pytest.approx(photo.width / photo.height, rel=0.05)
        assert len(image.getcolors(10 ** 6)) > 500


def test_a_folder_goes_through_and_a_broken_file_does_not_stop_it(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1, 2):
        Image.open(PHOTO).resize((80, 60)).save(folder / f"{number}.jpg")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    result = run("adain", folder, STYLES[0], "-o", tmp_path / "out")
    assert result.returncode == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["1.png", "2.png"]
    assert "broken.jpg" in result.stderr and "1 of 3" in result.stderr and "Traceback" not in result.stderr


def test_a_backbone_that_cannot_be_fetched(tmp_path, monkeypatch):
    for name, value in (("TORCH_HOME", tmp_path), ("HF_HOME", tmp_path), ("HF_ENDPOINT", "http://127.0.0.1:9")):
        monkeypatch.setenv(name, str(value))
    result = run("gatys", PHOTO, STYLES[0], "--backbone", "vgg19", "-o", tmp_path / "out.png")
    assert result.returncode == 1 and "does not answer" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("arguments, words", [
    (("adain", "none.jpg", STYLES[0]), "none.jpg"),
    (("adain", PHOTO, "none.jpg"), "none.jpg"),
    (("adain", PHOTO, STYLES[0], "--weights", "a,b"), "numbers"),
    (("adain", PHOTO, STYLES[0], "--weights", "1,2"), "weights"),
    (("adain", PHOTO, STYLES[0], "--alpha", "2"), "--alpha"),
    (("cascade", PHOTO, STYLES[0], "--levels", "9"), "no level 9"),
    (("gatys", PHOTO, STYLES[0], "--content-layer", "relu9_9"), "relu9_9"),
    (("paint", PHOTO, STYLES[0]), "paint"),
])
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    result = run(*arguments, "-o", tmp_path / "out.png", cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert words in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_help_of_every_command():
    for command in ((), ("gatys",), ("adain",), ("wct",), ("cascade",)):
        result = run(*command, "--help")
        assert result.returncode == 0 and "Usage" in result.stdout and (not command or "ray[data]" in result.stdout)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder of small photographs and a style."""
    (tmp_path / "in").mkdir()
    (tmp_path / "mixed").mkdir()
    with Image.open(PHOTO) as photo, Image.open(STYLES[0]) as style:
        small = photo.resize((96, 72))
        for name in ("photo.jpg", "photo.png", "in/1.jpg", "in/2.jpg", "in/3.jpg", "mixed/a.jpg", "mixed/a.png", "mixed/b.jpg"):
            small.save(tmp_path / name)
        style.resize((96, 96)).save(tmp_path / "style.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("line", [
    "photo.png style.png -o photo.png", "photo.png style.png -o .", "photo.png style.png -o ./in/../photo.png",
    "photo.png style.png -o style.png", "photo.jpg style.png -o photo.jpg", "link.png style.png -o photo.png",
    "photo.jpg style.png -o link.png", "photo.jpg style.png -o ''", "mixed style.png -o mixed", "in style.png -o in",
    "in style.png -o mixed/../in", "in style.png -o link-in", "link-in style.png -o in", "in mixed/1.png -o mixed"])
def test_no_original_is_overwritten(here, typed, line):
    (here / "link.png").symlink_to("photo.png" if line.startswith("link") else "photo.jpg")
    (here / "link-in").symlink_to("in")
    shutil.copy("style.png", "mixed/1.png")
    before = contents(here)
    code, text = typed(f"adain {line}")
    assert code == 2 and text.endswith(".\n"), text
    assert contents(here) == before


def test_a_folder_as_output_keeps_what_it_has(here, typed):
    before = contents(here)
    code, text = typed("adain photo.jpg style.png -o .")  # beside photo.jpg lies photo.png, another photograph
    assert code == 0 and "1 of 1" in text and "--overwrite" in text and contents(here) == before
    assert typed("adain photo.jpg style.png -o . --overwrite")[0] == 0
    after = contents(here)
    assert after.keys() == before.keys() and [name for name in after if after[name] != before[name]] == ["photo.png"]


def test_originals_are_replaced_when_asked_and_links_are_not_followed(here, typed):
    os.chmod("photo.png", 0o444)
    os.symlink("photo.jpg", "link.png")
    before = contents(here)
    for line in ("photo.png style.png -o photo.png", "photo.jpg style.png -o link.png", "mixed style.png -o mixed"):
        assert typed(f"adain {line} --overwrite")[0] == 0
    after = contents(here)
    assert [name for name in before if after[name] != before[name]] == ["link.png", "photo.png"]
    assert after.keys() - before.keys() == {"mixed/a.jpg.png", "mixed/a.png.png", "mixed/b.png"}
    assert not os.path.islink("link.png")


def test_pictures_of_one_stem_get_results_of_their_own(here, typed):
    assert typed("adain mixed style.png -o out")[0] == 0
    assert sorted(os.listdir("out")) == ["a.jpg.png", "a.png.png", "b.png"]
    shutil.copy("mixed/a.jpg", "mixed/a.jpg.jpg")
    before = contents(here)
    code, text = typed("adain mixed style.png -o out2")
    assert code == 2 and "a.jpg, a.jpg.jpg" in text and contents(here) == before


@pytest.mark.parametrize("name", ["my photo.jpg", "größe 日本 🎨.jpg", "-dash.jpg", "[red]x[bold].jpg", ":smile:.jpg",
                                  "%s{}.jpg", "a'b\"c.jpg", "two\nlines.jpg", "x.y.z.jpg"])
def test_names_of_all_kinds(here, typed, name):
    (here / "names").mkdir()
    shutil.copy("photo.jpg", here / "names" / name)
    quoted = "'" + name.replace("'", "'\\''") + "'"
    (here / "names/broken.jpg").touch()
    os.rename("photo.jpg", name)
    assert typed(f"fixed --style udnie -o out.png -- {quoted}")[0] == 0 and (here / "out.png").is_file()
    code, text = typed("fixed names --style udnie -o out")
    assert code == 1 and "1 of 2" in text and os.listdir("out") == [name.removesuffix(".jpg") + ".png"]


def test_ray_where_it_is_not_installed(here, typed, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for command in ("fixed in --style udnie", "adain in style.png", "wct in style.png", "gatys in style.png"):
        code, text = typed(f"{command} -o out --ray local")
        assert code == 2 and 'pip install "ray[data]"' in text and not os.listdir("out")


def test_what_was_done_before_the_end_is_kept_and_not_painted_again(here):
    """Killed at any point: a rerun paints the rest, and nothing that is there twice."""
    for number in range(4, 30):
        shutil.copy("in/1.jpg", f"in/{number}.jpg")
    for sent, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        shutil.rmtree("out", ignore_errors=True)
        command = [sys.executable, "-m", "style_transfer", "wct", "in", "style.png", "-o", "out", "--size", "256"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True,
                                   env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)})
        while len(list((here / "out").glob("*.png"))) < 3:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(sent)
        text = process.communicate(timeout=20)[1]
        assert process.returncode == code and "Traceback" not in text, text
        if sent != signal.SIGKILL:  # against which nothing helps
            assert not [name for name in os.listdir("out") if not name.endswith(".png")]
        done = {p.name: p.stat().st_mtime_ns for p in (here / "out").glob("*.png")}
        assert 2 < len(done) < 29
        for name in done:
            Image.open(here / "out" / name).load()
    result = run("wct", "in", "style.png", "-o", "out", "--size", 256, cwd=here)
    assert result.returncode == 0 and f"{len(done)} of 29" in result.stderr
    after = {p.name: p.stat().st_mtime_ns for p in (here / "out").glob("*.png")}
    assert len(after) == 29 and done.items() <= after.items()
    assert not [name for name in os.listdir("out") if not name.endswith(".png")]  # nor of the one that was killed
    assert run("wct", "in", "style.png", "-o", "out", "--size", 256, cwd=here).stderr.strip().startswith("29 of 29")
    assert run("adain", "in", "style.png", "-o", "out", "--size", 256, "--overwrite", cwd=here).returncode == 0
    assert all(p.stat().st_mtime_ns > after[p.name] for p in (here / "out").glob("*.png"))


def test_a_disk_that_is_full(here):
    """A limit on the size of files stands in for it."""
    for content, output in (("photo.jpg", "out.png"), ("in", "out")):
        result = subprocess.run([sys.executable, "-m", "style_transfer", "fixed", content, "--style", "udnie", "-o", output],
                                env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}, capture_output=True, text=True,
                                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)))
        assert result.returncode == 1 and "could not be written" in result.stderr and "Traceback" not in result.stderr
    assert not os.path.exists("out.png") and not os.listdir("out") and not [n for n in os.listdir() if n.endswith(".part")]


@pytest.mark.skipif(not hasattr(os, "setresuid") or os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(any(not p.stat().st_mode & 0o001 for p in EXAMPLES.parents), reason="nobody else sees this project")
def test_folders_and_files_without_permission(here, typed):
    """An output that may not be written is wrong input, refused before the work; 1 would be a failure after it."""
    here.chmod(0o755)
    (here / "in/1.jpg").chmod(0)
    (here / "mixed").chmod(0o700)
    (here / "out").mkdir()
    (here / "free").mkdir()
    (here / "free").chmod(0o777)
    parents = [p for p in here.parents if not p.stat().st_mode & 0o001]
    modes = [p.stat().st_mode for p in parents]
    for p in parents:
        p.chmod(0o755)
    before = contents(here)
    os.setresuid(65534, 65534, 0)
    try:
        found = [typed(f"fixed {line} --style udnie") for line in (
            "photo.jpg -o out/a.png", "photo.jpg -o new/a.png", "photo.jpg -o a.png", "in -o out", "in -o new",
            "in/1.jpg -o free/a.png", "mixed -o free", "in -o free")]
    finally:
        os.setresuid(0, 0, 0)
        for p, mode in zip(parents, modes):
            p.chmod(mode)
    assert [code for code, _ in found] == [2, 2, 2, 2, 2, 2, 1, 1]
    for _, text in found:
        assert "ermission" in text or "written to" in text, text
    assert contents(here).keys() - before.keys() == {"free/2.png", "free/3.png"}
