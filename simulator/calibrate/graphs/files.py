"""From rows of measured graphs to the calibration file of a processor under a runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import yaml

from simulator.assembly.graphs import runtime_rewrites
from simulator.calibrate.graphs.cases import case_named
from simulator.calibrate.graphs.fitting import Measured, fit_graphs
from simulator.calibrate.graphs.measuring import BACKEND, OP
from simulator.errors import InputError
from simulator.hardware.device import Device
from simulator.hardware.runtimes import Runtime, runtime
from simulator.workloads.graphs.graph import Graph


def measured_graphs(rows: pd.DataFrame, how: Runtime) -> Measured:
    """Rows of single-operator graphs as the runtime runs them; of rows that were timed again the quickest."""
    least = rows[rows["op"] == OP].groupby(["case", "threads"], as_index=False, sort=True)["latency_us"].min()
    if least.empty:
        raise InputError(f"no row has op {OP!r}: measure with --backend {BACKEND} first")
    rewrites = runtime_rewrites(how)
    graphs = {}
    for name in least["case"].unique():
        graph: Graph = case_named(name).graph()
        for rewrite in rewrites:
            graph = rewrite(graph)
        graphs[name] = graph
    names = tuple(str(name) for name in least["case"])
    threads = least["threads"].to_numpy(dtype=np.int64)
    return Measured(names, tuple(graphs[n] for n in names), threads, least["latency_us"].to_numpy() * 1e-6)


def graphs_text(rows: pd.DataFrame, on: Device, *, say: Callable[[str], None] = lambda _: None) -> str:
    """The calibration file of a processor, fitted to two thirds of the graphs."""
    how = runtime(BACKEND)
    fitted = fit_graphs(measured_graphs(rows, how), on, how.call)
    curves: dict[str, dict[str, Any]] = {}
    residuals: dict[str, dict[str, Any]] = {}
    for (family, name), curve in sorted(fitted.curves.items()):
        curves.setdefault(family, {})[name] = {"law": "cores", **asdict(curve)}
        found = fitted.residuals.get((family, name))
        if found is not None:
            residuals.setdefault(family, {})[name] = asdict(found)
            say(f"{on.id} {family} {name}: median {found.median:.1%}, mean {found.mean:.1%} of {found.rows} held out")
    for errors, how_many in ((fitted.errors, "one thread"), (fitted.shared, "several threads")):
        if len(errors):
            told = f"median {np.median(errors):.1%}, mean {errors.mean():.1%} of {len(errors)} held out"
            say(f"{on.id} on {how_many}: {told}")
    versions = ", ".join(sorted(rows["version"].astype(str).unique()))
    sources = ", ".join(sorted(rows["source"].astype(str).unique()))
    document = {
        "name": f"{on.id} as {BACKEND} runs it", "device": on.id, "backend": BACKEND,
        "source": f"{sources}; {BACKEND} {versions}; {len(rows):,} measurements", "curves": curves,
        "residuals": residuals,
    }  # fmt: skip
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=110)
    return (
        f"# Written by `simulator calibrate --backend {BACKEND}`; residuals are of the held-out third of the graphs.\n"
        + text
    )
