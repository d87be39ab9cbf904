"""Central planning of large flows, as a controller that sees all of them does (C4P, arXiv:2406.04594)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from simulator.policies.paths.protocol import Demand, Paths, Share


class Planned:
    """Largest first, each demand takes one path: the one whose busiest link then takes least time.

    Of many paths it looks at `candidates`, spread over their numbers. Among equals the path with the least load in
    all, then the first, is taken.
    """

    def __init__(self, candidates: int = 64) -> None:
        if candidates < 1:
            raise ValueError(f"candidates is {candidates}: give at least 1")
        self.candidates = candidates

    def choose(self, demands: Sequence[Demand], paths: Paths) -> list[tuple[Share, ...]]:
        found: list[tuple[Share, ...]] = [()] * len(demands)
        seconds: dict[int, float] = defaultdict(float)
        capacity = paths.capacity
        for i in sorted(range(len(demands)), key=lambda i: -demands[i].size):
            source, target, size = demands[i]
            count = paths.count(source, target)
            looked = min(count, self.candidates)
            numbers = (k * count // looked for k in range(looked))
            best = min(numbers, key=lambda n: _load(paths.links(source, target, n), seconds))
            for link in paths.links(source, target, best):
                seconds[link] += size / float(capacity[link])
            found[i] = (Share(best, 1.0),)
        return found


def _load(links: tuple[int, ...], seconds: dict[int, float]) -> tuple[float, float]:
    """The busiest link of a path between its ports, which all its paths share, and the sum."""
    loads = [seconds[link] for link in links[1:-1]]
    return max(loads, default=0.0), sum(loads)
