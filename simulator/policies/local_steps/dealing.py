"""Local steps for workers that are not all as fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class LocalStepRule(Protocol):
    """Deals local steps to workers before a run."""

    def steps(self, most: int, seconds: Sequence[float]) -> Sequence[int]:
        """Steps of each worker, from 1 to `most`, given the mean `seconds` of a step of each."""
        ...


class Equal:
    """All do the same."""

    def steps(self, most: int, seconds: Sequence[float]) -> Sequence[int]:
        return [most] * len(seconds)


class BySpeed:
    """In proportion to speed, so that all push about as often (DyLU: Liu et al., arXiv:2401.09135, section 5)."""

    def steps(self, most: int, seconds: Sequence[float]) -> Sequence[int]:
        fastest = min(seconds)
        return [max(1, int(most * fastest / each + 1e-9)) for each in seconds]
