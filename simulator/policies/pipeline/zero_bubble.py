"""Zero-bubble schedules: gradients of weights are passes of their own, which fill what would be bubbles."""

from __future__ import annotations

from simulator.policies.pipeline.one_forward_one_backward import one_chunk
from simulator.policies.pipeline.schedule import Pass


class ZeroBubble:
    """ZB-H1: 1F1B whose weight gradients lag by a micro-batch for each stage before (Qi et al., arXiv:2401.10241).

    Later stages pass gradients back sooner and do their weights' share at the end. Every stage keeps as many
    micro-batches as there are stages, what the first keeps under 1F1B.
    """

    splits = True

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        one_chunk("zero-bubble", chunks)
        ahead, done = min(stages - stage - 1, micro_batches), 0
        found = [Pass("forward", m, 0) for m in range(ahead)]
        for m in range(micro_batches):
            if m + ahead < micro_batches:
                found.append(Pass("forward", m + ahead, 0))
            found.append(Pass("backward", m, 0))
            if m - done >= stage:
                found.append(Pass("weights", done, 0))
                done += 1
        return found + [Pass("weights", m, 0) for m in range(done, micro_batches)]
