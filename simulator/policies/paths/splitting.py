"""Single-path routing with as little splitting of flows as balance needs (Addanki et al., arXiv:2407.00550)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import gcd

from simulator.policies.paths.protocol import Demand, Paths, Share


class MinimalSplitting:
    """Of n equal flows between the same two switches over s paths, each path takes n // s whole.

    The r = n mod s that remain are split into s / gcd(r, s) parts each, so that every link carries what ideal
    spraying would put on it.
    """

    def choose(self, demands: Sequence[Demand], paths: Paths) -> list[tuple[Share, ...]]:
        alike: dict[tuple[int, int, float], list[int]] = defaultdict(list)
        for i, demand in enumerate(demands):
            alike[(*paths.ends(demand.source, demand.target), demand.size)].append(i)
        found: list[tuple[Share, ...]] = [()] * len(demands)
        for members in alike.values():
            first = demands[members[0]]
            count = paths.count(first.source, first.target)
            for i, shares in zip(members, split(len(members), count), strict=True):
                found[i] = shares
        return found


def split(flows: int, paths: int) -> list[tuple[Share, ...]]:
    """The shares of each of so many equal flows over so many paths."""
    whole = flows - flows % paths
    found = [(Share(i % paths, 1.0),) for i in range(whole)]
    rest = flows - whole
    parts = paths // gcd(rest, paths) if rest else 1
    return found + [tuple(Share((i * parts + k) % paths, 1.0 / parts) for k in range(parts)) for i in range(rest)]
