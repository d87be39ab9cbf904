"""The Pareto front: candidates that no other one beats in everything that counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def front(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of `costs` (candidates, objectives; the less the better) that none dominates, the least first cost first.

    A row dominates another if it is no worse in all columns and better in one; of equal rows the first stays.
    """
    order = np.lexsort(costs.T[::-1])
    if costs.shape[1] == 2:
        second = costs[order, 1]
        best = np.minimum.accumulate(np.concatenate([[np.inf], second[:-1]]))
        return np.asarray(order[second < best])
    kept: list[int] = []
    for row in order:
        if not kept or not (costs[kept] <= costs[row]).all(axis=1).any():
            kept.append(int(row))
    return np.array(kept, dtype=np.int64)
