"""Real kernels timed on this machine, as rows in the layout of measured kernels.

Each kernel is warmed up and then run until its median is steady; operands that a model would read from memory take
turns with copies larger than the caches. A row says how noisy it was (`noise`, interquartile range by median).
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from simulator.calibrate.numpy_bench import NumpyBench
from simulator.calibrate.processes import timed_all_reduces
from simulator.calibrate.suite import ALL_REDUCE, CPU, GPU, Case, all_reduces, suite
from simulator.calibrate.torch_bench import torch_bench
from simulator.counted import OnCount, counted
from simulator.errors import InputError, unknown_name

LEAST_REPEATS = 5
QUICK_SECONDS, FULL_SECONDS = 0.025, 0.25
BACKENDS = ("cpu", "cpu-torch", "cuda")


class Bench(Protocol):
    """A library that runs the suite's kernels on one device."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def dtype(self) -> str: ...

    def kernel(self, case: Case, rng: np.random.Generator) -> Callable[[int], object]:
        """A call of the case's kernel, given the number of the call."""
        ...

    def seconds(self, kernel: Callable[[int], object], number: int) -> float:
        """Seconds that one call takes."""
        ...


def bench_named(backend: str) -> Bench:
    """NumPy on the CPU ("cpu"), or PyTorch on the CPU ("cpu-torch") or a GPU ("cuda"). Raises `InputError` else."""
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, (*BACKENDS, "onnxruntime"))
    return NumpyBench() if backend == "cpu" else torch_bench(backend.removeprefix("cpu-").replace("torch", "cpu"))


def measure(
    backend: str = "cpu",
    *,
    quick: bool = True,
    seed: int = 0,
    operators: Sequence[str] | None = None,
    most: int | None = None,
    say: Callable[[str], None] = lambda _: None,
    on_count: OnCount | None = None,
) -> pd.DataFrame:
    """Time every kernel of the suite, or `most` of each of `operators`; one row each, latency in microseconds."""
    bench = bench_named(backend)
    rng = np.random.default_rng(seed)
    budget = QUICK_SECONDS if quick else FULL_SECONDS
    cases = chosen(suite(quick=quick, seed=seed, scale=GPU if backend == "cuda" else CPU), operators, most)
    rows = [_row(case, timed(bench, bench.kernel(case, rng), budget)) for case in counted(cases, len(cases), on_count)]
    if operators is None or ALL_REDUCE in operators:
        rows += _between_processes(backend, bench, quick=quick)
    frame = pd.DataFrame(rows)
    say(f"timed {len(frame)} kernels, median noise {frame['noise'].median():.1%}")
    stored = frame["op"].map(lambda op: bench.dtype if op.startswith("attention") else None)
    return frame.assign(
        dtype=bench.dtype,
        kv_dtype=stored,
        backend=bench.name,
        version=bench.version,
        threads=threads(),
        clock_mhz=clock_mhz(),
        source=f"measured on {machine_name(backend)}",
    )


def chosen(cases: Iterable[Case], operators: Sequence[str] | None, most: int | None) -> list[Case]:
    """The first `most` cases of each of these operators, all where None.

    Raises `InputError` for an operator that there is not, and for a number below 1.
    """
    if most is not None and most < 1:
        raise InputError(f"most is {most}: give at least 1 kernel of each operator")
    found = list(cases)
    known = dict.fromkeys([*(case["op"] for case in found), ALL_REDUCE])
    for name in operators or ():
        if name not in known:
            raise unknown_name("operator", name, known)
    if operators is not None and not operators:
        raise InputError("operators is empty: name some, or leave it out for all")
    return [case for op in operators or known for case in [c for c in found if c["op"] == op][:most]]


def timed(bench: Bench, kernel: Callable[[int], object], budget: float) -> tuple[float, float, int]:
    """Median seconds of a call, its noise, and the number of timed calls within about `budget` seconds."""
    bench.seconds(kernel, 0)
    bench.seconds(kernel, 1)
    taken: list[float] = []
    started = time.perf_counter()
    while len(taken) < LEAST_REPEATS or time.perf_counter() - started < budget:
        taken.append(bench.seconds(kernel, len(taken)))
    low, middle, high = np.quantile(taken, [0.25, 0.5, 0.75])
    return float(middle), float((high - low) / middle), len(taken)


def _between_processes(backend: str, bench: Bench, *, quick: bool) -> Iterator[dict[str, Any]]:
    """All-reduces of 2, 4, ... processes, one a core or device at most."""
    most = threads() if backend != "cuda" else _gpus()
    for world in (w for w in (2, 4, 8) if w <= most):
        cases = list(all_reduces(quick=quick, worlds=(world,)))
        found = timed_all_reduces(cases, library=bench.name, device="cuda" if backend == "cuda" else "cpu")
        yield from (_row(case, times) for case, times in zip(cases, found, strict=True))


def _row(case: Case, times: tuple[float, float, int]) -> dict[str, Any]:
    seconds, noise, repeats = times
    return {**case, "latency_us": seconds * 1e6, "noise": noise, "repeats": repeats}


def _gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


def machine_name(backend: str) -> str:
    """The name of the processor or GPU that runs a backend's kernels, as it calls itself."""
    if backend == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    return cpu_name()


def threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def clock_mhz() -> float | None:
    """The fastest clock of a core now, where the system tells."""
    found = [float(line.split(":")[1]) for line in _cpuinfo() if line.startswith("cpu MHz")]
    return max(found, default=None)


def cpu_name() -> str:
    """The processor's own name for itself."""
    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
