"""A folder's pictures on a Ray cluster, by Ray Data: what `--ray` of the command line does. Only this module imports Ray."""

import contextlib
import functools
import logging
import math
import os
import pickle
import re
import signal
import socket
import subprocess
import sys

from . import device as devices
from . import folders
from .errors import InputError, StyleTransferError

TOGETHER = 50  # pictures a task at most: Ray Data takes up to 0.2 s to hand out the next one
TRIES = 3  # workers that may die over a picture
SECONDS = 60  # in which a cluster has to answer
INSTALL = 'pip install "ray[data]"'
SHARED = "all machines must see this project, the pictures and the results under the same paths"


def check(address):
    """The address of a cluster, or None. Raises InputError for what is none."""
    if address not in (None, "local", "auto") and not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}", address):
        raise InputError(f"There is no Ray cluster {address!r:.60}: write local for this machine, or auto or HOST:PORT for a "
                         "cluster that it belongs to.")
    return address


def paint(folder, jobs, prepare, address, device=None, precision=None, together=TOGETHER):
    """Paint pictures on all cores of a cluster, or on all its GPUs where it has some.

    A generator of a `folders.Result` for each picture as it is done.

    folder, jobs: of a `folders.Todo`. prepare(device) -> work(content, tell) -> image, called once in each worker;
    tell(sentence) shows a message. address: "local", "auto" or host:port. device: None for each machine's best; precision: a
    name of `device.PRECISIONS`; together: pictures that a worker is given at once.
    Ray gives the pictures of a worker that died to another one; those that are painted already are not painted again. What is
    being written lies in a hidden folder beside the results, which is removed at the end: nothing is left half-written.
    Until the end nothing is seen on stdout, where Ray reports dead workers.
    Raises InputError where Ray is not installed, StyleTransferError where the cluster or one of its machines cannot be used.
    """
    try:
        with folders.scratch(folder) as scratch, _cluster(address) as ray:  # in which no worker writes at the end any more
            resources = ray.cluster_resources()
            gpus = resources.get("GPU", 0) if device is None or device.startswith("cuda") else 0
            options = {"num_gpus": 1, "max_calls": 0} if gpus else {"num_cpus": 1}  # 0: the process stays, and its networks
            workers = max(1, int(gpus or resources.get("CPU", 1)))
            stamps = [_stamp(job.target) for job in jobs]
            payload = ray.put((os.getcwd(), scratch, jobs, stamps, prepare, "cuda" if gpus else device, precision))
            tasks = math.ceil(len(jobs) / max(1, min(together, len(jobs) // (4 * workers))))
            numbers = ray.data.from_items(list(range(len(jobs))), override_num_blocks=tasks)
            for row in numbers.map(_paint, fn_kwargs={"payload": payload}, **options).iter_rows():
                result = pickle.loads(row["result"])
                if result.job is None:
                    raise result.error
                yield result
    except StyleTransferError:
        raise
    except Exception as error:  # of any class, as the reasons may be
        why = _reason(str(error))
        raise StyleTransferError(f"The Ray cluster gave up ({why}): {SHARED}, and have its packages.") from error


def _stamp(path):
    """What differs after a file was replaced; None where there is none."""
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        return found.st_ino, found.st_mtime_ns, found.st_size


class _Unfit(StyleTransferError):
    """What keeps a machine from painting any picture."""


def _paint(row, payload):
    """One job, in a worker; returns a row with a `Result`, whose job is None where the machine is not fit for any."""
    job, messages, error = row["item"], [], None
    try:
        scratch, jobs, stamps = _received(payload)[:3]
        tries = scratch / str(job)
        if _stamp(jobs[job].target) == stamps[job]:  # else a worker that died had done it
            with open(tries, "ab") as file:
                file.write(b".")
                if file.tell() > TRIES:  # Ray would go on for ever
                    raise StyleTransferError(f"{TRIES} workers died while they painted it: use a smaller size.")
            folders.paint_one(jobs[job], scratch, _work(payload), lambda message="": messages.append(message))
            tries.unlink(missing_ok=True)
    except _Unfit as problem:
        job, error = None, StyleTransferError(f"The machine {socket.gethostname()} cannot paint: {problem}")
    except StyleTransferError as problem:
        error = problem
    except OSError as problem:
        error = StyleTransferError(f"'{jobs[job].target}' could not be written ({problem.strerror}): choose another place.")
    return {"result": pickle.dumps(folders.Result(job, error, tuple(filter(None, messages))))}


@functools.lru_cache(maxsize=1)
def _received(payload):
    """What `paint` has sent to all workers: fetched once a process, and its paths made good."""
    import ray

    folder, scratch, *others = ray.get(payload)
    with contextlib.suppress(OSError):
        os.chdir(folder)
    if not scratch.is_dir():
        raise _Unfit(f"it does not see the folder {os.path.join(folder, scratch.parent)}, and {SHARED}.")
    return scratch, *others


@functools.lru_cache(maxsize=1)
def _work(payload):
    """The function that paints, made ready once a process."""
    *_, prepare, device, precision = _received(payload)
    try:
        if precision is not None:
            devices.use_precision(precision)
        return prepare(device)
    except StyleTransferError as problem:
        raise _Unfit(str(problem)) from problem


def _reason(text):
    """The line that names the error in what Ray or Python say of one."""
    named = re.search(r"^\w[\w.]*(?:Error|Exception)\b.*", text, re.MULTILINE)
    return (named.group() if named else text.strip().rpartition("\n")[2])[:200].rstrip(". ")


@contextlib.contextmanager
def _cluster(address):
    """The module ray, connected with a cluster; "local" is one of this machine, started and ended here."""
    options = {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # listens on 127.0.0.1 only, as on these systems
        options = {"include_dashboard": False, "object_store_memory": 100 * 2 ** 20}
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError(f"--ray needs Ray, which is not installed: {INSTALL}.") from None
    options |= {"address": address, "log_to_driver": False, "logging_level": logging.CRITICAL}
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        try:
            if address != "local":  # for one that does not answer Ray waits, without an end to the wait that can be set
                subprocess.run([sys.executable, "-c", f"import ray; ray.init(**{options})"], check=True, timeout=SECONDS,
                               capture_output=True, text=True)
            ray.init(**options)
        except Exception as error:  # of any class
            silent = isinstance(error, subprocess.TimeoutExpired)
            reason = f"no answer in {SECONDS} s" if silent else _reason(getattr(error, "stderr", None) or str(error))
            raise StyleTransferError(f"The Ray cluster {address} cannot be used ({reason}): check that it runs, that this "
                                     "machine belongs to it, and that both have the same Ray and Python.") from error
        finally:
            signal.signal(signal.SIGTERM, terminated)  # Ray has one of its own
        logging.getLogger("ray.data").handlers[:] = [logging.NullHandler()]
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = 1  # so that a picture is reported when it is done, not when its task is
        context.execution_no_progress_timeout_s = -1  # a picture may take its time
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield ray
    finally:
        ray.shutdown()
