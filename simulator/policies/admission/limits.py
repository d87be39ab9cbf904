"""Rules that shed requests."""

from __future__ import annotations

from simulator.policies.routing.views import ReplicaView
from simulator.policies.sequence import Sequence


class All:
    """Every request is taken in."""

    def admits(self, sequence: Sequence, replica: ReplicaView, now: float) -> bool:
        """Always."""
        return True


class QueueLimit:
    """Shed what would find `limit` requests waiting at its replica already."""

    def __init__(self, *, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}: give at least 1")
        self.limit = limit

    def admits(self, sequence: Sequence, replica: ReplicaView, now: float) -> bool:
        """While the queue is shorter than the limit."""
        return replica.queued < self.limit


class PredictedWait:
    """Shed a request whose predicted time to first token exceeds the objective.

    The bound is `ttft_ms`, by default the scenario's TTFT objective (`objective_ttft_ms`, given); time that the
    request has already spent since its arrival counts.
    """

    def __init__(self, *, ttft_ms: float | None = None, objective_ttft_ms: float | None = None) -> None:
        bound = objective_ttft_ms if ttft_ms is None else ttft_ms
        if bound is None or bound <= 0:
            raise ValueError(f"ttft_ms is {bound}: give a bound above 0, or set objectives.ttft_ms")
        self.seconds = bound / 1e3

    def admits(self, sequence: Sequence, replica: ReplicaView, now: float) -> bool:
        """While the first token is expected in time."""
        return now - sequence.arrival + replica.predicted_ttft(sequence) <= self.seconds


class TokenBucket:
    """Each tenant may send `rate` tokens of prompt a second on average and `burst` at once; the rest is shed.

    With `count` "requests" a request counts 1 instead of its prompt tokens. Turner, "New directions in
    communications", IEEE Communications Magazine 24(10), 1986 (leaky bucket as a meter).
    """

    def __init__(self, *, rate: float, burst: float, count: str = "tokens") -> None:
        if rate <= 0 or burst <= 0:
            raise ValueError(f"rate is {rate} and burst {burst}: both are above 0")
        if count not in ("tokens", "requests"):
            raise ValueError(f"count is {count!r}: choose tokens or requests")
        self.rate = rate
        self.burst = burst
        self.by_request = count == "requests"
        self._buckets: dict[int, tuple[float, float]] = {}

    def admits(self, sequence: Sequence, replica: ReplicaView, now: float) -> bool:
        """If the tenant's bucket holds enough, which is then taken out."""
        level, since = self._buckets.get(sequence.tenant, (self.burst, now))
        level = min(self.burst, level + (now - since) * self.rate)
        cost = 1.0 if self.by_request else float(sequence.prompt_tokens)
        admitted = cost <= level
        self._buckets[sequence.tenant] = (level - cost if admitted else level, now)
        return admitted
