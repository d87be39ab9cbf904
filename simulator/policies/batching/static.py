"""Request-level batching: a batch runs until its last sequence is done."""

from __future__ import annotations

from simulator.policies.batching.common import make_room_to_decode
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.sequence import Sequence


class Static:
    """Form a batch, compute its prompts together, decode until all have finished, then form the next.

    A batch takes what waits, up to `batch_size` sequences (0: `max_num_seqs`), as far as blocks for each
    prompt and its whole output are free. A sequence that is done leaves, but its place stays empty.

    The baseline of Orca (OSDI 2022, section 3.1) and of FasterTransformer.
    """

    def __init__(self, *, batch_size: int = 0) -> None:
        self.batch_size = batch_size

    def admits(self, state: ServingState) -> bool:
        """Only into an empty engine."""
        return not state.running

    def next_batch(self, state: ServingState) -> Batch:
        """Decode on, or form a batch where none runs."""
        if state.running:
            make_room_to_decode(state)
            return Batch(arrivals_matter=False)
        size = min(self.batch_size or state.limits.max_num_seqs, state.limits.max_num_seqs)
        chunks: list[tuple[Sequence, int]] = []
        outputs = 0
        while state.waiting and len(chunks) < size:
            sequence = state.waiting[0]
            hit = state.kv.hit_blocks(sequence)
            whole = state.kv.blocks_for(sequence.final_tokens)
            more = whole - state.kv.blocks_for(sequence.target)
            tokens = sequence.target - hit * state.kv.block_tokens
            if not state.admit(sequence, tokens, hit=hit, spare=outputs + more):
                break
            outputs += more
            state.waiting.popleft()
            chunks.append((sequence, tokens))
        return Batch(chunks)
