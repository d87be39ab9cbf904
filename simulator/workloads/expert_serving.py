"""How the routed experts of a model are served: how evenly tokens choose them, and which of them are on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.operators import Size
from simulator.workloads.popularity import activation, busiest_rank, popularity

Floats = NDArray[np.float64]
# Halvings of the bracket in which the LRU's characteristic time is looked for, in its logarithm.
HALVINGS = 50


@dataclass(frozen=True, slots=True)
class Offload:
    """Experts in host memory, `cached_share` of each layer's on the device, kept by `eviction`.

    "lru" keeps those used last, "static" the most popular. With an `accuracy`, a predictor names the experts of a
    layer while the one before computes: what is not cached is loaded meanwhile, and the share that it named wrongly
    is loaded again, with the layer waiting. Without one the layer waits for all (ExpertFlow, arXiv:2410.17954).
    """

    cached_share: float = 1.0
    eviction: str = "lru"
    accuracy: float | None = None

    @property
    def exposed_share(self) -> float:
        """The share of loads for which a layer waits."""
        return 1.0 if self.accuracy is None else 1.0 - self.accuracy

    @property
    def loaded_share(self) -> float:
        """Loads by each one needed: a predictor names as many as are needed, and the wrong ones come on top."""
        return 1.0 if self.accuracy is None else 1.0 + self.exposed_share

    @property
    def prefetched(self) -> bool:
        """Whether anything is loaded ahead."""
        return self.accuracy is not None


@dataclass(frozen=True, slots=True)
class ExpertServing:
    """How a model's routed experts are served.

    `skew` is the exponent x of popularity rank^-x (0: all equal). `redundant` rebalances the ranks with so many more
    copies of popular experts (None: as they come). `local_share` of the (token, expert) visits that would leave a
    device stay on it, as tokens and experts were grouped by predicted routes (Speculative MoE, arXiv:2503.04398).
    `offload` None keeps all experts on the device.
    """

    skew: float = 0.0
    redundant: int | None = None
    local_share: float = 0.0
    offload: Offload | None = None

    @property
    def distribution(self) -> str:
        """How tokens fall on experts, as the timing law names it."""
        return f"zipf_{self.skew}" if self.skew else "random"

    def busiest(self, experts: int, ranks: int) -> float:
        """Load of the busiest rank over the mean; the others wait for it."""
        return busiest_rank(experts, self.skew, ranks, self.redundant)

    def copies(self, experts: int) -> float:
        """Copies kept of a layer's experts, by expert."""
        return 1.0 + (self.redundant or 0) / experts

    @property
    def resident_share(self) -> float:
        """The share of expert weights that takes device memory."""
        return 1.0 if self.offload is None else self.offload.cached_share

    def missed(self, tokens: Size, top_k: int, experts: int) -> Size:
        """Expected experts of one layer that some of `tokens` tokens chose and the device does not hold.

        Shape that of `tokens`; counts are those of all ranks together.
        """
        if self.offload is None or self.offload.cached_share >= 1.0:
            return 0.0 * np.asarray(tokens, dtype=np.float64)
        held = self.offload.cached_share * experts
        visited = activation(np.asarray(tokens, dtype=np.float64), top_k, popularity(experts, self.skew))
        if self.offload.eviction == "static":
            absent = np.clip(np.arange(1, experts + 1) - held, 0.0, 1.0)
        elif self.skew == 0.0:
            absent = np.full(experts, 1.0 - self.offload.cached_share)
        else:
            absent = _absent_from_lru(visited, held)
        return np.asarray((visited * absent).sum(axis=-1))


ALL_ON_DEVICE = ExpertServing()


def _absent_from_lru(visited: Floats, held: float) -> Floats:
    """Chance that each expert is not among the `held` used last, when every iteration visits it with this chance.

    Che, Tung and Wang, "Hierarchical Web Caching Systems", IEEE JSAC 20(7), 2002: an entry is held if it was used
    within a characteristic time, the same for all, in which as many distinct ones are used as the cache holds.
    """
    decay = np.log1p(-np.minimum(visited, 1.0 - 1e-12))
    low, high = np.full(visited.shape[:-1], -30.0), np.full(visited.shape[:-1], 30.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        filled = visited.shape[-1] - np.exp(np.exp(middle)[..., None] * decay).sum(axis=-1)
        low, high = np.where(filled < held, middle, low), np.where(filled < held, high, middle)
    return np.asarray(np.exp(np.exp(high)[..., None] * decay))
