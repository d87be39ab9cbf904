"""Stall-free batching by the rules of Sarathi-Serve."""

from __future__ import annotations

from simulator.policies.batching.common import continue_prefills, make_room_to_decode
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.decode_set import FOREVER
from simulator.policies.sequence import Sequence


class Sarathi:
    """Every decoding sequence takes a token, and chunks of prompts fill the iteration up to `token_budget`.

    Decodes never wait for prompts, and an iteration is never longer than the budget makes it (or
    `max_num_batched_tokens`, if that is less). A sequence is admitted when blocks for its whole prompt are free
    and are kept for it, `watermark` of all besides, so that a prompt once begun is not held up; where decodes
    alone exceed the budget, prompts pause.

    Agrawal et al., "Taming Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve" (arXiv:2403.02310,
    algorithm 3); blocks as in its `sarathi/core/scheduler/sarathi_scheduler.py`.
    """

    def __init__(self, *, token_budget: int = 512, watermark: float = 0.01) -> None:
        if token_budget < 1:
            raise ValueError(f"token_budget is {token_budget}, which must be 1 or more")
        self.token_budget = token_budget
        self.watermark = watermark

    def next_batch(self, state: ServingState) -> Batch:
        """Decodes, then prompts begun, then new ones."""
        preempted = make_room_to_decode(state, keep=_promised)
        budget = min(self.token_budget, state.limits.max_num_batched_tokens) - len(state.decoding)
        chunks, budget, _ = continue_prefills(state, budget, self.token_budget)
        blocked = not preempted and self._admit(state, chunks, budget)
        steps = 1 if preempted else FOREVER
        if state.prefilling and not chunks:
            # Decode steps must not take the blocks that are kept for prompts.
            left = state.kv.free + state.reserved - _promised(state)
            steps = max(1, state.decoding.steps_within(left, steps))
        return Batch(chunks, arrivals_matter=not (blocked or preempted), steps=steps)

    def _admit(self, state: ServingState, chunks: list[tuple[Sequence, int]], budget: int) -> bool:
        """Begin prompts from the head of the queue; True if the head has to wait for a sequence to finish."""
        watermark = int(self.watermark * state.kv.blocks)
        while state.waiting and budget > 0:
            sequence = state.waiting[0]
            hit = state.kv.hit_blocks(sequence)
            tokens = min(sequence.target - hit * state.kv.block_tokens, budget)
            spare = watermark if state.running else 0
            full = state.running >= state.limits.max_num_seqs
            if full or not state.admit(sequence, tokens, hit=hit, spare=spare):
                return True
            state.waiting.popleft()
            chunks.append((sequence, tokens))
            budget -= tokens
        return False


def _promised(state: ServingState) -> int:
    """Blocks that prompts begun will still take."""
    return sum(state.kv.blocks_for(s.target) - s.blocks for s in state.prefilling)
