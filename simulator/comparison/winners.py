"""Who wins and who loses: requests by length and by arrival, and what a change means for each group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.comparison.metrics import Pairs, RequestMetric
from simulator.engine.recorder import Floats

# Differences below a microsecond are a tie: no kernel is timed finer than that.
TIE_S = 1e-6
BINS = 4


@dataclass(frozen=True)
class Shares:
    """Shares of requests for which a scenario is better than the baseline, worse, and neither."""

    wins: float
    loses: float
    ties: float


@dataclass(frozen=True)
class Group:
    """Requests of one bin: the mean of a metric in the baseline and in the scenario, and who wins."""

    by: str
    label: str
    requests: int
    baseline: float
    scenario: float
    shares: Shares


def shares(base: Floats, other: Floats, metric: RequestMetric) -> Shares:
    """Who is better off, from paired values (shape (pairs,))."""
    gain = base - other if metric.better == "lower" else other - base
    wins, loses = float((gain > TIE_S).mean()), float((gain < -TIE_S).mean())
    return Shares(wins, loses, float((np.abs(gain) <= TIE_S).mean()))


def groups(pairs: Pairs, metric: RequestMetric, scenario: int) -> list[Group]:
    """The quarters of the requests by prompt length, output length and arrival; equal lengths share a bin.

    Requests without the metric are left out of their bin, and a bin with none left is left out.
    """
    known, base, other = pairs.of(metric.name, scenario)
    since = pairs.arrival_s - pairs.arrival_s.min()
    found = []
    for by, values, order in (
        ("prompt tokens", pairs.prompt_tokens, pairs.prompt_tokens),
        ("output tokens", pairs.output_tokens, pairs.output_tokens),
        ("arrival (s)", since, np.arange(len(since), dtype=np.float64)),
    ):
        bins = quantile_bins(order)
        for number in np.unique(bins[known]):
            low, high = values[bins == number].min(), values[bins == number].max()
            inside = bins[known] == number
            label = f"{low:,.0f}" if low == high else f"{low:,.0f} – {high:,.0f}"
            means = float(base[inside].mean()), float(other[inside].mean())
            found.append(Group(by, label, int(inside.sum()), *means, shares(base[inside], other[inside], metric)))
    return found


def quantile_bins(values: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each value, by the quantiles; equal values are always in the same bin."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    edges = np.quantile(values, np.arange(1, bins) / bins)
    return np.searchsorted(edges, values, side="left")
