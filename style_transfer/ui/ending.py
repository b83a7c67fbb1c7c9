"""Ending a job so that it hands over what is done: Gradio's own way closes the function, which then has no more to say."""

import contextlib
from pathlib import Path

import gradio as gr

from . import common


class Stop:
    """What a button asks of the jobs that its visitor has started with it."""

    def __init__(self):
        self._asked = {}  # {visitor's session: [file of each job]}

    @contextlib.contextmanager
    def heard(self, request, folder):
        """A path, `request`'s in a job's folder, at which there is a file as soon as the job is to end.

        A file because jobs may run in processes of their own.
        """
        session, asked = getattr(request, "session_hash", None), Path(folder, "stop")
        jobs = self._asked.setdefault(session, [])
        jobs.append(asked)
        try:
            yield asked
        finally:
            jobs.remove(asked)
            if not jobs:
                self._asked.pop(session, None)

    def ask(self, request: gr.Request):
        """The button's function: end the jobs; the button is off until the next one."""
        for asked in list(self._asked.get(request.session_hash, ())):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                asked.touch()
        return gr.Button(interactive=False)

    def bind(self, button):
        """Let the button ask."""
        button.click(self.ask, None, button, **common.QUIET)
