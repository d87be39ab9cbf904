"""The figures that scenarios are compared by: those of each request, and those of a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.engine.recorder import Floats
from simulator.errors import InputError
from simulator.experiment import Result
from simulator.report.serving.requests import PERCENTILES, latencies, met_objectives

Better = Literal["lower", "higher"]
STATISTICS = ("mean", *(f"p{p}" for p in PERCENTILES))


@dataclass(frozen=True)
class RequestMetric:
    """A figure of each request; shown in `unit`, of which the stored value has `scale`."""

    name: str
    label: str
    unit: str = "ms"
    scale: float = 1e3
    better: Better = "lower"
    statistics: tuple[str, ...] = STATISTICS


@dataclass(frozen=True)
class RunFigure:
    """A figure of a whole run: where `path` finds it in the summary; `better` None where neither is."""

    path: tuple[str, str]
    label: str
    unit: str
    scale: float = 1.0
    better: Better | None = "lower"


REQUEST_METRICS = (
    RequestMetric("ttft", "TTFT"),
    RequestMetric("tpot", "TPOT"),
    RequestMetric("e2e", "E2E"),
    RequestMetric("queue_wait", "queue wait"),
    RequestMetric("goodput", "objectives met", "%", 100.0, "higher", ("mean",)),
)
RUN_FIGURES = (
    RunFigure(("throughput", "requests_per_s"), "request throughput", "requests/s", better="higher"),
    RunFigure(("throughput", "output_tokens_per_s"), "output throughput", "tokens/s", better="higher"),
    RunFigure(("goodput", "requests_per_s"), "goodput", "requests/s", better="higher"),
    RunFigure(("cost", "total_usd"), "cost", "USD"),
    RunFigure(("cost", "usd_per_million_output_tokens"), "cost per million output tokens", "USD"),
    RunFigure(("energy", "total_j"), "energy", "kWh", 1 / 3.6e6),
    RunFigure(("energy", "j_per_output_token"), "energy per output token", "J"),
    RunFigure(("utilisation", "busy"), "busy", "% of the time", 100.0, None),
    RunFigure(("utilisation", "mfu"), "MFU", "%", 100.0, None),
    RunFigure(("utilisation", "memory_bandwidth"), "memory bandwidth in use", "%", 100.0, None),
    RunFigure(("kv_cache", "mean_utilisation"), "KV-cache utilisation", "%", 100.0, None),
    RunFigure(("prefix_cache", "hit_rate"), "prefix-cache hit rate", "%", 100.0, "higher"),
)


@dataclass(frozen=True)
class Pairs:
    """The requests that every scenario finished, in the order of the load.

    `values[i][metric]` (shape (requests,), seconds, or 1.0 where the objectives are met) belongs to scenario i; a
    TPOT is NaN in all scenarios where the output has one token. Arrivals are those of the baseline.
    """

    index: Floats
    arrival_s: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    values: tuple[dict[str, Floats], ...]

    def of(self, metric: str, scenario: int) -> tuple[NDArray[np.bool_], Floats, Floats]:
        """Which requests (shape (requests,), bool) have this metric, and it in the baseline and in a scenario."""
        base, other = self.values[0][metric], self.values[scenario][metric]
        known = ~np.isnan(base) & ~np.isnan(other)
        return known, base[known], other[known]


def paired(results: Sequence[Result]) -> Pairs:
    """Pair the results' requests by index. Raises `InputError` where no request finished in all of them."""
    common = results[0].request_columns["index"]
    for result in results[1:]:
        common = np.intersect1d(common, result.request_columns["index"], assume_unique=True)
    if not len(common):
        raise InputError("no request finished in every scenario: each was rejected by one of them at least")
    first = results[0].request_columns
    rows = np.searchsorted(first["index"], common)
    return Pairs(
        common,
        first["arrival_s"][rows],
        first["prompt_tokens"][rows],
        first["output_tokens"][rows],
        tuple(_values(result, common) for result in results),
    )


def _values(result: Result, index: Floats) -> dict[str, Floats]:
    rows = np.searchsorted(result.request_columns["index"], index)
    found = latencies(result) | {"goodput": met_objectives(result).astype(np.float64)}
    return {name: values[rows] for name, values in found.items()}


def statistic(values: Floats, name: str) -> float:
    """The mean, or a percentile such as "p99", interpolated between order statistics."""
    return float(values.mean() if name == "mean" else np.percentile(values, float(name[1:])))


def run_figure(summary: dict[str, Any], figure: RunFigure) -> float | None:
    """The figure of a run; None where it is not known, such as the cost of a device without a price."""
    group, key = figure.path
    value = summary.get(group, {}).get(key)
    return None if value is None else float(value)
