"""When a replica would give a request's first token, by the timer and what is known of the replica now."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from math import ceil

from simulator.engine.lane import Lane


def first_token_seconds(lanes: Sequenced[Lane], backlog: int, tokens: int) -> float:
    """Seconds until `backlog` prompt tokens and then `tokens` more are computed, the decoding sequences going on.

    What remains of the step in progress, then full chunks of prompt, each in one iteration with all that decodes
    now. Nothing is foreseen of what will finish or arrive, nor of a wait for KV blocks, so under memory pressure
    this is a lower bound.
    """
    wait = 0.0
    for lane in lanes:
        if lane.current is not None:
            wait = max(wait, float(lane.current.ends[lane.steps_ended()]) - lane.clock.now)
            backlog -= lane.current.chunks.tokens
    return wait + _prompt_seconds(lanes[0], max(backlog, 0) + tokens, len(lanes))


def _prompt_seconds(lane: Lane, tokens: int, stages: int) -> float:
    state, ended = lane.state, lane.steps_ended()
    decoding = len(state.decoding.members)
    contexts = [(total + growth * ended, growth) for total, growth in state.decoding.contexts()]
    budget = max(1, state.limits.max_num_batched_tokens - decoding)
    iterations = ceil(tokens / budget)

    def seconds(chunk: int) -> float:
        return lane.timer.step_seconds(decoding, contexts, lane.timer.chunks([(0, chunk)]))

    last = seconds(tokens - (iterations - 1) * budget)
    # Iterations of different lanes overlap in a pipeline: one ends every `stages`-th part of its length.
    return last + ((iterations - 1) * seconds(budget) / stages if iterations > 1 else 0.0)
