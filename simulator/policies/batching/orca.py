"""Iteration-level scheduling without chunking."""

from __future__ import annotations

from simulator.policies.batching.common import make_room_to_decode
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.sequence import Sequence


class Orca:
    """Admit whole prompts into the running batch at every iteration, first come first served.

    Prompts and decoding sequences share an iteration. `max_num_batched_tokens` bounds the prompt tokens of
    one iteration, but a prompt longer than that runs alone in one piece. With `reserve_output`, a sequence is
    admitted only if blocks for its whole output are free as well, as Orca reserves its slots by the maximum
    length, and nothing is ever preempted.

    Yu et al., "Orca", OSDI 2022, section 4.2 and algorithm 1.
    """

    def __init__(self, *, reserve_output: bool = False) -> None:
        self.reserve_output = reserve_output

    def next_batch(self, state: ServingState) -> Batch:
        """Admit what fits whole, and let everything that runs take a token."""
        preempted = make_room_to_decode(state)
        chunks: list[tuple[Sequence, int]] = []
        budget = state.limits.max_num_batched_tokens
        blocked = False
        while state.waiting and not preempted:
            sequence = state.waiting[0]
            hit = state.kv.hit_blocks(sequence)
            tokens = sequence.target - hit * state.kv.block_tokens
            if tokens > budget and chunks:
                break
            spare = self._reserved(state, sequence)
            full = state.running >= state.limits.max_num_seqs
            if full or not state.admit(sequence, tokens, hit=hit, spare=spare):
                blocked = True
                break
            state.waiting.popleft()
            chunks.append((sequence, tokens))
            budget -= tokens
        return Batch(chunks, arrivals_matter=not (blocked or preempted), steps=1 if preempted else 1 << 60)

    def _reserved(self, state: ServingState, candidate: Sequence) -> int:
        """Blocks that the outputs still to come of running sequences and of the candidate will take."""
        if not self.reserve_output:
            return 0
        blocks_for = state.kv.blocks_for
        total = blocks_for(candidate.final_tokens) - blocks_for(candidate.target) - state.reserved
        for sequence in (*state.decoding, *state.prefilling):
            if sequence in state.decoding.members:
                state.decoding.refresh(sequence)
            total += blocks_for(sequence.final_tokens) - sequence.blocks
        return total
