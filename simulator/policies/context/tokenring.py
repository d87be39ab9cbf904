"""TokenRing: keys and values stay, queries go one way and blocks of output the other."""

from __future__ import annotations

from simulator.policies.context.ring import needs_fused
from simulator.workloads.training.context import ContextGroup, ContextPlan, RingSend, RingStep, Scores


class TokenRing:
    """Queries go on while the last block's output and statistics go home by another link (arXiv:2412.20501, section 3).

    In the backward pass queries come with the output's gradients and statistics, and the queries' gradients go home.
    `balanced` places the tokens in a zig-zag, as for ring attention.
    """

    def __init__(self, balanced: bool = True) -> None:
        self.balanced = balanced

    def plan(self, group: ContextGroup) -> ContextPlan:
        needs_fused("token-ring", group)
        ranks = group.ranks
        later: Scores = "half" if self.balanced else "all"
        there = RingSend(("query",), ranks)
        home = RingSend(("output", "statistics"), ranks, lane=1)
        there_back = RingSend(("query", "output_gradient", "statistics"), ranks)
        home_back = RingSend(("query_gradient",), ranks, lane=1)
        forward, backward = _steps(ranks, there, home, later), _steps(ranks, there_back, home_back, later)
        return ContextPlan(ranks, forward, backward, kept=2 if ranks > 1 else 0)


def _steps(ranks: int, there: RingSend, home: RingSend, later: Scores) -> tuple[RingStep, ...]:
    if ranks == 1:
        return (RingStep("own"),)
    steps = [RingStep("own", (there,))]
    if ranks > 2:
        steps.append(RingStep(later, (there,)))
    if ranks > 3:
        steps.append(RingStep(later, (there, home), ranks - 3))
    if ranks > 2:
        steps.append(RingStep(later, (home,)))
    else:
        steps.append(RingStep(later))
    return (*steps, RingStep("none", (home,)))
