"""How unevenly tokens choose experts, and how evenly placement and copies of popular ones spread that over ranks."""

from __future__ import annotations

import heapq
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Random placements whose busiest rank is averaged, always the same ones.
PLACEMENTS = 256


def popularity(experts: int, skew: float) -> Floats:
    """Probabilities of the experts, most popular first: proportional to rank^-skew."""
    weights = np.arange(1, experts + 1, dtype=np.float64) ** -skew
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def activation(tokens: Floats, top_k: float, chances: Floats) -> Floats:
    """Chance that some of `tokens` tokens visits each expert: shape that of `tokens`, then (experts,).

    A token visits an expert with `top_k` times its chance, 1 at most; for equal chances this is 1 - (1 - k/E)^T.
    """
    each = np.minimum(top_k * chances, 1.0)
    return np.asarray(1.0 - (1.0 - each) ** tokens[..., None])


@lru_cache(maxsize=256)
def busiest_rank(experts: int, skew: float, ranks: int, redundant: int | None) -> float:
    """Expected load of the busiest of `ranks` ranks over the mean, `experts` / `ranks` experts on each.

    Without rebalancing (`redundant` None) experts lie on ranks in an order that knows no popularity: the mean over
    random ones. With it, `redundant` more copies go to the experts of the highest load a copy, one by one, and the
    copies to the ranks by `packed` (EPLB of DeepSeek-V3, arXiv:2412.19437, redundant experts).
    """
    if ranks == 1 or skew == 0.0:
        return 1.0
    chances = popularity(experts, skew)
    if redundant is None:
        rng = np.random.default_rng(0)
        placed = rng.permuted(np.tile(chances, (PLACEMENTS, 1)), axis=1)
        return float(placed.reshape(PLACEMENTS, ranks, -1).sum(axis=2).max(axis=1).mean() * ranks)
    return float(packed(copied(chances, redundant), ranks).max() * ranks)


def copied(loads: Floats, redundant: int) -> Floats:
    """Loads of all copies after `redundant` more were given, each to the expert of the highest load a copy."""
    copies = np.ones(len(loads))
    for _ in range(redundant):
        copies[np.argmax(loads / copies)] += 1
    return np.repeat(loads / copies, copies.astype(np.int64))


def packed(loads: Floats, ranks: int) -> Floats:
    """Loads of ranks that hold equally many: the heaviest first, each to the least loaded rank with a free place."""
    places = len(loads) // ranks
    heap = [(0.0, rank, 0) for rank in range(ranks)]
    total = np.zeros(ranks)
    for load in sorted(loads.tolist(), reverse=True):
        least, rank, held = heapq.heappop(heap)
        total[rank] = least + load
        if held + 1 < places:
            heapq.heappush(heap, (least + load, rank, held + 1))
    return total
