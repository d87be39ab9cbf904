"""Gaps between tokens with the iterations that they belong to, for what shows them over time."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.recorder import Floats, LogHistogram, Recorder

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GapColumns:
    """Gaps by column, all of shape (gaps,): seconds, how many tokens came so, the iteration row, and the place in it.

    `place` is above 0 and at most 1: the share of the row's time after which the token came.
    """

    seconds: Floats
    tokens: Ints
    row: Ints
    place: Floats


class DatedGaps:
    """A `LogHistogram` that also keeps every gap with the row of its iteration, the latest when it is added."""

    def __init__(self, rows: Callable[[], int]) -> None:
        self._rows = rows
        self._histogram = LogHistogram()
        self._seconds: list[Floats] = []
        self._row = array("q")
        self._weight = array("q")

    def add(self, seconds: Floats, weight: int) -> None:
        """Count each duration `weight` times, as of steps that follow one another in the latest iteration."""
        self._histogram.add(seconds, weight)
        self._seconds.append(seconds)
        self._row.append(self._rows() - 1)
        self._weight.append(weight)

    @property
    def total(self) -> int:
        """Durations counted."""
        return self._histogram.total

    def quantile(self, q: float) -> float:
        """The duration below which a share `q` of them lies; NaN where there are none."""
        return self._histogram.quantile(q)

    def columns(self) -> GapColumns:
        """All gaps, in the order in which they were added."""
        lengths = np.array([len(s) for s in self._seconds], dtype=np.int64)
        seconds = np.concatenate(self._seconds) if self._seconds else np.zeros(0)
        first = np.repeat(np.cumsum(lengths) - lengths, lengths)
        place = (np.arange(len(seconds)) - first + 1) / np.repeat(lengths, lengths)
        row, weight = (np.repeat(np.frombuffer(a, dtype=np.int64), lengths) for a in (self._row, self._weight))
        return GapColumns(seconds, weight, row, place)


def dated_recorder() -> Recorder:
    """A recorder whose gaps between tokens are `DatedGaps`."""
    recorder = Recorder()
    recorder.inter_token = DatedGaps(lambda: recorder.rows)
    return recorder
