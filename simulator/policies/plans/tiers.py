"""Ways of answering a request, of rising cost: a pool, and how many tokens it takes there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from simulator.errors import unknown_name
from simulator.policies.plans.plan import Call, Query


@dataclass(frozen=True, slots=True)
class Tier:
    """One way of answering: `turns` rounds of `samples` calls at once to a pool.

    Each call has the request's prompt and `extra_prompt_tokens` besides; each turn also the answers of those before.
    The answer has `output_factor` times the request's output tokens.
    """

    pool: str
    turns: int = 1
    samples: int = 1
    extra_prompt_tokens: int = 0
    output_factor: float = 1.0

    def rounds(self, query: Query, *, shown: bool = True) -> Iterator[tuple[Call, ...]]:
        """The rounds of calls; only a single last call may be shown as it is written."""
        output = max(1, round(query.output_tokens * self.output_factor))
        prompt = query.whole_tokens + self.extra_prompt_tokens
        for turn in range(self.turns):
            last = turn + 1 == self.turns
            call = Call(self.pool, prompt, output, shown=shown and last and self.samples == 1, repeats=True)
            yield (call,) * self.samples
            prompt += output * self.samples


def tiers_of(given: Sequence[str | Mapping[str, Any]] | None, pools: Sequence[str]) -> tuple[Tier, ...]:
    """Tiers from a plan's options: names of pools or the fields of a `Tier`; None is every pool, in order.

    Raises `InputError` for an unknown field and `ValueError` for a wrong value.
    """
    return tuple(_tier(one) for one in (pools if given is None else given))


def _tier(given: str | Mapping[str, Any]) -> Tier:
    if isinstance(given, str):
        return Tier(given)
    known = [f.name for f in fields(Tier)]
    for key in given:
        if key not in known:
            raise unknown_name("field of a tier", key, known)
    if "pool" not in given:
        raise ValueError("tiers: one lacks its pool")
    tier = Tier(**given)
    if tier.turns < 1 or tier.samples < 1 or tier.extra_prompt_tokens < 0 or tier.output_factor <= 0:
        raise ValueError(f"tiers: {tier.pool} needs turns and samples from 1, and tokens of 0 or more")
    return tier


def bounds_of(given: Sequence[float] | None, tiers: int) -> tuple[float, ...]:
    """Difficulties, ascending, from which each tier after the first is needed; None are equal parts of 0 to 1."""
    bounds = tuple(given) if given is not None else tuple((i + 1) / tiers for i in range(tiers - 1))
    if len(bounds) != tiers - 1 or list(bounds) != sorted(bounds):
        raise ValueError(f"thresholds are {list(bounds)}, which must be {tiers - 1} difficulties in rising order")
    return bounds


def needed(difficulty: float, bounds: Sequence[float]) -> int:
    """The first tier that is good enough for a difficulty."""
    return int(np.searchsorted(bounds, difficulty, side="right"))


def share(name: str, value: float) -> float:
    """The value if it is from 0 to 1. Raises `ValueError` else."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}, which must be from 0 to 1")
    return value
