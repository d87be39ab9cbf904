"""Rules that several batching policies share."""

from __future__ import annotations

from simulator.policies.batching.state import ServingState
from simulator.policies.sequence import Sequence


def make_room_to_decode(state: ServingState) -> bool:
    """Reserve the next decode step's blocks, preempting sequences from the last in line until they suffice.

    Returns whether any sequence was preempted.
    """
    preempted = False
    while state.decoding.blocks_needed() > state.kv.free:
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
            victim = state.victim()
            assert victim is not None
            state.preempt(victim)
            preempted = True
        if sequence in state.prefilling:
            chunks.append((sequence, tokens))
            budget -= tokens
    return chunks, budget, preempted
