"""Laws of random quantities: service times, sizes, difficulties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Law(Protocol):
    """A distribution of numbers; `mean` is its expectation."""

    @property
    def mean(self) -> float: ...

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """`count` independent values."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value."""

    mean: float

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        return np.full(count, self.mean)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless, of a given mean."""

    mean: float

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        return rng.exponential(self.mean, count)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lognormal of a given mean; `variation` is the standard deviation over the mean."""

    mean: float
    variation: float

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        variance = np.log1p(self.variation**2)
        return rng.lognormal(np.log(self.mean) - variance / 2.0, np.sqrt(variance), count)


@dataclass(frozen=True, slots=True)
class Gamma:
    """Gamma of a given mean; `variation` is the standard deviation over the mean."""

    mean: float
    variation: float

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        shape = self.variation**-2
        return rng.gamma(shape, self.mean / shape, count)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform from `low` to `high`."""

    low: float
    high: float

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2.0

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        return rng.uniform(self.low, self.high, count)


@dataclass(frozen=True, slots=True)
class Empirical:
    """One of `values` with these probabilities, which add up to 1."""

    values: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.dot(self.values, self.weights))

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        return rng.choice(np.asarray(self.values, dtype=np.float64), count, p=self.weights)


@dataclass(slots=True)
class Counted:
    """0, 1, 2, ... and again from 0 after `period` values: which of so many inputs an item is."""

    period: int
    at: int = 0

    @property
    def mean(self) -> float:
        return (self.period - 1) / 2.0

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        found = (self.at + np.arange(count, dtype=np.float64)) % self.period
        self.at += count
        return found


class Draws:
    """Values of a law one at a time, drawn in blocks from one generator."""

    BLOCK = 256

    def __init__(self, law: Law, rng: np.random.Generator) -> None:
        self.law = law
        self._rng = rng
        self._left: list[float] = []

    def __call__(self) -> float:
        if not self._left:
            self._left = self.law.draw(self._rng, self.BLOCK)[::-1].tolist()
        return self._left.pop()
