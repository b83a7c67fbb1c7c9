"""app.py in a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """A running app: its address, its log, the folder of its temporary files, and the number of its process."""

    def __init__(self, url, log, temp, process):
        self.url, self.log, self.temp, self.process = url, log, temp, process

    def jobs(self):
        """Folders of jobs at work: each has one, removed when the job ends."""
        return list(self.temp.glob("style-transfer-*/job-*"))

    def uploads(self):
        """The folder of uploads and results, of the app that began last."""
        folder = max(self.temp.glob("style-transfer-*/owner"), key=os.path.getmtime).parent
        return folder / "gradio"


@contextlib.contextmanager
def running(weights, temp, **variables):
    """The app with these environment variables; its temporary files are in `temp`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(temp),
                        "GRADIO_ANALYTICS_ENABLED": "False", "STYLE_TRANSFER_CHECKPOINTS": str(weights),
                        "HF_HOME": str(temp / "huggingface"), "HF_ENDPOINT": "http://127.0.0.1:9",
                        "TORCH_HOME": str(temp / "torch")} | variables
    log = temp / "log.txt"
    with open(log, "w") as out:
        process = subprocess.Popen([sys.executable, "-m", "app"], cwd=ROOT, env=env, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail(f"The app did not start:\n{log.read_text()}")
        yield Server(url, log, temp, process.pid)
        assert process.poll() is None, f"The app has ended by itself, with {process.returncode}:\n{log.read_text()}"
    finally:
        process.terminate()
        process.wait(20)
