"""A router that adds up several scores of each replica."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced

from simulator.policies.routing.views import ReplicaView
from simulator.policies.sequence import Sequence


class Weighted:
    """The replica with the highest weighted sum of scores between 0 and 1, the least loaded of equals.

    `prefix` weighs the cached share of the prompt, `kv_utilisation` the free share of the KV cache, `queue` and
    `outstanding` how few requests wait and are unfinished: 1 for the fewest of all replicas, 0 for the most.

    Scorers and default weights of llm-d (prefix-cache-scorer 3, kv-cache-utilization-scorer 2, queue-scorer 2,
    max-score-picker).
    """

    def __init__(
        self, *, prefix: float = 3.0, queue: float = 2.0, kv_utilisation: float = 2.0, outstanding: float = 0.0
    ) -> None:
        if min(prefix, queue, kv_utilisation, outstanding) < 0:
            raise ValueError("prefix, queue, kv_utilisation and outstanding are at least 0")
        self.prefix = prefix
        self.queue = queue
        self.kv_utilisation = kv_utilisation
        self.outstanding = outstanding

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The replica with the highest score."""
        loads = [r.outstanding for r in replicas]
        scores = [0.0] * len(replicas)
        if self.prefix:
            _add(scores, self.prefix, [r.cached_tokens(sequence) / sequence.target for r in replicas])
        if self.kv_utilisation:
            _add(scores, self.kv_utilisation, [1.0 - r.kv_utilisation for r in replicas])
        if self.queue:
            _add(scores, self.queue, _fewest([r.queued for r in replicas]))
        if self.outstanding:
            _add(scores, self.outstanding, _fewest(loads))
        return min((-score, load, i) for i, (score, load) in enumerate(zip(scores, loads, strict=True)))[2]


def _add(scores: list[float], weight: float, more: list[float]) -> None:
    for i, value in enumerate(more):
        scores[i] += weight * value


def _fewest(counts: list[int]) -> list[float]:
    """1 for the smallest count, 0 for the largest, linear between; 1 for all where they are equal."""
    low, high = min(counts), max(counts)
    return [(high - c) / (high - low) if high > low else 1.0 for c in counts]
