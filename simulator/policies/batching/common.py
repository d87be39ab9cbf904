"""Rules that several batching policies share."""

from __future__ import annotations

from collections.abc import Callable

from simulator.policies.batching.state import ServingState
from simulator.policies.sequence import Sequence


def _nothing(_: ServingState) -> int:
    return 0


def make_room_to_decode(state: ServingState, *, keep: Callable[[ServingState], int] = _nothing) -> bool:
    """Reserve the next decode step's blocks, preempting sequences from the last in line until they suffice.

    `keep` free blocks are not to be touched. Returns whether any sequence was preempted.
    """
    preempted = False
    while (short := state.decoding.blocks_needed() - (state.kv.free - keep(state))) > 0:
        if state.claim(short):
            continue
        victim = state.victim()
        assert victim is not None
        state.preempt(victim)
        preempted = True
    state.reserve_decode_step()
    return preempted


def continue_prefills(state: ServingState, budget: int, longest: int) -> tuple[list[tuple[Sequence, int]], int, bool]:
    """Next chunks of prompts already begun, first in line first, under `budget` tokens.

    `longest` bounds one chunk. A chunk that finds no block preempts the last sequence in line, in the end its
    own. Returns the chunks, the budget left and whether anything was preempted.
    """
    chunks: list[tuple[Sequence, int]] = []
    preempted = False
    for sequence in state.prompts_begun():
        if budget <= 0:
            break
        tokens = min(sequence.remaining_prefill, budget, longest)
        while sequence in state.prefilling and not state.kv.grow(sequence, tokens):
            if state.claim(1):
                continue
            victim = state.victim()
            assert victim is not None
            state.preempt(victim)
            preempted = True
        if sequence in state.prefilling:
            chunks.append((sequence, tokens))
            budget -= tokens
    return chunks, budget, preempted


def admit_whole(state: ServingState, watermark: float) -> tuple[list[tuple[Sequence, int]], bool]:
    """Waiting prompts in whole, up to `max_num_batched_tokens`; one that is longer goes alone.

    A share `watermark` of all blocks stays free, unless nothing runs. Returns the chunks and whether the head of
    the queue has to wait for a sequence to finish.
    """
    chunks: list[tuple[Sequence, int]] = []
    budget = state.limits.max_num_batched_tokens
    spare = int(watermark * state.kv.blocks)
    while state.waiting:
        sequence = state.waiting[0]
        hit = state.kv.hit_blocks(sequence)
        tokens = sequence.target - hit * state.kv.block_tokens
        if tokens > budget and chunks:
            break
        full = state.running >= state.limits.max_num_seqs
        if full or not state.admit(sequence, tokens, hit=hit, spare=spare if state.running else 0):
            return chunks, True
        state.waiting.popleft()
        chunks.append((sequence, tokens))
        budget -= tokens
    return chunks, False
