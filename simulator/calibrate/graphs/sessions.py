"""ONNX Runtime on this machine's processor: graphs made ready to run, and timed in turns.

Neighbours on a shared machine slow everything down for a while, so that graphs take turns over the whole time and
the least time of each counts: on one thread the processor's time that it was given, on several the time that passed.
A kernel of fixed work, timed between them, tells how disturbed the machine was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.onnx_export import onnx_model

NUMBERS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
           "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}  # fmt: skip
SENTINEL_SIDE = 192
LEAST_CALLS = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: the least, the least and the median that passed on the clock; `calls` were timed."""

    least: float
    passed: float
    median: float
    calls: int


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Times of a kernel of fixed work, as multiples of its least: the median and the 90th percentile."""

    median: float
    p90: float


def runtime_package() -> Any:
    """The onnxruntime package. Raises `InputError` where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError("onnxruntime is not installed: pip install onnxruntime onnx") from None
    return onnxruntime


def session(graph: Graph, threads: int) -> Callable[[], object]:
    """A call that runs the graph once on so many threads, with random weights and inputs."""
    runtime = runtime_package()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    made = runtime.InferenceSession(onnx_model(graph).SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    given = {each.name: _numbers(each.type, each.shape, rng) for each in made.get_inputs()}
    return lambda: made.run(None, given)


def _numbers(type: str, shape: Sequence[int], rng: np.random.Generator) -> NDArray[Any]:
    kind = NUMBERS[type]
    if np.issubdtype(kind, np.floating):
        return np.asarray(rng.standard_normal(shape), dtype=kind)
    return np.ones(shape, dtype=kind)


def time_in_turns(
    graphs: Mapping[str, Graph], *, threads: int, seconds: float, rounds: int, together: int = 24
) -> tuple[dict[str, Timing], Disturbance]:
    """Each graph for about so many seconds, spread over `rounds` turns; `together` of them are kept ready at a time."""
    found: dict[str, Timing] = {}
    sentinel = _Sentinel()
    names = list(graphs)
    for first in range(0, len(names), together):
        some = {name: session(graphs[name], threads) for name in names[first : first + together]}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in some}
        for _ in range(rounds):
            for name, call in some.items():
                taken[name] += _calls(call, seconds / rounds)
                sentinel.run()
        found |= {name: _timing(times, threads) for name, times in taken.items()}
    return found, sentinel.disturbance()


def _calls(call: Callable[[], object], seconds: float) -> list[tuple[float, float]]:
    """Each call within a turn: seconds that this thread was running, and that passed.

    The first call, which finds the caches full of others' numbers, is left out.
    """
    call()
    taken: list[tuple[float, float]] = []
    started = time.perf_counter()
    while len(taken) < LEAST_CALLS or time.perf_counter() - started < seconds:
        before, running = time.perf_counter(), time.thread_time()
        call()
        taken.append((time.thread_time() - running, time.perf_counter() - before))
    return taken


def _timing(taken: Sequence[tuple[float, float]], threads: int) -> Timing:
    running, passed = np.asarray(taken).T
    least = running.min() if threads == 1 else passed.min()
    return Timing(float(least), float(passed.min()), float(np.median(passed)), len(taken))


class _Sentinel:
    """A product of fixed size, timed now and then."""

    def __init__(self) -> None:
        self._factor = np.ones((SENTINEL_SIDE, SENTINEL_SIDE), np.float32)
        self._taken: list[float] = []

    def run(self) -> None:
        before = time.perf_counter()
        np.matmul(self._factor, self._factor)
        self._taken.append(time.perf_counter() - before)

    def disturbance(self) -> Disturbance:
        relative = np.asarray(self._taken) / np.min(self._taken)
        return Disturbance(float(np.median(relative)), float(np.quantile(relative, 0.9)))
