"""The cheapest tier answers first; what is not good enough goes on to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.policies.plans.plan import Call, Query
from simulator.policies.plans.tiers import bounds_of, needed, share, tiers_of


class Escalation:
    """Asks the tiers in turn until an answer is accepted; that of the last always is (FrugalGPT, arXiv:2305.05176).

    An answer is refused with probability `escalate` (one for all tiers or one for each before the last), or, where
    `thresholds` of difficulty are given, if the request needs a later tier and the judge, which is right with
    probability `accuracy`, sees it. The judge is a call to the pool `judge` over request and answer that writes
    `judge_tokens`; without one it costs nothing. What may be refused is not shown while it is written.
    """

    def __init__(
        self,
        pools: tuple[str, ...],
        *,
        tiers: Sequence[str | Mapping[str, Any]] | None = None,
        escalate: float | Sequence[float] | None = None,
        thresholds: Sequence[float] | None = None,
        accuracy: float = 1.0,
        judge: str | None = None,
        judge_tokens: int = 1,
    ) -> None:
        self.tiers = tiers_of(tiers, [name for name in pools if name != judge])
        if escalate is not None and thresholds is not None:
            raise ValueError("give escalate (a probability) or thresholds (of difficulty), not both")
        self._bounds = bounds_of(thresholds, len(self.tiers)) if escalate is None else None
        self._chances = _chances(escalate, len(self.tiers) - 1)
        self._accuracy = share("accuracy", accuracy)
        if judge_tokens < 1:
            raise ValueError(f"judge_tokens is {judge_tokens}, which must be 1 or more")
        self._judge, self._judged = judge, judge_tokens
        self.pools = (*(tier.pool for tier in self.tiers), *((judge,) if judge else ()))

    def rounds(self, query: Query, rng: np.random.Generator) -> Iterator[tuple[Call, ...]]:
        """Tier after tier, each but the last followed by the judge's call."""
        last = len(self.tiers) - 1
        for number, tier in enumerate(self.tiers):
            answers: tuple[Call, ...] = ()
            for answers in tier.rounds(query, shown=number == last):
                yield answers
            if number == last:
                return
            if self._judge is not None:
                read = query.whole_tokens + sum(call.output_tokens for call in answers)
                yield (Call(self._judge, read, self._judged, "judge", shown=False, repeats=True),)
            if not self._refused(query, number, rng.random()):
                return

    def _refused(self, query: Query, tier: int, draw: float) -> bool:
        if self._bounds is None:
            return draw < self._chances[tier]
        return (needed(query.difficulty, self._bounds) > tier) == (draw < self._accuracy)


def _chances(given: float | Sequence[float] | None, count: int) -> tuple[float, ...]:
    values = [0.0 if given is None else given] * count if given is None or isinstance(given, int | float) else given
    if len(values) != count:
        raise ValueError(f"escalate has {len(values)} probabilities, and {count} tiers come before the last")
    return tuple(share("escalate", float(value)) for value in values)
