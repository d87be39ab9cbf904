"""Ulysses: attention of whole sequences for a share of the heads, between two all-to-all exchanges."""

from __future__ import annotations

from simulator.policies.context.ring import needs_fused
from simulator.workloads.training.context import ContextGroup, ContextPlan, RingStep


class Ulysses:
    """Each rank turns its share of the tokens into a share of the heads and back (arXiv:2309.14509, section 3.1).

    It takes no more ranks than there are query heads; key heads that are fewer are copied.
    """

    def plan(self, group: ContextGroup) -> ContextPlan:
        needs_fused("ulysses", group)
        divides(group.ranks, group)
        whole = (RingStep("own"),)
        return ContextPlan(group.ranks, whole, whole, heads=group.ranks, inside=group.inside)


def divides(ranks: int, group: ContextGroup) -> None:
    """Raise `ValueError` where so many ranks cannot share out the heads."""
    if group.q_heads % ranks:
        raise ValueError(f"{ranks} ranks do not divide the {group.q_heads} query heads of a device: use fewer, or ring")
