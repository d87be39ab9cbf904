"""Equal-cost multi-path routing: a hash of the connection picks its path, and may pick one that is taken."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from simulator.policies.paths.protocol import Demand, Paths, Share


class Ecmp:
    """Each of a pair's `connections` stays on the path that a seeded hash of its two ends picks (RFC 2992)."""

    def __init__(self, seed: int = 0, connections: int = 1) -> None:
        if connections < 1:
            raise ValueError(f"connections is {connections}: give at least 1")
        self.seed = seed
        self.connections = connections

    def choose(self, demands: Sequence[Demand], paths: Paths) -> list[tuple[Share, ...]]:
        return [self._hashed(d, paths.count(d.source, d.target)) for d in demands]

    def _hashed(self, demand: Demand, count: int) -> tuple[Share, ...]:
        if count == 1:
            return (Share(0, 1.0),)
        ends = f"{self.seed}/{demand.source}/{demand.target}"
        return tuple(Share(_hash(f"{ends}/{i}") % count, 1.0 / self.connections) for i in range(self.connections))


def _hash(text: str) -> int:
    """Spread evenly, unlike a CRC, whose lowest bits follow those of the addresses."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
