"""Entangled pairs of qubits over a link, and over a chain of repeaters: attempts that succeed by chance.

An attempt on a link takes a round of heralding and succeeds with a probability; links attempt side by side, in step. A
repeater swaps as soon as it holds a pair to either side; a swap succeeds with a probability, else both pairs are gone.
A pair that is older than the memories keep it is thrown away (Briegel et al., PRL 81, 5932 (1998); Coopmans et al.,
NetSquid, Commun. Phys. 4, 164 (2021)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import ceil

import numpy as np

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource
from simulator.engine.pipeline.service import Job, Step


@dataclass(frozen=True, slots=True)
class RepeaterChain:
    """`links` in a row, each with `memories` at either end that try side by side.

    `attempt` is in seconds, `success` the probability of an attempt, `swap` that of a swap, `signal` the seconds that
    word of a swap takes, `keeps` the seconds that a pair lasts.
    """

    attempt: float
    success: float
    links: int = 1
    memories: int = 1
    swap: float = 1.0
    signal: float = 0.0
    keeps: float = float("inf")

    @property
    def link_success(self) -> float:
        """Probability that at least one of a link's memories succeeds in a round of attempts."""
        return float(-np.expm1(self.memories * np.log1p(-self.success))) if self.success < 1 else 1.0

    def seconds(self, rng: np.random.Generator) -> float:
        """Time from the first attempt to a pair between the ends of the chain, drawn."""
        if self.links == 1:
            return self.generation(rng)
        return _Swapping(self, rng).seconds()

    def generation(self, rng: np.random.Generator) -> float:
        """Time to a pair over one link, drawn."""
        return self.attempt * int(rng.geometric(self.link_success))

    def mean(self) -> float:
        """Expected seconds without cut-off: exact for a link and for one swap, else that of all swaps at once.

        The latest of n geometric times has the mean sum over k of (-1)^(k+1) C(n, k) / (1 - (1 - p)^k).
        """
        miss, n = 1.0 - self.link_success, self.links
        rounds, term = 0.0, 1.0
        for k in range(1, n + 1):
            term *= (n - k + 1) / k
            rounds += (-1) ** (k + 1) * term / (1.0 - miss**k)
        return (rounds * self.attempt + (self.signal if n > 1 else 0.0)) / self.swap ** (n - 1)


class _Swapping:
    """One end-to-end pair in the making: pairs over stretches of links, which swaps join."""

    def __init__(self, chain: RepeaterChain, rng: np.random.Generator) -> None:
        self._chain, self._rng = chain, rng
        # events: (time, order, first link, last link, when the oldest pair in it was made)
        self._events: list[tuple[float, int, int, int, float]] = []
        self._order = 0
        self._held: dict[int, tuple[int, float]] = {}  # stretches by first link: last link, oldest
        for link in range(chain.links):
            self._generate(link, 0.0)

    def seconds(self) -> float:
        last = self._chain.links - 1
        while True:
            now, order, first, end, oldest = heappop(self._events)
            if order < 0:
                self._expire(first, end, oldest, now)
                continue
            if now - oldest >= self._chain.keeps:
                self._restart(first, end, now)
                continue
            if (first, end) == (0, last):
                return now
            self._hold(first, end, oldest)
            self._swap(first, end, oldest, now)

    def _generate(self, link: int, now: float) -> None:
        attempt = self._chain.attempt
        start = ceil(now / attempt - 1e-9) * attempt  # all links attempt in step
        end = start + self._chain.generation(self._rng)
        self._push(end, link, link, end)

    def _push(self, time: float, first: int, end: int, oldest: float) -> None:
        self._order += 1
        heappush(self._events, (time, self._order, first, end, oldest))

    def _hold(self, first: int, end: int, oldest: float) -> None:
        self._held[first] = (end, oldest)
        if self._chain.keeps < float("inf"):
            self._order += 1
            heappush(self._events, (oldest + self._chain.keeps, -self._order, first, end, oldest))

    def _expire(self, first: int, end: int, oldest: float, now: float) -> None:
        if self._held.get(first) == (end, oldest):
            del self._held[first]
            self._restart(first, end, now)

    def _restart(self, first: int, end: int, now: float) -> None:
        for link in range(first, end + 1):
            self._generate(link, now)

    def _swap(self, first: int, end: int, oldest: float, now: float) -> None:
        """Swap with a neighbour that is there."""
        left = next((f for f, (e, _) in self._held.items() if e == first - 1), None)
        start, stop = (left, first) if left is not None else (first, end + 1)
        if stop not in self._held:
            return
        (_, old_left), (last, old_right) = self._held.pop(start), self._held.pop(stop)
        known = now + self._chain.signal
        if self._rng.random() < self._chain.swap:
            self._push(known, start, last, min(old_left, old_right))
        else:
            self._restart(start, last, known)


class Entanglement:
    """Pairs for a batch one after the other, on a resource (a heralding station, say) or on the stage's own."""

    def __init__(self, chain: RepeaterChain, rng: np.random.Generator, on: Resource | None = None) -> None:
        self._chain, self._rng, self._on = chain, rng, on

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        return Job((Step(sum(self._chain.seconds(self._rng) for _ in range(max(len(batch), 1))), self._on),))

    def alone(self, item: Item, now: float) -> float:
        return self._chain.mean()
