"""Every request is one call."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.policies.plans.plan import Call, Query, chosen


class Single:
    """Sends every request, with its document, to one pool: `pool`, or the first."""

    def __init__(self, pools: tuple[str, ...], *, pool: str | None = None) -> None:
        self._pool = chosen(pool, pools, 0, "pool")
        self.pools = (self._pool,)

    def rounds(self, query: Query, rng: np.random.Generator) -> Iterator[tuple[Call, ...]]:
        """One call."""
        yield (Call(self._pool, query.whole_tokens, query.output_tokens, repeats=True),)
