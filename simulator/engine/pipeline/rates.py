"""How fast a resource works over time: work per second, piecewise constant.

Bytes a second of a link, or the share of a device that is left to the pipeline.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Protocol

import numpy as np


class Rate(Protocol):
    """Work per second over time, from time 0."""

    def at(self, time: float) -> float:
        """Work per second at a time."""
        ...

    def work(self, start: float, end: float) -> float:
        """Work done between two times at full use."""
        ...

    def finish(self, start: float, work: float) -> float:
        """When work that starts at `start` is done at full use."""
        ...


class Steady:
    """The same rate at all times."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def at(self, time: float) -> float:
        return self.rate

    def work(self, start: float, end: float) -> float:
        return (end - start) * self.rate

    def finish(self, start: float, work: float) -> float:
        return start + work / self.rate


class Stepwise:
    """Rates that hold for one stretch of time after another; `steps` are endless (seconds, rate), drawn when needed."""

    def __init__(self, steps: Iterator[tuple[float, float]]) -> None:
        self._steps = steps
        self._starts: list[float] = [0.0]
        self._rates: list[float] = []
        self._done: list[float] = [0.0]

    def at(self, time: float) -> float:
        self._reach(time)
        return self._rates[bisect_right(self._starts, time) - 1]

    def work(self, start: float, end: float) -> float:
        return self._until(end) - self._until(start)

    def finish(self, start: float, work: float) -> float:
        if work <= 0.0:
            return start
        target = self._until(start) + work
        while self._done[-1] < target:
            self._extend()
        at = bisect_left(self._done, target) - 1
        return max(start, self._starts[at] + (target - self._done[at]) / self._rates[at])

    def _until(self, time: float) -> float:
        self._reach(time)
        at = bisect_right(self._starts, time) - 1
        return self._done[at] + (time - self._starts[at]) * self._rates[at]

    def _reach(self, time: float) -> None:
        while self._starts[-1] <= time:
            self._extend()

    def _extend(self) -> None:
        seconds, rate = next(self._steps)
        self._rates.append(rate)
        self._starts.append(self._starts[-1] + seconds)
        self._done.append(self._done[-1] + seconds * rate)


def trace(seconds: Sequence[float], rates: Sequence[float]) -> Stepwise:
    """Recorded rates, each for so many seconds, again from the start after the last."""
    return Stepwise((seconds[n % len(rates)], rates[n % len(rates)]) for n in count())


def gilbert_elliott(good: float, bad: float, good_s: float, bad_s: float, rng: np.random.Generator) -> Stepwise:
    """A link with two states of exponential length, good at first (Gilbert 1960, Elliott 1963)."""

    def steps() -> Iterator[tuple[float, float]]:
        while True:
            yield float(rng.exponential(good_s)), good
            yield float(rng.exponential(bad_s)), bad

    return Stepwise(steps())
