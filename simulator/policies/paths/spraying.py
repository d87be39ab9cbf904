"""Ideal packet spraying: every packet takes the next path."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.policies.paths.protocol import Demand, Paths, Share


class Spraying:
    """Each demand uses all its paths evenly, or `most` of them spread over the numbers, where there are more."""

    def __init__(self, most: int = 256) -> None:
        if most < 1:
            raise ValueError(f"most is {most}: give at least 1")
        self.most = most

    def choose(self, demands: Sequence[Demand], paths: Paths) -> list[tuple[Share, ...]]:
        counts = [paths.count(d.source, d.target) for d in demands]
        shares = {count: self._all(count) for count in set(counts)}
        return [shares[count] for count in counts]

    def _all(self, count: int) -> tuple[Share, ...]:
        used = min(count, self.most)
        return tuple(Share(i * count // used, 1.0 / used) for i in range(used))
