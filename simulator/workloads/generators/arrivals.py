"""Arrival processes: each turns uniform random numbers into arrival times, chunk by chunk.

A process is a frozen dataclass with one method, `times(rng)`, which yields arrival times in order without end
(or until its stages are over), so that the same seed gives the same times whatever the chunk size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError

Floats = NDArray[np.float64]
BLOCK = 4096
MOST_AT_ONCE = 10_000_000


class Arrivals(Protocol):
    """Yields arrays of arrival times (seconds), in order, `BLOCK` or so at a time."""

    def times(self, rng: np.random.Generator) -> Iterator[Floats]: ...


def positive(name: str, value: object, least: float = 1e-9, most: float = 1e9) -> float:
    """A number between two positive bounds, or an `InputError` that names the field."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}: give a number from {least:g} to {most:g}")
    return float(value)


def _cumulated(gaps: Iterator[Floats]) -> Iterator[Floats]:
    now = 0.0
    for block in gaps:
        times = np.add.accumulate(np.concatenate([[now], block]))[1:]
        now = float(times[-1])
        yield times


@dataclass(frozen=True)
class Poisson:
    """Exponential gaps: `rate` requests a second."""

    rate: float

    def __post_init__(self) -> None:
        positive("arrivals.rate", self.rate)

    def times(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Arrival times without end."""
        return _cumulated(rng.exponential(1 / self.rate, BLOCK) for _ in iter(int, 1))


@dataclass(frozen=True)
class Gamma:
    """Gamma gaps of mean 1/`rate` and coefficient of variation `cv` (above 1: bursty, below 1: regular)."""

    rate: float
    cv: float = 1.0

    def __post_init__(self) -> None:
        positive("arrivals.rate", self.rate)
        positive("arrivals.cv", self.cv, 1e-3, 1e3)

    def times(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Arrival times without end."""
        shape = 1 / self.cv**2
        return _cumulated(rng.gamma(shape, 1 / (self.rate * shape), BLOCK) for _ in iter(int, 1))


@dataclass(frozen=True)
class Weibull:
    """Weibull gaps of mean 1/`rate` and the given `shape` (below 1: bursty)."""

    rate: float
    shape: float = 1.0

    def __post_init__(self) -> None:
        positive("arrivals.rate", self.rate)
        positive("arrivals.shape", self.shape, 0.05, 1e3)

    def times(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Arrival times without end."""
        scale = 1 / (self.rate * math.gamma(1 + 1 / self.shape))
        return _cumulated(rng.weibull(self.shape, BLOCK) * scale for _ in iter(int, 1))


@dataclass(frozen=True)
class Constant:
    """One request every 1/`rate` seconds, the first at 0."""

    rate: float

    def __post_init__(self) -> None:
        positive("arrivals.rate", self.rate)

    def times(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Arrival times without end."""
        start = 0
        while True:
            yield np.arange(start, start + BLOCK) / self.rate
            start += BLOCK


@dataclass(frozen=True)
class Burst:
    """All requests at once, at 0."""

    def times(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Zeros without end."""
        while True:
            yield np.zeros(BLOCK)


@dataclass(frozen=True)
class MMPP:
    """A Markov-modulated Poisson process: `rates[i]` requests a second for exponential times of mean `dwell_s[i]`.

    States follow one another in order (two states: on and off).
    """

    rates: tuple[float, ...]
    dwell_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.dwell_s) or len(self.rates) < 2:
            raise InputError(
                "arrivals.rates and arrivals.dwell_s: give two or more of each, as many of one as of the other"
            )
        if not all(isinstance(r, int | float) and 0 <= r <= 1e9 for r in self.rates):
            raise InputError("arrivals.rates: give numbers from 0 to 1e9")
        for dwell in self.dwell_s:
            positive("arrivals.dwell_s", dwell)
        cycle = sum(rate * dwell for rate, dwell in zip(self.rates, self.dwell_s, strict=True))
        if not 0.01 <= cycle <= MOST_AT_ONCE:
            raise InputError(
                f"arrivals.rates and arrivals.dwell_s give {cycle:.3g} requests a cycle: expected "
                f"0.01 to {MOST_AT_ONCE:,}"
            )

    def times(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Arrival times without end."""
        start, state = 0.0, 0
        while True:
            length = rng.exponential(self.dwell_s[state])
            count = rng.poisson(self.rates[state] * length)
            if count:
                yield start + np.sort(rng.uniform(0, length, count))
            start, state = start + length, (state + 1) % len(self.rates)


@dataclass(frozen=True)
class Diurnal:
    """A Poisson process whose rate swings between (1 - `swing`) and (1 + `swing`) times `rate` each `period_s`."""

    rate: float
    swing: float = 0.5
    period_s: float = 86400.0

    def __post_init__(self) -> None:
        positive("arrivals.rate", self.rate)
        positive("arrivals.period_s", self.period_s)
        if not 0 <= self.swing <= 1:
            raise InputError(f"arrivals.swing is {self.swing!r}: give a number from 0 to 1")

    def times(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Arrival times without end, by thinning (Lewis and Shedler, 1979)."""
        peak = self.rate * (1 + self.swing)
        for block in Poisson(peak).times(rng):
            rate = self.rate * (1 + self.swing * np.sin(2 * np.pi * block / self.period_s))
            kept = block[rng.uniform(0, peak, len(block)) < rate]
            if len(kept):
                yield kept


@dataclass(frozen=True)
class Staged:
    """inference-perf's load: stages of `rate` requests a second for `duration` seconds, evenly spaced or Poisson."""

    stages: tuple[tuple[float, float], ...]
    spacing: str = "constant"

    def __post_init__(self) -> None:
        if not self.stages:
            raise InputError("arrivals.stages: give a list of {rate, duration}")
        for rate, duration in self.stages:
            positive("arrivals.stages.rate", rate)
            positive("arrivals.stages.duration", duration)
            if rate * duration > MOST_AT_ONCE:
                raise InputError(
                    f"arrivals.stages: {rate:g} a second for {duration:g} s are over {MOST_AT_ONCE:,} requests: "
                    "split the stage"
                )
        if self.spacing not in ("constant", "poisson"):
            raise InputError(f"arrivals.spacing is {self.spacing!r}: give constant or poisson")

    def times(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Arrival times until the stages are over."""
        start = 0.0
        for rate, duration in self.stages:
            count = round(rate * duration)
            if self.spacing == "constant":
                yield start + np.arange(count) / rate
            else:
                yield start + np.sort(rng.uniform(0, duration, count))
            start += duration
