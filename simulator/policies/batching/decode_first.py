"""Decode-prioritised batching."""

from __future__ import annotations

from simulator.policies.batching.common import admit_whole, make_room_to_decode
from simulator.policies.batching.state import Batch, ServingState


class DecodeFirst:
    """Let a batch decode until at most `threshold` sequences are left, then admit prompts until nothing more fits.

    With threshold 0 prompts run only when nothing decodes, which is request-level batching without places
    held for those that are done. Prompts run whole and decoding goes on beside them. `watermark` is the share
    of blocks that an admission must leave free.

    The decode-prioritising schedule of Sarathi-Serve (arXiv:2403.02310), generalised by a threshold.
    """

    def __init__(self, *, threshold: int = 0, watermark: float = 0.01) -> None:
        if threshold < 0:
            raise ValueError(f"threshold is {threshold}, which must be 0 or more")
        self.threshold = threshold
        self.watermark = watermark
        self._filling = False

    def admits(self, state: ServingState) -> bool:
        """While few decode, and from then on until nothing more fits or waits."""
        return self._filling or len(state.decoding) <= self.threshold

    def next_batch(self, state: ServingState) -> Batch:
        """A decode step, with prompts beside it while the batch is being filled."""
        preempted = make_room_to_decode(state)
        self._filling = self.admits(state) and not preempted
        if not self._filling:
            return Batch(arrivals_matter=False, steps=1 if preempted else 1 << 60)
        chunks, blocked = admit_whole(state, self.watermark)
        self._filling = len(state.waiting) > 0 and not blocked
        return Batch(chunks, arrivals_matter=not blocked)
