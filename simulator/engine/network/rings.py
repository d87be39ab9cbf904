"""Order of a ring over links that differ: the slowest link sets its pace, so the best ring avoids it.

PCCL measures the links between its peers and solves for the order of the ring (arXiv:2505.14065).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EXACT = 8  # members up to which all orders are tried


def pace(order: Sequence[int], rates: Floats) -> float:
    """Bytes/s of the slowest link around; `rates[a, b]` is from a to b."""
    return float(min(rates[a, b] for a, b in zip(order, [*order[1:], order[0]], strict=True)))


def best_ring(members: Sequence[int], rates: Floats) -> tuple[int, ...]:
    """The order of `members` with the fastest slowest link: of all up to eight, by exchanges of two beyond.

    Among equals the order that comes first.
    """
    first, *rest = members
    if len(members) <= EXACT:
        return max(((first, *order) for order in permutations(rest)), key=lambda o: pace(o, rates))
    order = _greedy(members, rates)
    while True:
        best, found = order, pace(order, rates)
        for i in range(1, len(order)):
            for j in range(i + 1, len(order)):
                # Turning a stretch around, as in 2-opt, and exchanging two members.
                turned = [*order[:i], *reversed(order[i : j + 1]), *order[j + 1 :]]
                swapped = [*order]
                swapped[i], swapped[j] = swapped[j], swapped[i]
                for other in (turned, swapped):
                    if pace(other, rates) > found:
                        best, found = other, pace(other, rates)
        if best is order:
            return tuple(order)
        order = best


def _greedy(members: Sequence[int], rates: Floats) -> list[int]:
    """From the first member always on over the fastest link."""
    order, left = [members[0]], list(members[1:])
    while left:
        onwards = max(left, key=lambda b: rates[order[-1], b])
        order.append(onwards)
        left.remove(onwards)
    return order
