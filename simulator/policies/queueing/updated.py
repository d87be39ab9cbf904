"""Priorities that change while requests wait and run."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import numpy as np

from simulator.policies.queueing.discipline import Key
from simulator.policies.sequence import Sequence

MASK = (1 << 64) - 1


class UpdatedPriority:
    """Serve by classes that are drawn anew every `every_s` seconds; a better class takes the place of a worse one.

    A conversation (a request without one) draws one of `classes` classes, 0 the best, with equal chances. With the
    pattern "random" each update draws for all; with "markov" a class is kept with probability `persistence`, so that
    those who were served go on being served for a while. Within a class the first to arrive goes first.

    The offline priority traces of FastSwitch (arXiv:2411.18424), a random and a Markov pattern at a given update
    frequency; there the updates are counted in iterations. What an update draws depends on the seed, the
    conversation and the number of the update alone, so it is the same however requests are served.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        pattern: str = "random",
        every_s: float = 5.0,
        classes: int = 4,
        persistence: float = 0.75,
    ) -> None:
        if pattern not in ("random", "markov"):
            raise ValueError(f"pattern is {pattern!r}, which must be random or markov")
        if not 0.0 < every_s < inf or classes < 1 or not 0.0 <= persistence < 1.0:
            raise ValueError("every_s must be above 0, classes 1 or more, persistence from 0 to below 1")
        self._seed = int(rng.integers(1 << 63))
        self._every = every_s
        self._classes = classes
        self._keep = persistence if pattern == "markov" else 0.0
        self._update = 0
        self._waiting: dict[Sequence, None] = {}

    def key(self, sequence: Sequence, now: float) -> Key:
        """The class since the last update."""
        return (self.class_at(sequence, self._update),)

    def preempts(self, waiting: Sequence, running: Sequence) -> bool:
        """Whether its class is better."""
        return self.class_at(waiting, self._update) < self.class_at(running, self._update)

    def queued(self, sequence: Sequence, now: float) -> None:
        """It waits."""
        self._waiting[sequence] = None

    def taken(self, sequence: Sequence) -> None:
        """It waits no more."""
        del self._waiting[sequence]

    def next_change(self) -> float:
        """The time of the next update."""
        return (self._update + 1) * self._every

    def changed(self, now: float) -> Iterable[Sequence]:
        """All that wait, if there was an update up to `now`."""
        if now < self.next_change():
            return ()
        while self.next_change() <= now:
            self._update += 1
        return tuple(self._waiting)

    def class_at(self, sequence: Sequence, update: int) -> int:
        """The class of a sequence after so many updates."""
        name = 2 * sequence.session + 1 if sequence.session >= 0 else 2 * sequence.index
        while update > 0 and self._uniform(name, 2 * update) < self._keep:
            update -= 1
        return int(self._uniform(name, 2 * update + 1) * self._classes)

    def _uniform(self, name: int, draw: int) -> float:
        """A number in [0, 1) for each name and draw: SplitMix64 (Steele et al., OOPSLA 2014) of the three."""
        return _mix(_mix(_mix(self._seed) ^ name) ^ draw) / 2.0**64


def _mix(value: int) -> int:
    """One output of SplitMix64."""
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)
