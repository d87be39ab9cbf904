"""Where the points of a sweep are simulated: processes of this machine, or a Dask or Ray cluster, all by joblib."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from types import FrameType
from typing import Any

from simulator.errors import InputError, unknown_name

BACKENDS = ("local", "dask", "ray")

Task = tuple[Callable[..., str], tuple[Any, ...]]

# Where results come only when all of a round are there, rounds are so long.
ROUND_S = 5.0
# So long the scheduler of a cluster may take to answer.
ANSWER_S = 10.0
# How often a worker looks whether there is still somebody to work for.
WATCH_S = 1.0


def outcomes(tasks: Sequence[Task], *, backend: str, workers: int, cluster: str | None) -> Iterator[str]:
    """What the tasks return, in whatever order they end.

    `workers` is a number of processes, or -1 for one a core. `cluster` is the address of a Dask scheduler or of a Ray
    head; without it a cluster of processes on this machine is started, and stopped at the end. Raises `InputError`
    for a backend that is not there.
    """
    check(backend, workers, cluster)
    if not tasks:
        return
    if backend == "ray":
        with _ray(workers, cluster):
            yield from _in_rounds(tasks, workers)
        return
    if backend == "dask":
        with _dask(workers, cluster):
            yield from _streamed(tasks, workers)
        return
    with _local():
        yield from _streamed([(_with_parent, (os.getpid(), *task)) for task in tasks], workers)


def check(backend: str, workers: int, cluster: str | None) -> None:
    """Raise `InputError` for a backend that is unknown or not installed, and for options that it does not take."""
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if workers == 0 or workers < -1:
        raise InputError(f"--workers is {workers}: give a number of processes, or -1 for one a core")
    if backend == "local" and cluster is not None:
        raise InputError("--cluster is the address of a Dask or Ray cluster: add --backend dask or --backend ray")
    if backend != "local" and find_spec({"dask": "distributed", "ray": "ray"}[backend]) is None:
        raise InputError(f"--backend {backend} is not installed: pip install 'simulator[{backend}]'")


def _with_parent(parent: int, function: Callable[..., str], arguments: tuple[Any, ...]) -> str:
    """A task in a process that ends when the one that started it is gone, killed as it may have been."""
    _watch(parent)
    return function(*arguments)


@cache
def _watch(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    if os.getppid() == parent:
        # Who interrupts the command from a terminal interrupts its workers too; the command is to stop them. Those that
        # were started in place of others were not under `_interrupts_held`.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=watch, daemon=True).start()


def _streamed(tasks: Sequence[Task], workers: int) -> Iterator[str]:
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # joblib warns of tasks that are left when a sweep is interrupted, which says nothing to who did so.
    warnings.filterwarnings("ignore", message=".* have been cancelled", category=UserWarning)
    try:
        with _interrupts_held():
            results = Parallel(n_jobs=workers, return_as="generator_unordered")(
                delayed(function)(*arguments) for function, arguments in tasks
            )
        yield from results
    except TerminatedWorkerError:
        raise InputError(
            "a worker process was killed, as where memory runs out: give fewer --workers; finished points are kept"
        ) from None


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block. Processes that it starts never see one, not even before they work."""
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows
        yield
        return
    from multiprocessing import resource_tracker

    # Which lets interrupts through again when it has started, as it otherwise would in the middle of the block.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_rounds(tasks: Sequence[Task], workers: int) -> Iterator[str]:
    """Results of backends that give them only all together: in rounds, which grow until they last long enough."""
    from joblib import Parallel, delayed, effective_n_jobs

    left, size = iter(tasks), effective_n_jobs(workers)
    with Parallel(n_jobs=workers) as parallel:
        while batch := list(islice(left, size)):
            started = time.monotonic()
            yield from parallel(delayed(function)(*arguments) for function, arguments in batch)
            if time.monotonic() - started < ROUND_S / 2:
                size *= 2


@contextmanager
def _local() -> Iterator[None]:
    from joblib import parallel_config

    with _quiet_once_interrupted(), parallel_config(backend="loky", inner_max_num_threads=1):
        yield


@contextmanager
def _quiet_once_interrupted() -> Iterator[None]:
    """After Ctrl-C, say nothing of threads that fail because the processes that they looked after have been ended."""
    sees = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN
    if not sees:
        yield
        return
    interrupted = threading.Event()
    handler, hook = signal.getsignal(signal.SIGINT), threading.excepthook

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    threading.excepthook = lambda failure: None if interrupted.is_set() else hook(failure)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if not interrupted.is_set():
            threading.excepthook = hook


@contextmanager
def _dask(workers: int, cluster: str | None) -> Iterator[None]:
    from joblib import cpu_count, parallel_config

    distributed: Any = import_module("distributed")
    made = None
    if cluster is None:
        # No dashboard: nothing listens beyond what the workers need.
        made = distributed.LocalCluster(
            n_workers=workers if workers > 0 else cpu_count(),
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.ERROR,
        )
    try:
        try:
            client = distributed.Client(made if made is not None else cluster, timeout=ANSWER_S)
        except (OSError, ValueError) as error:
            raise InputError(f"no Dask scheduler answers at --cluster {cluster}: {error}") from None
        with client, parallel_config(backend="dask"):
            yield
    finally:
        if made is not None:
            made.close()


def _reach(address: str) -> None:
    """Raise `OSError` or `ValueError` where nothing listens at HOST:PORT, which Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()


@contextmanager
def _ray(workers: int, cluster: str | None) -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from joblib import cpu_count, parallel_config

    ray: Any = import_module("ray")
    started = not ray.is_initialized()
    if started and cluster is not None:
        try:
            _reach(cluster)
            ray.init(address=cluster, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, ValueError) as error:
            raise InputError(f"no Ray cluster answers at --cluster {cluster}: {error}") from None
    elif started:
        ray.init(
            num_cpus=workers if workers > 0 else cpu_count(),
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    import_module("ray.util.joblib").register_ray()
    try:
        with parallel_config(backend="ray"):
            yield
    finally:
        if started:
            ray.shutdown()
