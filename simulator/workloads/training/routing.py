"""How tokens get to experts: how evenly, with what capacity, by which kernels, and in how many parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.workloads.popularity import busiest_rank, popularity
from simulator.workloads.transformer import Experts


@dataclass(frozen=True, slots=True)
class Routing:
    """Tokens choose experts with chances that fall as rank^-`skew`.

    With a `capacity` every expert takes so many times the mean load, what is missing padded and what is more dropped
    (GShard, arXiv:2006.16668); without one all rows are computed. `dispatch` "permute" copies rows to their places,
    "einsum" multiplies with a mask of tokens by places (GShard, Fairseq). Exchange and experts' products go in `parts`
    of the rows, the exchange of one beside the products of another (Tutel, arXiv:2206.03382, section 3.2); None takes
    the quickest of 1, 2, 4 and 8. `inside` ranks share a node.
    """

    skew: float = 0.0
    capacity: float | None = None
    dispatch: Literal["permute", "einsum"] = "permute"
    parts: int | None = 1
    inside: int = 1

    def rows(self, experts: Experts, ranks: int) -> float:
        """Rows that the busiest of `ranks` ranks computes, for each token of its own."""
        if self.capacity is not None:
            return experts.top_k * self.capacity
        return experts.top_k * busiest_rank(experts.experts, self.skew, ranks, None)

    def dropped(self, experts: Experts) -> float:
        """Share of the visits for which an expert has no room."""
        if self.capacity is None:
            return 0.0
        loads = popularity(experts.experts, self.skew) * experts.experts
        return float(np.maximum(loads - self.capacity, 0.0).sum() / experts.experts)


EVEN = Routing()
