"""Spans of time, and what of them lies within a window."""

from __future__ import annotations

import numpy as np


class Spans:
    """Spans from a start to an end, in seconds; they may overlap."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []

    def add(self, start: float, end: float) -> None:
        self._starts.append(start)
        self._ends.append(end)

    def within(self, begin: float, end: float) -> float:
        """Seconds of all spans between `begin` and `end`."""
        starts, ends = np.maximum(self._starts, begin), np.minimum(self._ends, end)
        return float(np.maximum(ends - starts, 0.0).sum())
