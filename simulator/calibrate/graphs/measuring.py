"""Measured single-operator graphs as rows of a file, one for each graph and number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from simulator.calibrate.graphs.cases import Case, cases
from simulator.calibrate.graphs.sessions import runtime_package, time_in_turns
from simulator.calibrate.microbench import cpu_name, threads

BACKEND = "onnxruntime"
OP = "graph"  # as which these rows stand among measured kernels
ROUNDS, QUICK_SECONDS, FULL_SECONDS = 8, 0.1, 0.5


def measure_graphs(
    *,
    quick: bool = True,
    seed: int = 0,
    most: Iterable[Case] | None = None,
    seconds: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Time the suite (or `most`) on one thread and on all; latencies in microseconds are the least of many calls.

    On one thread they are the time that the thread was running; `passed_us` is the least that passed.

    `disturbance` is the median time of a kernel of fixed work between them, by its least: 1 on a quiet machine.
    """
    listed = {case.name: case for case in (cases(quick=quick, seed=seed) if most is None else most)}
    graphs = {name: case.graph() for name, case in listed.items()}
    budget = seconds or (QUICK_SECONDS if quick else FULL_SECONDS)
    rows = []
    for count in sorted({1, threads()}):
        found, disturbed = time_in_turns(graphs, threads=count, seconds=budget, rounds=ROUNDS)
        say(
            f"timed {len(found)} graphs on {count} thread{'s' if count > 1 else ''}; a kernel of fixed work took "
            f"{disturbed.median:.2f} times its least at the median, {disturbed.p90:.2f} at the 90th percentile"
        )
        rows += [
            {
                "op": OP, "case": name, "threads": count, "latency_us": t.least * 1e6, "passed_us": t.passed * 1e6,
                "median_us": t.median * 1e6,
                "repeats": t.calls, "disturbance": disturbed.median,
            }
            for name, t in found.items()
        ]  # fmt: skip
    return pd.DataFrame(rows).assign(
        dtype="fp32", backend=BACKEND, version=runtime_package().__version__, source=f"measured on {cpu_name()}"
    )
