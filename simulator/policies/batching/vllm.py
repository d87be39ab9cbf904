"""Continuous batching with chunked prefill, by the rules of vLLM V1."""

from __future__ import annotations

from simulator.policies.batching.common import continue_prefills, make_room_to_decode
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.sequence import Sequence


class VllmV1:
    """Running sequences first, then waiting ones in order of arrival, under one budget of tokens.

    Every decoding sequence takes one token of `max_num_batched_tokens`, prompts take the rest in chunks.
    When blocks run out the last admitted sequence is preempted and recomputed later; in an iteration that
    preempted, nothing is admitted. `long_prefill_token_threshold` bounds a chunk (0: no bound), `watermark`
    is the share of blocks that an admission must leave free, `reserve_full_prompt` admits a sequence only if
    its whole prompt fits (vLLM's `scheduler_reserve_full_isl`, on since 0.18).

    Rules: vLLM, `vllm/v1/core/sched/scheduler.py`, `Scheduler.schedule`.
    """

    def __init__(
        self,
        *,
        long_prefill_token_threshold: int = 0,
        watermark: float = 0.0,
        reserve_full_prompt: bool = True,
    ) -> None:
        self.longest_chunk = long_prefill_token_threshold or (1 << 60)
        self.watermark = watermark
        self.reserve_full_prompt = reserve_full_prompt

    def next_batch(self, state: ServingState) -> Batch:
        """Advance what runs, then admit what fits."""
        preempted = make_room_to_decode(state)
        budget = state.limits.max_num_batched_tokens - len(state.decoding.members)
        chunks: list[tuple[Sequence, int]] = []
        if state.prefilling:
            chunks, budget, more = continue_prefills(state, budget, self.longest_chunk)
            preempted = preempted or more
        blocked = False
        if state.waiting and not preempted:
            blocked = self._admit(state, chunks, budget)
        return Batch(chunks, arrivals_matter=not (blocked or preempted), steps=1 if preempted else 1 << 60)

    def _admit(self, state: ServingState, chunks: list[tuple[Sequence, int]], budget: int) -> bool:
        """Admit from the head of the queue; True if the head has to wait for a sequence to finish."""
        watermark = int(self.watermark * state.kv.blocks)
        while state.waiting and budget > 0:
            if state.running >= state.limits.max_num_seqs:
                return True
            sequence = state.waiting[0]
            hit = state.kv.hit_blocks(sequence)
            tokens = min(sequence.target - hit * state.kv.block_tokens, budget, self.longest_chunk)
            spare = watermark if state.running else 0
            if not state.admit(sequence, tokens, hit=hit, spare=spare, whole=self.reserve_full_prompt):
                return True
            state.waiting.popleft()
            chunks.append((sequence, tokens))
            budget -= tokens
        return False
