"""Pipelines of stages that share a budget of units: who gets how many, and how a graph's time falls on its stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.architectures.work import work_of
from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Convolution, Fused

Floats = NDArray[np.float64]


def allotted(work: Floats, most: Floats, units: float) -> Floats:
    """Whole units of each stage in proportion to its work, at least one, at most what it can use.

    What stages leave over goes to the others. Sums to `units` at most, if there are as many units as stages.
    """
    wanted = np.maximum(most, 1.0)
    share = np.ones_like(work)
    open_ = work > 0
    while open_.any():
        left = max(units - share[~open_].sum(), 0.0)
        fair = left * work / max(work[open_].sum(), 1e-30)
        full = open_ & (fair >= wanted)
        few = open_ & (fair < 1.0)
        if not full.any() and not few.any():
            share[open_] = np.floor(fair[open_])
            break
        share[full], share[few] = wanted[full], 1.0
        open_ &= ~(full | few)
    return np.maximum(share, 1.0)


def spread(compute: float, memory: float, overhead: float, shares: Floats, counts: Sequence[float]) -> list[Roofs]:
    """One time of stages that run at once, as roofs of each launch whose sum it is, in proportion to `shares`."""
    parts = shares / max(shares.sum(), 1e-30) if shares.sum() else np.full(len(shares), 1.0 / len(shares))
    return [
        Roofs(compute * part / count, memory * part / count, overhead * part / count)
        for part, count in zip(parts, counts, strict=True)
    ]


def lead(op: AnyOperator) -> float:
    """The share of its work that a stage does before the next can begin: the rows under a window, or one row."""
    main = op.main if isinstance(op, Fused) else op
    rows = max((float(p.m) for p in work_of(main).products), default=1.0)
    if not isinstance(main, Convolution):
        return 1.0 / max(rows, 1.0) if work_of(main).products else 0.0
    window = (np.sqrt(float(main.window)) - 1.0) / np.sqrt(float(main.read)) / float(main.batch)
    return float(min(window + 1.0 / max(rows, 1.0), 1.0))
