"""Ring attention: queries stay, blocks of keys and values go round."""

from __future__ import annotations

from simulator.workloads.training.context import ContextGroup, ContextPlan, RingSend, RingStep, Scores, Tensor

KEYS: tuple[Tensor, ...] = ("key", "value")
GRADIENTS: tuple[Tensor, ...] = ("key_gradient", "value_gradient")


class Ring:
    """Keys and values go around a ring in P - 1 sends, each beside a block of attention (arXiv:2310.01889, section 3).

    In the backward pass their gradients follow them and come home with the P-th send. `balanced` places the tokens in
    a zig-zag, rank r holding parts r and 2P - 1 - r of 2P, so that every rank has half of every later block to compute
    (Megatron-LM and ring-flash-attention); without it the last rank has whole blocks in all steps.
    """

    def __init__(self, balanced: bool = True) -> None:
        self.balanced = balanced

    def plan(self, group: ContextGroup) -> ContextPlan:
        needs_fused("ring", group)
        later: Scores = "half" if self.balanced else "all"
        forward, backward = ring_steps(group.ranks, 1, "own", later)
        return ContextPlan(group.ranks, forward, backward, kept=4 if group.ranks > 1 else 0)


class SelfAttentionRing:
    """RSA: keys, then values go round while all scores of a rank's queries are kept (arXiv:2105.13120, section 3.2).

    The backward pass sends both again and sums the gradients of all tokens' keys and values over the ring.
    """

    def plan(self, group: ContextGroup) -> ContextPlan:
        if group.fused:
            raise ValueError("rsa keeps scores in memory: set fused_attention to false, or choose ring")
        send = RingSend(KEYS, group.ranks)
        steps = (RingStep("all", (send,), group.ranks - 1), RingStep("all"))
        return ContextPlan(group.ranks, steps, steps, kept=2, sums_gradients=True)


def needs_fused(name: str, group: ContextGroup) -> None:
    """Raise `ValueError` where scores are kept in memory."""
    if not group.fused:
        raise ValueError(f"{name} needs fused attention: set fused_attention to true, or choose rsa")


def ring_steps(
    ranks: int, stride: int, first: Scores, later: Scores
) -> tuple[tuple[RingStep, ...], tuple[RingStep, ...]]:
    """Steps of both passes around one ring; `first` is a rank's block with its own keys."""
    keys, back = RingSend(KEYS, ranks, stride), RingSend(GRADIENTS, ranks, stride)
    if ranks == 1:
        return (RingStep(first),), (RingStep(first),)
    middle = (RingStep(later, (keys,), ranks - 2),) if ranks > 2 else ()
    forward = (RingStep(first, (keys,)), *middle, RingStep(later))
    middle = (RingStep(later, (keys, back), ranks - 2),) if ranks > 2 else ()
    backward = (RingStep(first, (keys,)), *middle, RingStep(later, (back,)), RingStep("none", (back,)))
    return forward, backward
