"""What a context-parallel policy decides: who has which heads and tokens, and what is sent beside which block."""

from __future__ import annotations

from typing import Protocol

from simulator.workloads.training.context import ContextGroup, ContextPlan


class ContextParallel(Protocol):
    """Plans attention of one layer over the ranks that share a sequence."""

    def plan(self, group: ContextGroup) -> ContextPlan:
        """The plan for this group. Raises `ValueError` with a remedy where the heads or ranks do not divide."""
        ...
