"""Ring all-reduces among peers that fail and join: an attempt that loses a peer is given up and tried without it.

As in PCCL (arXiv:2505.14065): peers join between operations and first fetch the shared state from another; a failure in
mid-operation ends it for all, who restore their inputs and begin again with those who are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.engine.network.rings import best_ring
from simulator.errors import InputError
from simulator.hardware.long_fat import Trace, slowest

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Peers:
    """Links and lives of peers: `links[a, b]` is the bandwidth from a to b over time, `latency[a, b]` its seconds.

    A peer in `fails` is gone from that time on, one in `joins` asks to join then; the others are there from 0. `notice`
    is the time until all know of a failure.
    """

    links: Mapping[tuple[int, int], Trace]
    latency: Floats
    fails: Mapping[int, float] = field(default_factory=dict)
    joins: Mapping[int, float] = field(default_factory=dict)
    notice: float = 1.0

    @property
    def count(self) -> int:
        return len(self.latency)

    def alive(self, peer: int, at: float) -> bool:
        """Whether a peer has not failed yet."""
        return at < self.fails.get(peer, np.inf)

    def rates(self, at: float) -> Floats:
        """Bandwidth of all links at a time, bytes/s, shape (peers, peers)."""
        found = np.zeros((self.count, self.count))
        for (a, b), trace in self.links.items():
            found[a, b] = trace.rates[np.searchsorted(trace.times, at, side="right") - 1]
        return found


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of an all-reduce around `ring`, from `start` to `end` in seconds; whether it was `done`."""

    ring: tuple[int, ...]
    start: float
    end: float
    done: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """An all-reduce with its attempts; `waited` seconds went by before while those who join fetched the state."""

    waited: float
    attempts: tuple[Attempt, ...]

    @property
    def end(self) -> float:
        return self.attempts[-1].end

    @property
    def lost(self) -> float:
        """Seconds of attempts that failed."""
        return sum(a.end - a.start for a in self.attempts if not a.done)


def all_reduce(size: float, members: Sequence[int], peers: Peers, start: float = 0.0) -> tuple[Attempt, ...]:
    """All-reduce `size` bytes among `members`, again without those who fail until one attempt succeeds.

    Raises `InputError` if fewer than two are left.
    """
    attempts: list[Attempt] = []
    at = start
    while True:
        left = [m for m in members if peers.alive(m, at)]
        if len(left) < 2:
            raise InputError(f"an all-reduce needs two peers, and {len(left)} is left at {at:.6g} s")
        ring = best_ring(left, peers.rates(at))
        end = _ring_ends(size, ring, peers, at)
        failure = min((peers.fails[m] for m in left if m in peers.fails), default=np.inf)
        done = failure >= end
        attempts.append(Attempt(ring, at, end if done else failure + peers.notice, done))
        if done:
            return tuple(attempts)
        at = attempts[-1].end


def run_operations(count: int, size: float, state: float, compute: float, peers: Peers) -> tuple[Operation, ...]:
    """So many all-reduces of `size` bytes with `compute` seconds before each.

    Who has asked to join is let in before an all-reduce: it fetches `state` bytes from the member with the fastest link
    to it, and the others wait. Raises `InputError` where there is no member to fetch it from.
    """
    members = [p for p in range(peers.count) if p not in peers.joins]
    found: list[Operation] = []
    now = 0.0
    for _ in range(count):
        now += compute
        members = [m for m in members if peers.alive(m, now)]
        asking = [p for p, at in peers.joins.items() if at <= now and p not in members and peers.alive(p, now)]
        begin = now
        if asking and not members:
            raise InputError(
                f"network.churn: nobody is there at {now:.6g} s to give the state to those who join: "
                "let some neither fail nor join"
            )
        for newcomer in asking:
            now = max(now, _fetched(state, newcomer, members, peers, begin))
        members += asking
        found.append(Operation(now - begin, all_reduce(size, members, peers, now)))
        now = found[-1].end
    return tuple(found)


def _ring_ends(size: float, ring: Sequence[int], peers: Peers, start: float) -> float:
    """When a ring all-reduce ends: 2 (p - 1) messages after each other, 2 (p - 1) / p of the bytes over each link."""
    edges = list(zip(ring, [*ring[1:], ring[0]], strict=True))
    hops = 2 * (len(ring) - 1)
    begin = start + hops * max(float(peers.latency[e]) for e in edges)
    return slowest([peers.links[e] for e in edges]).done(hops / len(ring) * size, begin)


def _fetched(state: float, newcomer: int, members: Sequence[int], peers: Peers, start: float) -> float:
    """When a newcomer has the state."""
    rates = peers.rates(start)
    source = max(members, key=lambda m: rates[m, newcomer])
    return peers.links[source, newcomer].done(state, start + float(peers.latency[source, newcomer]))
