"""A grid of heads and context: all-to-all over one side, rings over the other."""

from __future__ import annotations

from typing import Literal

from simulator.policies.context.ring import GRADIENTS, KEYS, needs_fused, ring_steps
from simulator.policies.context.ulysses import divides
from simulator.workloads.training.context import ContextGroup, ContextPlan, RingSend, RingStep


class HeadContext:
    """LoongTrain's two-dimensional attention (arXiv:2406.18485, sections 4.1 to 4.4).

    `heads` ranks share out the heads (None: as many as keep one key head each, and divide the ranks); the others form
    a ring, cut into rings of `inner` ranks whose blocks go on together around an outer ring (double ring; None: those
    of one node). `placement` "head" puts ranks of one head group next to each other, "context" those of one ring.
    """

    def __init__(
        self, heads: int | None = None, inner: int | None = None, placement: Literal["head", "context"] = "head"
    ) -> None:
        if placement not in ("head", "context"):
            raise ValueError(f"placement {placement!r}: choose head or context")
        self.heads, self.inner, self.placement = heads, inner, placement

    def plan(self, group: ContextGroup) -> ContextPlan:
        needs_fused("head-context", group)
        heads = self.heads or max(h for h in range(1, group.kv_heads + 1) if not (group.ranks % h or group.q_heads % h))
        if group.ranks % heads:
            raise ValueError(f"heads {heads} does not divide the {group.ranks} context-parallel ranks")
        divides(heads, group)
        ring = group.ranks // heads
        stride, head_stride = (heads, 1) if self.placement == "head" else (1, ring)
        inner = self.inner or max(w for w in range(1, ring + 1) if not ring % w and w <= max(1, group.inside // stride))
        if ring % inner:
            raise ValueError(f"inner {inner} does not divide the {ring} ranks of a ring")
        forward, backward = double_ring(ring, inner, stride)
        kept = _kept(ring, inner)
        return ContextPlan(group.ranks, forward, backward, heads, head_stride, group.inside, kept)


def _kept(ring: int, inner: int) -> int:
    """Blocks in flight: keys and gradients, one used and one on its way, in the inner and in the outer ring."""
    return (4 if inner > 1 else 0) + (4 if ring > inner else 0)


def double_ring(ring: int, inner: int, stride: int) -> tuple[tuple[RingStep, ...], tuple[RingStep, ...]]:
    """Steps of both passes; while blocks go round the inner rings those of the next one come in."""
    outer = ring // inner
    if outer == 1 or inner == 1:
        return ring_steps(ring, stride, "own", "half")
    keys, back = RingSend(KEYS, outer, stride * inner), RingSend(GRADIENTS, outer, stride * inner)
    own_forward, own_backward = ring_steps(inner, stride, "own", "half")
    far_forward, far_backward = ring_steps(inner, stride, "half", "half")
    forward = [RingStep(sends=(keys,), inner=own_forward)]
    backward = [RingStep(sends=(keys,), inner=own_backward)]
    if outer > 2:
        forward.append(RingStep(sends=(keys,), times=outer - 2, inner=far_forward))
        backward.append(RingStep(sends=(keys, back), times=outer - 2, inner=far_backward))
    forward.append(RingStep(inner=far_forward))
    backward += [RingStep(sends=(back,), inner=far_backward), RingStep("none", (back,))]
    return tuple(forward), tuple(backward)
