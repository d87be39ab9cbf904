"""Length laws: quantile functions of token counts, so that prompt and output lengths can be drawn jointly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.workloads.generators.arrivals import positive

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LONGEST = 10_000_000
Z90 = 1.2815515655446004


class Lengths(Protocol):
    """A law of token counts."""

    def quantiles(self, normal: Floats) -> Ints:
        """Token counts (at least 1) for standard normal scores."""
        ...


def tokens(name: str, value: object) -> int:
    """A whole number of tokens from 1 to ten million, or an `InputError` that names the field."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST:
        raise InputError(f"{name} is {value!r}: give a whole number of tokens from 1 to {LONGEST:,}")
    return value


@dataclass(frozen=True)
class Fixed:
    """Always `tokens` tokens."""

    tokens: int

    def __post_init__(self) -> None:
        tokens("tokens", self.tokens)

    def quantiles(self, normal: Floats) -> Ints:
        """The one length."""
        return np.full(len(normal), self.tokens, dtype=np.int64)


@dataclass(frozen=True)
class Uniform:
    """Every whole number from `least` to `most` equally likely."""

    least: int
    most: int

    def __post_init__(self) -> None:
        tokens("least", self.least)
        if tokens("most", self.most) < self.least:
            raise InputError(f"most {self.most} is below least {self.least}")

    def quantiles(self, normal: Floats) -> Ints:
        """Lengths by the normal distribution function."""
        span = self.most - self.least + 1
        return self.least + np.minimum((normal_cdf(normal) * span).astype(np.int64), span - 1)


@dataclass(frozen=True)
class LogNormal:
    """Log-normal with this `median`, spread by `sigma` (of the logarithm) or by the 90th percentile `p90`.

    Lengths are rounded and cut to `least`..`max`.
    """

    median: float
    sigma: float | None = None
    p90: float | None = None
    max: int = LONGEST
    least: int = 1

    def __post_init__(self) -> None:
        positive("median", self.median)
        if tokens("max", self.max) < tokens("least", self.least):
            raise InputError(f"max {self.max} is below least {self.least}")
        if (self.sigma is None) == (self.p90 is None):
            raise InputError("a lognormal law takes either sigma or p90")
        if self.sigma is not None and not 0 <= self.sigma < 20:
            raise InputError(f"sigma is {self.sigma!r}: give a number from 0 to 20")
        if self.p90 is not None and positive("p90", self.p90) < self.median:
            raise InputError(f"p90 {self.p90} is below the median {self.median}")

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm."""
        if self.sigma is not None:
            return self.sigma
        assert self.p90 is not None
        return math.log(self.p90 / self.median) / Z90

    def quantiles(self, normal: Floats) -> Ints:
        """Lengths by the exponential of the scores."""
        values = np.rint(self.median * np.exp(np.minimum(self.spread * normal, 50.0)))
        return np.clip(values, self.least, self.max).astype(np.int64)


@dataclass(frozen=True)
class Empirical:
    """A law by a table of quantiles: `quantile[i]` (0 to 1, rising) has length `tokens[i]`; linear in between."""

    quantile: tuple[float, ...]
    tokens: tuple[int, ...]

    def __post_init__(self) -> None:
        q, t = list(self.quantile), list(self.tokens)
        if len(q) != len(t) or len(q) < 2:
            raise InputError("an empirical law takes lists 'quantile' and 'tokens' of equal length, at least 2")
        for value in t:
            tokens("tokens", value)
        if q[0] != 0 or q[-1] != 1 or sorted(set(q)) != q or sorted(t) != t:
            raise InputError("an empirical law's quantiles rise from 0 to 1, and its tokens do not fall")

    def quantiles(self, normal: Floats) -> Ints:
        """Lengths by interpolation in the table."""
        return np.rint(np.interp(normal_cdf(normal), self.quantile, self.tokens)).astype(np.int64)


def from_values(values: Ints, points: int = 201) -> Empirical:
    """The empirical law of observed lengths."""
    grid = np.linspace(0, 1, points)
    table = np.rint(np.quantile(values, grid)).astype(int)
    return Empirical(tuple(grid.tolist()), tuple(table.tolist()))


def normal_cdf(x: Floats) -> Floats:
    """The standard normal distribution function, by the error function (array version of `math.erf`)."""
    erf = np.array([math.erf(v) for v in np.ravel(x) / math.sqrt(2.0)])
    return 0.5 * (1.0 + erf.reshape(np.shape(x)))
