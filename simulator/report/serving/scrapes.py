"""What a scraper would have read at each of its times: counts, sums, histograms and levels by engine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.recorder import Floats
from simulator.errors import InputError

Ints = NDArray[np.int64]
INTERVALS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
USUAL_SCRAPES = 240


@dataclass(frozen=True, slots=True)
class Events:
    """Things that happened: when (seconds), in which engine, with which value, and how many alike (shape (events,))."""

    time: Floats
    engine: Ints
    value: Floats
    many: Ints

    def with_values(self, value: Floats) -> Events:
        """The same events with other values; those whose value is NaN are left out."""
        known = ~np.isnan(value)
        return Events(self.time[known], self.engine[known], value[known], self.many[known])


def scrape_times(end: float, interval_s: float | None) -> Floats:
    """Times (shape (scrapes,), simulated seconds) from 0 to the first at or after `end`.

    Without an interval the shortest of 1 s to 1 h that gives at most 240 scrapes, or more beyond ten days. Raises
    `InputError` for one that is not above 0.
    """
    if interval_s is None:
        fits = [step for step in INTERVALS if end / step <= USUAL_SCRAPES]
        interval_s = fits[0] if fits else math.ceil(end / USUAL_SCRAPES / INTERVALS[-1]) * INTERVALS[-1]
    if not (math.isfinite(interval_s) and interval_s >= 1e-3):
        raise InputError(f"--metrics-interval is {interval_s:g}: give seconds, at least 0.001")
    return np.asarray(np.arange(math.ceil(end / interval_s) + 1) * float(interval_s), dtype=np.float64)


def totals(events: Events, times: Floats, engines: int) -> Floats:
    """Sum of values up to each time (shape (engines, scrapes))."""
    place = _place(events, times)
    sums = np.bincount(place, events.value * events.many, minlength=engines * len(times))
    return np.asarray(np.cumsum(sums[: engines * len(times)].reshape(engines, -1), axis=1), dtype=np.float64)


def distribution(events: Events, edges: tuple[float, ...], times: Floats, engines: int) -> Ints:
    """Events up to each time with values at or below each edge, and all (shape (engines, scrapes, edges + 1))."""
    width = len(edges) + 1
    place = _place(events, times) * width + np.searchsorted(edges, events.value, side="left")
    counts = np.bincount(place, events.many, minlength=engines * len(times) * width)
    table = counts[: engines * len(times) * width].reshape(engines, len(times), width)
    return np.rint(np.cumsum(np.cumsum(table, axis=1), axis=2)).astype(np.int64)


def level(start: Floats, end: Floats, height: Floats, engine: Ints, times: Floats, engines: int) -> Floats:
    """Sum of the heights of what has begun and not ended at each time (shape (engines, scrapes))."""
    found = np.zeros((engines, len(times)))
    for number in range(engines):
        mine = engine == number
        for edge, sign in ((start[mine], 1.0), (end[mine], -1.0)):
            order = np.argsort(edge, kind="stable")
            summed = np.concatenate([[0.0], np.cumsum(height[mine][order])])
            found[number] += sign * summed[np.searchsorted(edge[order], times, side="right")]
    return found


def _place(events: Events, times: Floats) -> Ints:
    """Number of the first scrape that sees an event, counted on from engine to engine."""
    seen = np.minimum(np.searchsorted(times, events.time, side="left"), len(times) - 1)
    return np.asarray(events.engine * len(times) + seen, dtype=np.int64)
