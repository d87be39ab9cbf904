"""Routers: which replica a request goes to. A router is any object with `choose(sequence, replicas) -> int`."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from typing import Protocol

import numpy as np

from simulator.policies.sequence import Sequence


class ReplicaView(Protocol):
    """What a router may read of a replica."""

    @property
    def outstanding(self) -> int: ...

    @property
    def prompt_backlog(self) -> int: ...

    @property
    def kv_utilisation(self) -> float: ...


class Router(Protocol):
    """Decides where each request goes."""

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """Index into `replicas`."""
        ...


class RoundRobin:
    """Each replica in turn."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The replica after the last one chosen."""
        chosen = self._next
        self._next = (chosen + 1) % len(replicas)
        return chosen


class Random:
    """A replica at random, each equally likely; `rng` is a seeded stream."""

    def __init__(self, *, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """Any replica."""
        return int(self._rng.integers(len(replicas)))


class LeastOutstanding:
    """The replica with the fewest requests not finished; the first of equals."""

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The least loaded replica by requests."""
        loads = [r.outstanding for r in replicas]
        return loads.index(min(loads))


class ShortestQueue:
    """The replica with the fewest prompt tokens still to compute, then with the fewest requests.

    Join-shortest-queue (Winston, 1977), the queue measured in tokens.
    """

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The least loaded replica by tokens."""
        loads = [(r.prompt_backlog, r.outstanding) for r in replicas]
        return loads.index(min(loads))
