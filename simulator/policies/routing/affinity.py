"""Routers that send a request where its prefix or its session has been before."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Sequence as Sequenced

from simulator.policies.routing.views import ReplicaView, least_loaded
from simulator.policies.sequence import Sequence


class PrefixAffinity:
    """The replica that has most of the prompt cached; the least loaded one if none has enough of it.

    "Enough" is more than a share `threshold` of the prompt. While the most loaded replica has over
    `balance_requests` requests more than the least loaded and over `balance_ratio` times as many, load alone
    decides. Rules and defaults of the cache-aware policy of SGLang's router; the cache is looked up, where that
    router guesses it from the prompts it has sent.
    """

    def __init__(self, *, threshold: float = 0.3, balance_requests: int = 64, balance_ratio: float = 1.5) -> None:
        self.threshold = threshold
        self.balance_requests = balance_requests
        self.balance_ratio = balance_ratio

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The replica with the longest cached prefix, the least loaded of equals."""
        loads = [r.outstanding for r in replicas]
        low, high = min(loads), max(loads)
        if high - low > self.balance_requests and high > low * self.balance_ratio:
            return loads.index(low)
        hits = [r.cached_tokens(sequence) for r in replicas]
        best = max(hits)
        if best <= self.threshold * sequence.target:
            return loads.index(low)
        return min((load, i) for i, (load, hit) in enumerate(zip(loads, hits, strict=True)) if hit == best)[1]


class AdapterAffinity:
    """The least loaded of the replicas that hold the request's adapter, or of all where none does.

    While that one has over `balance_requests` requests more than the least loaded of all, load alone decides.
    """

    def __init__(self, *, balance_requests: int = 8) -> None:
        self.balance_requests = balance_requests

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """A replica that has the adapter, the first of equals."""
        least = least_loaded(replicas)
        there = [i for i, r in enumerate(replicas) if r.has_adapter(sequence.adapter)]
        if not there:
            return least
        best = min(there, key=lambda i: replicas[i].outstanding)
        too_many = replicas[best].outstanding - replicas[least].outstanding > self.balance_requests
        return least if too_many else best


class SessionAffinity:
    """Every turn of a session to one replica, by consistent hashing; requests without a session by least load.

    Each replica stands at `points` places of a ring and a session belongs to the next place after its own hash,
    so a replica that comes or goes moves only the sessions of its own places. Karger et al., "Consistent hashing
    and random trees", STOC 1997.
    """

    def __init__(self, *, points: int = 100) -> None:
        if points < 1:
            raise ValueError(f"points is {points}: give at least 1")
        self.points = points
        self._numbers: list[int] = []
        self._ring: list[tuple[int, int]] = []

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The replica next on the ring."""
        if sequence.session < 0:
            return least_loaded(replicas)
        numbers = [r.number for r in replicas]
        if numbers != self._numbers:
            self._numbers = numbers
            self._ring = sorted((_place(f"{n}/{p}"), i) for i, n in enumerate(numbers) for p in range(self.points))
        at = bisect(self._ring, (_place(f"session {sequence.session}"), -1))
        return self._ring[at % len(self._ring)][1]


def _place(name: str) -> int:
    """A place on the ring, the same in every run."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
