"""A stand-in for Hugging Face's `spaces` on ZeroGPU: each call in a process of its own, forked off when it is made.

As there, what goes in and comes out is pickled, a generator there runs ahead of who takes what it yields, and stops at its next
yield when that one has closed it. Of errors, only Gradio's come back as they are. Every call is written to $ZERO_GPU_LOG.
"""

import functools
import inspect
import json
import multiprocessing
import os
import pickle
import threading

import gradio as gr

_FORK = multiprocessing.get_context("fork")


def _write(*values):
    with open(os.environ["ZERO_GPU_LOG"], "a") as log:
        log.write(json.dumps(values) + "\n")


def _work(task, data, results, stop):
    """What the forked process does, in a thread as there."""
    def iterate():
        arguments, options = pickle.loads(data)
        steps = task(*arguments, **options)
        try:
            for step in steps:
                if stop.is_set():
                    steps.close()
                    break
                results.send_bytes(pickle.dumps(("yield", step)))
        except Exception as error:
            kind = "error" if isinstance(error, gr.Error) else "broken"
            results.send_bytes(pickle.dumps((kind, error if kind == "error" else type(error).__name__)))
        results.send_bytes(pickle.dumps(("end", None)))

    thread = threading.Thread(target=iterate)
    thread.start()
    thread.join()
    os._exit(0)


def GPU(task=None, *, duration=60):
    """The decorator."""
    if task is None:
        return functools.partial(GPU, duration=duration)
    assert inspect.isgeneratorfunction(task)

    @functools.wraps(task)
    def handler(*arguments, **options):
        seconds = duration(*arguments, **options) if callable(duration) else duration
        results, sender = _FORK.Pipe(duplex=False)
        stop = _FORK.Event()
        process = _FORK.Process(target=_work, args=(task, pickle.dumps((arguments, options)), sender, stop), daemon=True)
        process.start()
        sender.close()
        _write(task.__name__, seconds, process.pid)
        try:
            while True:
                kind, value = pickle.loads(results.recv_bytes())
                if kind == "end":
                    return
                if kind != "yield":
                    raise value if kind == "error" else gr.Error(f"ZeroGPU worker error: {value}")
                yield value
        except GeneratorExit:
            stop.set()
            while pickle.loads(results.recv_bytes())[0] != "end":
                pass
            raise
        finally:
            process.join()
            _write("ended", process.exitcode, process.pid)

    return handler
