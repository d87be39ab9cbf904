"""Several models answer each request, and the answers are joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simulator.policies.plans.plan import Call, Query


class Ensemble:
    """Asks `count` of the `members` at once, the answer is there when the last is (MoE^2, arXiv:2501.09410).

    Members are pools, all if not given; they are drawn with `weights`, without drawing one twice.
    """

    def __init__(
        self,
        pools: tuple[str, ...],
        *,
        members: Sequence[str] | None = None,
        count: int | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.pools = tuple(pools if members is None else members)
        self._count = len(self.pools) if count is None else count
        if not 1 <= self._count <= len(self.pools):
            raise ValueError(f"count is {count}, which must be from 1 to the {len(self.pools)} members")
        given = np.ones(len(self.pools)) if weights is None else np.asarray(weights, dtype=np.float64)
        if given.shape != (len(self.pools),) or not np.all(given > 0) or not np.isfinite(given).all():
            raise ValueError(f"weights must be {len(self.pools)} numbers above 0")
        self._weights = given / given.sum()

    def rounds(self, query: Query, rng: np.random.Generator) -> Iterator[tuple[Call, ...]]:
        """One round of `count` calls."""
        members = sorted(rng.choice(len(self.pools), self._count, replace=False, p=self._weights).tolist())
        shown = len(members) == 1
        yield tuple(
            Call(self.pools[m], query.whole_tokens, query.output_tokens, shown=shown, repeats=True) for m in members
        )
