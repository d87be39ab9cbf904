"""Routers that look at load alone, or at nothing."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced

import numpy as np

from simulator.policies.routing.views import ReplicaView, least_loaded
from simulator.policies.sequence import Sequence


class RoundRobin:
    """Each replica in turn."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The replica after the last one chosen."""
        chosen = self._next % len(replicas)
        self._next = chosen + 1
        return chosen


class Random:
    """A replica at random, each equally likely; `rng` is a seeded stream."""

    def __init__(self, *, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """Any replica."""
        return int(self._rng.integers(len(replicas)))


class PowerOfTwo:
    """The less loaded of two different replicas picked at random, by requests; the first picked of equals.

    Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001.
    """

    def __init__(self, *, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The better of two."""
        count = len(replicas)
        if count == 1:
            return 0
        first = int(self._rng.integers(count))
        second = (first + 1 + int(self._rng.integers(count - 1))) % count
        return second if replicas[second].outstanding < replicas[first].outstanding else first


class LeastOutstanding:
    """The replica with the fewest requests not finished; the first of equals."""

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The least loaded replica by requests."""
        return least_loaded(replicas)


class ShortestQueue:
    """The replica with the fewest prompt tokens still to compute, then with the fewest requests.

    Join-shortest-queue (Winston, 1977), the queue measured in tokens.
    """

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The least loaded replica by tokens."""
        loads = [(r.prompt_backlog, r.outstanding) for r in replicas]
        return loads.index(min(loads))


class KVUtilisation:
    """The replica whose KV cache is held to the smallest share, then with the fewest requests."""

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The least loaded replica by memory."""
        loads = [(r.kv_utilisation, r.outstanding) for r in replicas]
        return loads.index(min(loads))
