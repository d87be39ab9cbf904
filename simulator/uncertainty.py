"""Intervals of a run's figures: the run repeated with each kind of kernel a little quicker or slower.

The factors are log-normal with the spread that the calibration's residuals have: all shapes of one kind err
together, which is cautious, since errors of single shapes partly cancel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.assembly.pools import deployment_of
from simulator.counted import OnCount, counted
from simulator.engine.deployment import Deployment
from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.scenario import Scenario
from simulator.workloads.requests import RequestSource

LEVEL = 0.9
# Spread of kernels that were measured on no device like this one: log errors of the datasheet-only check.
UNMEASURED = 0.3
MOST = 1000
FIGURES = ("latency_ms", "throughput", "makespan_s", "goodput", "energy", "cost", "utilisation")


def spreads(deployment: Deployment) -> dict[str, float]:
    """The spread of log errors of each family of kernels, by the residuals of the curves that time this deployment.

    Curves borrowed from a relative, and those never measured, have the spread of the datasheet-only check.
    """
    known, found = deployment.calibrations, {}
    for family, name in formats(deployment).items():
        curve = known.find(family, name)
        own = curve.spread if curve.calibration in known.own else None
        found[family] = UNMEASURED if own is None else own
    reduced = [c.residuals.get("collective", {}).get("all_reduce") for c in known.own]
    found["collective"] = next((r.spread for r in reduced if r is not None), UNMEASURED)
    return found


def formats(deployment: Deployment) -> dict[str, str]:
    """The format or kernel whose curve times each family of a deployment's kernels, collectives aside."""
    precision = deployment.precision
    cache = f"{precision.activations.name}/{precision.kv_cache.name}"
    return {
        "gemm": precision.weights.name,
        "experts": precision.expert_weights.name,
        "attention": cache,
        "decode": cache,
        "streaming": "norm",
    }


def refuse_count(replications: int) -> None:
    """Refuse a number of replications that gives no interval, or takes too long."""
    if not 2 <= replications <= MOST:
        raise InputError(f"uncertainty is {replications}: give 2 to {MOST} replications")


def intervals(scenario: Scenario, replications: int, *, on_count: OnCount | None = None) -> dict[str, Any]:
    """90 % intervals of a scenario's figures from so many replications, as nested plain data.

    Each leaf is [low, high]. The same scenario, seed and number of replications give the same intervals. Raises
    `InputError` for fewer than 2 replications.
    """
    refuse_count(replications)
    spread = spreads(deployment_of(scenario))
    runs = counted(replicated(scenario, replications), replications, on_count)
    summaries = [result.summary for result in runs]
    return bands(summaries) | {"spread_of_log_errors": spread}


def replicated(scenario: Scenario, replications: int, source: RequestSource | None = None) -> Iterator[Result]:
    """Runs of a scenario, each with kernel times redrawn; `source` replaces its own load. Errors as `intervals`."""
    refuse_count(replications)
    spread = spreads(deployment_of(scenario))
    for number in range(replications):
        rng = stream(scenario.seed, f"uncertainty {number}")
        yield run(scenario, factors={f: float(np.exp(rng.normal(0.0, s))) for f, s in spread.items()}, source=source)


def bands(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """[low, high] of each figure over summaries of replications, at the level that the result names."""
    rows: dict[tuple[str, ...], list[float]] = {}
    for summary in summaries:
        for path, value in _leaves({k: summary[k] for k in FIGURES if k in summary}):
            rows.setdefault(path, []).append(value)
    found: dict[str, Any] = {"level": LEVEL, "replications": len(summaries)}
    for path, values in rows.items():
        if len(values) == len(summaries):
            low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            _put(found, path, [float(low), float(high)])
    return found


def _leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, key), float(value)


def _put(tree: dict[str, Any], path: tuple[str, ...], value: list[float]) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value
