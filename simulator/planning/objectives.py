"""Objectives as flat rules: what is measured over whom, the limit, and how many requests may miss it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.planning.load import HeldLoad
from simulator.planning.spec import Goodput, Latencies, Objectives, Percentiles

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
METRICS = ("ttft", "tpot", "e2e")
MILLISECONDS = 1e3


@dataclass(frozen=True)
class Objective:
    """One rule over the requests of `mask` (all where None); latencies in milliseconds.

    `metric` is "ttft", "tpot" or "e2e" with its statistic ("mean", "p99") bounded by `limit`, or "goodput", whose
    share of requests within all of `bounds` is at least `limit`.
    """

    name: str
    metric: str
    statistic: str
    limit: float
    bounds: Mapping[str, float]
    mask: Mask | None = None

    def value(self, latencies: Mapping[str, Floats], chosen: Mask | None = None) -> float:
        """The figure that is bounded, from seconds by request (NaN: undefined); NaN where there are no requests."""
        if self.metric == "goodput":
            met = self.within(latencies)
            picked = met if chosen is None else met[chosen]
            return float(picked.mean()) if len(picked) else math.nan
        values = latencies[self.metric] if chosen is None else latencies[self.metric][chosen]
        values = values[~np.isnan(values)] * MILLISECONDS
        if not len(values):
            return math.nan
        if self.statistic == "mean":
            return float(np.sort(values).mean())
        ordered = np.sort(values)
        place = float(self.statistic[1:]) / 100 * (len(ordered) - 1)
        return float(np.interp(place, np.arange(len(ordered)), ordered))

    def within(self, latencies: Mapping[str, Floats]) -> Mask:
        """Which requests meet every one of `bounds`; an undefined latency meets its bound."""
        met = np.ones(len(latencies["ttft"]), dtype=bool)
        for metric, bound in self.bounds.items():
            met &= np.nan_to_num(latencies[metric], nan=0.0) * MILLISECONDS <= bound
        return met

    def tension(self, value: float) -> float:
        """How much of the limit is used: 1 at the limit, more beyond it; 0 where there is nothing to bound."""
        if math.isnan(value):
            return 0.0
        if self.metric != "goodput":
            return value / self.limit
        missed, allowed = 1.0 - value, 1.0 - self.limit
        return missed / allowed if allowed > 0 else (0.0 if missed <= 0 else math.inf)

    def met(self, value: float) -> bool:
        return math.isnan(value) or (value >= self.limit if self.metric == "goodput" else value <= self.limit)

    def misses_allowed(self, requests: int) -> int:
        """The most of so many requests that may miss their bound while the objective can still hold.

        A percentile is straight between order statistics k and k + 1 and so is no less than the k-th.
        """
        if self.metric == "goodput":
            return math.floor(requests * (1.0 - self.limit) + 1e-9)
        if self.statistic == "mean" or not requests:
            return requests
        place = float(self.statistic[1:]) / 100 * (requests - 1)
        return requests - 1 - math.floor(place)

    def shown(self, value: float) -> str:
        """The figure and its limit in words."""
        if self.metric == "goodput":
            return f"{self.name} {value:.2%} of at least {self.limit:.2%}"
        return f"{self.name} {value:,.4g} of {self.limit:,.4g} ms"


def flatten(objectives: Objectives, load: HeldLoad) -> list[Objective]:
    """All rules over a load. Raises `InputError` for classes that its columns do not tell apart."""
    found = list(_of_group(objectives, "", None))
    for group in objectives.classes:
        column, value = ("priority", group.priority) if group.tenant is None else ("tenant", group.tenant)
        mask = load.column(column) == value
        if not mask.any():
            raise InputError(f"objectives.classes: no request of {load.name} has {column} {value}")
        found += _of_group(group, f"{column} {value}: ", mask)
    return found


def _of_group(group: Latencies, lead: str, mask: Mask | None) -> Iterator[Objective]:
    for metric in METRICS:
        bounds: Percentiles = getattr(group, f"{metric}_ms")
        for statistic, limit in bounds.model_dump().items():
            if limit is not None:
                each = {} if statistic == "mean" else {metric: limit}
                yield Objective(f"{lead}{metric.upper()} {statistic.upper()}", metric, statistic, limit, each, mask)
    if group.goodput is not None:
        yield Objective(f"{lead}goodput", "goodput", "share", group.goodput.share, _bounds(group.goodput), mask)


def _bounds(goodput: Goodput) -> dict[str, float]:
    given = {metric: getattr(goodput, f"{metric}_ms") for metric in METRICS}
    return {metric: bound for metric, bound in given.items() if bound is not None}
