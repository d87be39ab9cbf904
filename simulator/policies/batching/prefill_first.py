"""Prefill-prioritised continuous batching, by the rules of vLLM V0."""

from __future__ import annotations

from simulator.policies.batching.common import admit_whole, make_room_to_decode
from simulator.policies.batching.state import Batch, ServingState


class PrefillFirst:
    """An iteration computes either whole waiting prompts or one token of every decoding sequence.

    Whatever waits and fits goes first, so decoding stalls while prompts arrive. `watermark` is the share of
    blocks that an admission must leave free.

    Rules: vLLM 0.5, `vllm/core/scheduler.py`, `_schedule_default`; watermark 0.01 there.
    """

    def __init__(self, *, watermark: float = 0.01) -> None:
        self.watermark = watermark

    def next_batch(self, state: ServingState) -> Batch:
        """Prompts if any can be admitted, else a decode step."""
        chunks, blocked = admit_whole(state, self.watermark)
        if chunks:
            return Batch(chunks, decode=False)
        preempted = make_room_to_decode(state)
        return Batch(arrivals_matter=not (blocked or preempted), steps=1 if preempted else 1 << 60)
