"""How many layers each stage of a pipeline holds where stages differ: policies that see what layers cost on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """What each layer costs on each stage; arrays have shape (stages, layers), `room` has (stages,).

    `seconds` are of one micro-batch's passes, `bytes` are states and activations kept, which add up over a stage's
    layers, and of `working` bytes a stage needs the most that one of its layers does. A device has `room` for both.
    The first layer brings the embedding and the last the head. Each stage takes `least` layers at least.
    """

    seconds: Floats
    bytes: Floats
    working: Floats
    room: Floats
    least: int = 1

    def fits(self, stage: int, first: int) -> NDArray[np.bool_]:
        """Whether a stage has memory for the layers from `first` to each end, shape (layers - first,)."""
        kept = np.cumsum(self.bytes[stage, first:]) + np.maximum.accumulate(self.working[stage, first:])
        return np.asarray(kept <= self.room[stage])


class Partition(Protocol):
    """Deals layers, which stay in order, to stages."""

    def layers(self, costs: LayerCosts) -> Sequence[int]:
        """Layers of each stage. Raises `ValueError` where it finds no stage with room for some."""
        ...


class Equal:
    """As many layers on every stage, the first ones taking the remainder."""

    def layers(self, costs: LayerCosts) -> Sequence[int]:
        stages, count = costs.seconds.shape
        base, more = divmod(count, stages)
        return [base + (stage < more) for stage in range(stages)]


class Proportional:
    """Layers in proportion to how many of them a stage computes in a second, by largest remainders; blind to memory.

    Whale balances loads so by the devices' peak FLOPs (Jia et al., USENIX ATC 2022); here it is by simulated time.
    """

    def layers(self, costs: LayerCosts) -> Sequence[int]:
        stages, count = costs.seconds.shape
        speeds = 1.0 / costs.seconds.mean(axis=1)
        free = count - stages * costs.least
        shares = np.maximum(count * speeds / speeds.sum() - costs.least, 0.0)
        shares *= free / shares.sum() if free else 0.0
        whole = np.floor(shares + 1e-9).astype(int)
        last = np.argsort(-(shares - whole), kind="stable")[: free - int(whole.sum())]
        whole[last] += 1
        return [costs.least + int(extra) for extra in whole]


class Minimax:
    """Layers for which the slowest stage is as quick as can be, among cuts whose stages all have memory for theirs.

    Exact, by dynamic programming over stages and cuts (PipeDream's recurrence, Narayanan et al., SOSP 2019, section
    3.1, with a memory limit a stage). Of equal cuts that with the least time over all stages, which fills the pipeline
    soonest (Alpa's latency, arXiv:2201.12023, section 5.2).
    """

    def layers(self, costs: LayerCosts) -> Sequence[int]:
        slowest, _ = _best_cut(costs, np.inf, np.maximum)
        if not np.isfinite(slowest):
            raise ValueError("no cut of the layers leaves every stage with memory for its own")
        return _best_cut(costs, slowest, np.add)[1]


def _best_cut(costs: LayerCosts, limit: float, join: Callable[[float, Floats], Floats]) -> tuple[float, list[int]]:
    """The least of what stages' seconds `join` to where none exceeds `limit`, infinite if none fits, and its layers."""
    stages, count = costs.seconds.shape
    best = np.full(count + 1, np.inf)  # over the layers that are dealt
    best[0] = 0.0
    begins = np.zeros((stages, count + 1), dtype=int)
    for stage in range(stages):
        before, best = best, np.full(count + 1, np.inf)
        for first in np.flatnonzero(np.isfinite(before[:count])).tolist():
            own = np.cumsum(costs.seconds[stage, first:])
            joined = join(float(before[first]), own)
            ends = np.arange(first + 1, count + 1)
            taken = costs.fits(stage, first) & (own <= limit) & (ends - first >= costs.least) & (joined < best[ends])
            best[ends[taken]], begins[stage, ends[taken]] = joined[taken], first
    ends_of = [count]
    for stage in reversed(range(stages)):
        ends_of.append(int(begins[stage, ends_of[-1]]))
    return float(best[count]), [int(n) for n in np.diff(ends_of[::-1])]
