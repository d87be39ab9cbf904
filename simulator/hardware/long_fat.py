"""TCP over long fat links: what one connection attains, and several in parallel; bandwidth that changes with time.

One connection keeps at most a window in flight a round trip (the link is full only from the bandwidth-delay product
on), and after losses sqrt(3/2) segments a round trip over the square root of the loss rate (Mathis, Semke, Mahdavi
and Ott, "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm", 1997, equation 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError

Floats = NDArray[np.float64]
MATHIS = sqrt(1.5)
SEGMENT = 1460.0  # payload of an Ethernet frame of 1500 bytes
WINDOW = 64 * 2**20  # largest window that tuned long-haul hosts set (ESnet fasterdata: 64 MB for 10 Gb/s hosts)


@dataclass(frozen=True, slots=True)
class LongFatLink:
    """A link of `bandwidth` bytes/s with a round trip of `round_trip` seconds that loses a share `loss` of segments.

    A connection keeps `window` bytes in flight and sends `segment` bytes a packet.
    """

    bandwidth: float
    round_trip: float
    loss: float = 0.0
    window: float = WINDOW
    segment: float = SEGMENT

    def __post_init__(self) -> None:
        if not (0 < self.bandwidth < inf and 0 <= self.round_trip < inf and self.window > 0 and self.segment > 0):
            raise InputError("a long link needs a bandwidth, window and segment above 0 and a round trip of at least 0")
        if not 0 <= self.loss < 1:
            raise InputError(f"loss is {self.loss!r}: give a share of segments from 0 to below 1")

    @property
    def in_flight(self) -> float:
        """The bandwidth-delay product: bytes in flight when the link is full."""
        return self.bandwidth * self.round_trip

    def connection(self) -> float:
        """Bytes/s of one connection alone on the link."""
        if self.round_trip == 0.0:
            return self.bandwidth
        lossy = self.segment / self.round_trip * MATHIS / sqrt(self.loss) if self.loss else inf
        return min(self.bandwidth, self.window / self.round_trip, lossy)

    def parallel(self, connections: int) -> float:
        """Bytes/s of so many connections together; losses meet each on its own."""
        if connections < 1:
            raise InputError(f"connections is {connections}: give at least 1")
        return min(self.bandwidth, connections * self.connection())


@dataclass(frozen=True)
class Trace:
    """Bandwidth over time: `rates[i]` bytes/s from `times[i]` seconds to the next, the last for ever.

    Raises `InputError` unless times begin at 0 and rise, and rates are at least 0 and the last above 0.
    """

    times: Floats
    rates: Floats

    def __post_init__(self) -> None:
        if self.times.size == 0 or self.times.shape != self.rates.shape or self.times[0] != 0.0:
            raise InputError("a bandwidth trace needs as many times as rates, the first time 0")
        if (np.diff(self.times) <= 0).any():
            raise InputError("times of a bandwidth trace must rise")
        if not np.isfinite(self.rates).all() or (self.rates < 0).any() or self.rates[-1] <= 0:
            raise InputError("rates of a bandwidth trace must be at least 0 and finite, and the last above 0")

    @cached_property
    def _moved(self) -> Floats:
        """Bytes moved by each of `times`."""
        return np.concatenate([[0.0], np.cumsum(self.rates[:-1] * np.diff(self.times))])

    def moved(self, until: float) -> float:
        """Bytes from 0 to a time."""
        i = int(np.searchsorted(self.times, until, side="right")) - 1
        return float(self._moved[i] + self.rates[i] * (until - self.times[i]))

    def done(self, size: float, start: float = 0.0) -> float:
        """When `size` bytes that begin at `start` have passed."""
        if size <= 0.0:
            return start
        goal = self.moved(start) + size
        i = int(np.searchsorted(self._moved, goal, side="left")) - 1
        return max(start, float(self.times[i] + (goal - self._moved[i]) / self.rates[i]))


def constant(rate: float) -> Trace:
    """A bandwidth that does not change."""
    return Trace(np.zeros(1), np.full(1, rate))


def slowest(traces: list[Trace]) -> Trace:
    """The least of several traces at every time: what passes over all of them together."""
    times = np.unique(np.concatenate([t.times for t in traces]))
    rates = [t.rates[np.searchsorted(t.times, times, side="right") - 1] for t in traces]
    return Trace(times, np.min(rates, axis=0))


def wandering(
    rate: float, spread: float, *, rng: np.random.Generator, every: float = 10.0, steps: int = 360, keep: float = 0.9
) -> Trace:
    """A bandwidth around `rate`, log-normal with `spread`, that changes `every` so many seconds, `steps` times.

    Logarithms follow a first-order autoregression that keeps a share `keep` of the last, so that the spread does not
    grow. The mean of a long trace is `rate`.
    """
    noise: Floats = rng.normal(0.0, spread, steps)
    for i in range(1, steps):
        noise[i] = keep * noise[i - 1] + sqrt(1.0 - keep**2) * noise[i]
    rates: Floats = rate * np.exp(noise - spread**2 / 2.0)
    return Trace(every * np.arange(steps, dtype=np.float64), rates)
