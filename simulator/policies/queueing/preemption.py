"""Which running sequences give way to those at the head of the queue."""

from __future__ import annotations

from simulator.policies.batching.state import ServingState
from simulator.policies.queueing.discipline import Preemptive
from simulator.policies.queueing.waiting import DisciplinedQueue
from simulator.policies.sequence import Sequence


def make_way(state: ServingState, queue: DisciplinedQueue, discipline: Preemptive) -> None:
    """Preempt for the first in line, as far as they then fit into slots, blocks and one iteration's tokens.

    Blocks count as if no prefix were cached and none of a victim's shared: a cached prefix may cost a
    preemption that was not needed, a shared one may call for another an iteration later.
    """
    for member in state.decoding:
        state.decoding.refresh(member)
    slots = state.limits.max_num_seqs - state.running - state.on_the_way
    blocks = state.kv.free + state.coming_free - state.decoding.blocks_needed()
    tokens = state.limits.max_num_batched_tokens - len(state.decoding)
    leaving: dict[Sequence, None] = {}
    for candidate in queue.in_order():
        wanted = state.kv.blocks_for(max(candidate.target, candidate.computed + 1))
        victims = _victims(state, discipline, candidate, leaving, slots=1 - slots, blocks=wanted - blocks)
        if victims is None:
            break
        leaving.update(dict.fromkeys(victims))
        slots += len(victims) - 1
        blocks += sum(_freed(state, v) for v in victims) - wanted
        tokens -= max(1, candidate.remaining_prefill)
        if tokens <= 0:
            break
    for victim in leaving:
        state.preempt(victim)


def _victims(
    state: ServingState,
    discipline: Preemptive,
    candidate: Sequence,
    leaving: dict[Sequence, None],
    *,
    slots: int,
    blocks: int,
) -> list[Sequence] | None:
    """The last in line whose leaving gives the candidate so many slots and blocks; None if that is too few."""
    victims: list[Sequence] = []
    if slots <= 0 and blocks <= 0:
        return victims
    running = [s for s in (*state.prefilling, *state.decoding) if s not in leaving]
    eligible = [s for s in running if discipline.preempts(candidate, s)]
    for victim in sorted(eligible, key=state.order, reverse=True):
        victims.append(victim)
        slots -= 1
        blocks -= _freed(state, victim)
        if slots <= 0 and blocks <= 0:
            return victims
    return None


def _freed(state: ServingState, victim: Sequence) -> int:
    """Blocks that a running sequence holds, and the one that its next decode step would take."""
    return victim.blocks + (victim in state.decoding.members and state.decoding.needs_block(victim))
