"""A router model sends each request to one of several tiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.policies.plans.plan import Call, Query
from simulator.policies.plans.tiers import bounds_of, needed, share, tiers_of


class Routed:
    """Sends each request to the cheapest tier that is good enough for its difficulty, as a router model sees it.

    `thresholds` are difficulties from which each tier after the first is needed (equal parts of 0 to 1 if not given).
    The router is right with probability `accuracy`, else it names any other tier. It is a call to the pool `router`,
    which reads the request and `router_prompt_tokens` besides and writes `router_output_tokens`; without one it costs
    nothing (EllieSQL, arXiv:2503.22402).
    """

    def __init__(
        self,
        pools: tuple[str, ...],
        *,
        tiers: Sequence[str | Mapping[str, Any]] | None = None,
        thresholds: Sequence[float] | None = None,
        router: str | None = None,
        accuracy: float = 1.0,
        router_prompt_tokens: int = 0,
        router_output_tokens: int = 1,
    ) -> None:
        self.tiers = tiers_of(tiers, [name for name in pools if name != router])
        if len(self.tiers) < 2:
            raise ValueError("tiers: a router needs two to choose from")
        self._bounds = bounds_of(thresholds, len(self.tiers))
        self._accuracy = share("accuracy", accuracy)
        if router_prompt_tokens < 0 or router_output_tokens < 1:
            raise ValueError("router_prompt_tokens must be 0 or more, and router_output_tokens 1 or more")
        self._router, self._read, self._written = router, router_prompt_tokens, router_output_tokens
        self.pools = (*((router,) if router else ()), *(tier.pool for tier in self.tiers))

    def rounds(self, query: Query, rng: np.random.Generator) -> Iterator[tuple[Call, ...]]:
        """The router's call, then the tier's."""
        tier = needed(query.difficulty, self._bounds)
        if rng.random() >= self._accuracy:
            tier = (tier + int(rng.integers(1, len(self.tiers)))) % len(self.tiers)
        if self._router is not None:
            prompt = query.whole_tokens + self._read
            yield (Call(self._router, prompt, self._written, "route", shown=False, repeats=True),)
        yield from self.tiers[tier].rounds(query)
