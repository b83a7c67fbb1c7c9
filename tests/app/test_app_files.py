"""What visitors leave on the server: nothing after a while, and nothing after the app was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from tests.app import raw_http
from tests.app.app_server import ROOT, running

PHOTO, STYLE = (next((ROOT / f"examples/{kind}").glob("*.jpg")) for kind in ("photos", "styles"))
SETTINGS = ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY")


def ours(temp):
    return list(temp.glob("style-transfer-*"))


def test_a_killed_app_leaves_nothing_behind_its_next_start(weights, tmp_path):
    (tmp_path / "style-transfer-of-somebody-else").mkdir()
    with pytest.raises(AssertionError, match="ended by itself"), running(weights, tmp_path) as server:
        photo = Path(raw_http.upload(server, PHOTO))
        Client(server.url, verbose=False).submit(handle_file(PHOTO), handle_file(STYLE), iterations=1000, api_name="/gatys")
        while not server.jobs() or not list(server.jobs()[0].iterdir()):
            time.sleep(0.05)
        assert photo.exists()
        before = set(ours(tmp_path))
        os.kill(server.process, signal.SIGKILL)
        time.sleep(0.5)
    assert set(ours(tmp_path)) == before and len(before) == 2
    with running(weights, tmp_path) as server:
        left = set(ours(tmp_path))
        assert len(left & before) == 1 and len(left) == 2  # somebody else's, and its own
        assert not photo.exists()


def test_two_apps_leave_each_other_alone(weights, tmp_path):
    with running(weights, tmp_path) as first:
        photo = raw_http.upload(first, PHOTO)
        with running(weights, tmp_path):
            assert Path(photo).exists() and len(ours(tmp_path)) == 2


def test_an_app_that_ends_takes_its_files_with_it(tmp_path):
    code = "from style_transfer.ui import build, files; build(); assert files.job_folder(); print(files._folder())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, check=True,
                          capture_output=True, text=True)
    assert str(tmp_path) in done.stdout and not ours(tmp_path)


@pytest.mark.parametrize("wish", ["", "True"])
def test_nobody_is_told_what_is_painted_unless_the_owner_wants_it(wish, tmp_path):
    others = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    wished = dict.fromkeys(SETTINGS, wish) if wish else {}
    if wish:
        wished["HF_HUB_DISABLE_TELEMETRY"] = "0"
    code = ("import app, gradio.analytics, huggingface_hub.constants as hub; "
            "print(gradio.analytics.analytics_enabled(), hub.HF_HUB_DISABLE_TELEMETRY)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=others | {"TMPDIR": str(tmp_path)} | wished, check=True,
                          capture_output=True, text=True)
    assert done.stdout.split() == (["True", "False"] if wish else ["False", "True"])
