"""How the routed experts of a model are served: how evenly tokens choose them, and which of them are on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.operators import Size

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
    """`skew` is the exponent x of popularity rank^-x (0: all equal), `offload` None keeps all on the device."""

    skew: float = 0.0
    offload: Offload | None = None

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


def popularity(experts: int, skew: float) -> Floats:
    """Probabilities of the experts, most popular first: proportional to rank^-skew."""
    weights = np.arange(1, experts + 1, dtype=np.float64) ** -skew
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def activation(tokens: Floats, top_k: int, chances: Floats) -> Floats:
    """Chance that some of `tokens` tokens visits each expert: shape that of `tokens`, then (experts,).

    A token visits an expert with `top_k` times its chance, 1 at most; for equal chances this is 1 - (1 - k/E)^T.
    """
    each = np.minimum(top_k * chances, 1.0)
    return np.asarray(1.0 - (1.0 - each) ** tokens[..., None])


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
