"""Dynamic SplitFuse, the batching of DeepSpeed-FastGen."""

from __future__ import annotations

from simulator.policies.batching.common import make_room_to_decode
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.decode_set import FOREVER
from simulator.policies.sequence import Sequence


class SplitFuse:
    """Split long prompts and fuse short ones, so that every iteration computes `token_budget` tokens.

    Decoding sequences come first; prompts fill the rest to the token, the last one in part. The budget is the
    iteration's size where work suffices (`max_num_batched_tokens`, if that is less). A prompt runs on only while
    blocks for all that is left of it are free, and waits otherwise without preempting any; if so nothing at all
    can run, all prompts begun are given up and computed again.

    DeepSpeed-FastGen (arXiv:2401.08671, section 3); blocks as in DeepSpeed-MII, `mii/batching/ragged_batching.py`,
    `schedule_requests`, save that a decode step without blocks preempts the last admitted instead of skipping
    some. Its default budget is 768.
    """

    def __init__(self, *, token_budget: int = 768) -> None:
        if token_budget < 1:
            raise ValueError(f"token_budget is {token_budget}, which must be 1 or more")
        self.token_budget = token_budget

    def next_batch(self, state: ServingState) -> Batch:
        """Decodes, and prompts up to the budget."""
        preempted = make_room_to_decode(state)
        budget = min(self.token_budget, state.limits.max_num_batched_tokens) - len(state.decoding)
        chunks, budget, stuck = self._continue(state, budget)
        if stuck and not chunks and not len(state.decoding):
            for sequence in reversed(state.prompts_begun()):
                state.preempt(sequence)
            stuck = preempted = False
        blocked = stuck or (not preempted and self._admit(state, chunks, budget))
        return Batch(chunks, arrivals_matter=not (blocked or preempted), steps=1 if preempted else FOREVER)

    def _continue(self, state: ServingState, budget: int) -> tuple[list[tuple[Sequence, int]], int, bool]:
        """Chunks of prompts begun, the budget left, and whether one has to wait for blocks."""
        chunks: list[tuple[Sequence, int]] = []
        for sequence in state.prompts_begun():
            if budget <= 0:
                break
            if state.kv.blocks_for(sequence.target) - sequence.blocks > state.kv.free:
                return chunks, budget, True
            tokens = min(sequence.remaining_prefill, budget)
            state.kv.grow(sequence, tokens)
            chunks.append((sequence, tokens))
            budget -= tokens
        return chunks, budget, False

    def _admit(self, state: ServingState, chunks: list[tuple[Sequence, int]], budget: int) -> bool:
        """Begin prompts from the head of the queue; True if the head has to wait for a sequence to finish."""
        while state.waiting and budget > 0:
            sequence = state.waiting[0]
            hit = state.kv.hit_blocks(sequence)
            tokens = min(sequence.target - hit * state.kv.block_tokens, budget)
            full = state.running >= state.limits.max_num_seqs
            if full or not state.admit(sequence, tokens, hit=hit):
                return True
            state.waiting.popleft()
            chunks.append((sequence, tokens))
            budget -= tokens
        return False
