"""What each batching policy decides, by hand-worked cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.policies.batching import DecodeFirst, Orca, PrefillFirst, Sarathi, SplitFuse, Static, VllmV1
from simulator.policies.batching.state import Limits, ServingState
from simulator.policies.decode_set import DecodeSet
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.sequence import Sequence
from simulator.workloads.span import Span


def state_with(
    *prompts: int, blocks: int = 100, seqs: int = 8, budget: int = 32, output: int = 10, block_tokens: int = 4
) -> ServingState:
    kv = PagedKVCache(blocks=blocks, block_tokens=block_tokens)
    state = ServingState(kv, DecodeSet(block_tokens, (Span(),)), Limits(seqs, budget))
    for index, prompt in enumerate(prompts):
        state.prompt_backlog += prompt
        state.waiting.append(Sequence(index, 0.0, prompt, output))
    return state


def finish_step(state: ServingState, chunks: list[tuple[Sequence, int]], *, decode: bool = True) -> None:
    """What the engine does at the end of an iteration."""
    if decode and len(state.decoding):
        state.kv.take(state.decoding.blocks_needed() - state.reserved)
        state.reserved = 0
        for sequence in state.decoding.advance(1):
            state.kv.release(sequence)
    for sequence, tokens in chunks:
        sequence.computed += tokens
        state.prompt_backlog -= tokens
        if sequence.computed == sequence.target:
            del state.prefilling[sequence]
            sequence.generated += 1
            state.decoding.join(sequence)


def plan(chunks: list[tuple[Sequence, int]]) -> list[tuple[int, int]]:
    return [(s.index, n) for s, n in chunks]


def test_vllm_chunks_a_long_prompt_and_fills_the_budget_with_decodes_first() -> None:
    state, policy = state_with(10, 50), VllmV1()
    first = policy.next_batch(state)
    assert plan(first.chunks) == [(0, 10), (1, 22)]
    finish_step(state, first.chunks)
    second = policy.next_batch(state)
    assert plan(second.chunks) == [(1, 28)]
    assert len(state.decoding) == 1
    finish_step(state, second.chunks)
    assert policy.next_batch(state).chunks == []
    assert len(state.decoding) == 2


def test_vllm_long_prefill_threshold_lets_short_prompts_pass() -> None:
    state, policy = state_with(50, 6), VllmV1(long_prefill_token_threshold=8)
    assert plan(policy.next_batch(state).chunks) == [(0, 8), (1, 6)]


def test_vllm_admits_at_most_max_num_seqs() -> None:
    state, policy = state_with(4, 4, 4, seqs=2), VllmV1()
    batch = policy.next_batch(state)
    assert plan(batch.chunks) == [(0, 4), (1, 4)]
    assert not batch.arrivals_matter


def test_vllm_whole_prompt_must_fit_but_only_the_chunk_is_taken() -> None:
    state = state_with(60, 60, blocks=20, budget=32)
    batch = VllmV1().next_batch(state)
    assert plan(batch.chunks) == [(0, 32)]
    assert state.kv.used == 8
    eager = state_with(60, 40, blocks=20, budget=64)
    assert plan(VllmV1(reserve_full_prompt=False).next_batch(eager).chunks) == [(0, 60), (1, 4)]


def test_vllm_preempts_the_last_admitted_and_admits_nothing_then() -> None:
    state, policy = state_with(8, 8, 4, blocks=4), VllmV1()
    first = policy.next_batch(state)
    assert plan(first.chunks) == [(0, 8), (1, 8)]
    finish_step(state, first.chunks)
    second = policy.next_batch(state)
    assert second.chunks == []
    assert [s.index for s in state.decoding] == [0]
    assert [s.index for s in state.waiting] == [1, 2]
    assert state.waiting[0].preemptions == 1
    assert state.waiting[0].target == 9
    assert second.steps == 1


def test_vllm_preempted_sequence_finds_its_own_blocks_again() -> None:
    state, policy = state_with(8, 8, blocks=4), VllmV1()
    finish_step(state, policy.next_batch(state).chunks)
    policy.next_batch(state)
    victim = state.waiting[0]
    assert state.kv.hit_blocks(victim) == 1  # one of its two blocks went to the decode step of the other


def test_watermark_keeps_blocks_free_unless_nothing_runs() -> None:
    state, policy = state_with(8, 8, blocks=5), VllmV1(watermark=0.4)
    assert plan(policy.next_batch(state).chunks) == [(0, 8)]


def test_orca_takes_whole_prompts_and_lets_an_oversized_one_run_alone() -> None:
    state, policy = state_with(50, 6), Orca()
    first = policy.next_batch(state)
    assert plan(first.chunks) == [(0, 50)]
    finish_step(state, first.chunks)
    assert plan(policy.next_batch(state).chunks) == [(1, 6)]
    assert len(state.decoding) == 1


def test_orca_with_reserved_outputs_never_preempts() -> None:
    state, policy = state_with(8, 8, blocks=8, output=9), Orca(reserve_output=True)
    assert plan(policy.next_batch(state).chunks) == [(0, 8), (1, 8)]
    crowded = state_with(8, 8, blocks=7, output=9)
    assert plan(policy.next_batch(crowded).chunks) == [(0, 8)]


def test_prefill_first_stalls_decoding_for_prompts() -> None:
    state, policy = state_with(10), PrefillFirst()
    finish_step(state, policy.next_batch(state).chunks)
    late = Sequence(1, 0.0, 12, 5)
    state.prompt_backlog += 12
    state.waiting.append(late)
    batch = policy.next_batch(state)
    assert plan(batch.chunks) == [(1, 12)]
    assert not batch.decode


def test_static_waits_for_the_whole_batch() -> None:
    state, policy = state_with(4, 4, 4, seqs=2, output=3), Static()
    first = policy.next_batch(state)
    assert plan(first.chunks) == [(0, 4), (1, 4)]
    finish_step(state, first.chunks)
    while len(state.decoding):
        assert policy.next_batch(state).chunks == []
        finish_step(state, [])
    assert plan(policy.next_batch(state).chunks) == [(2, 4)]


def test_sarathi_fills_its_budget_around_decodes_and_never_stalls_them() -> None:
    state, policy = state_with(10, 50), Sarathi(token_budget=16)
    seen = []
    for _ in range(5):
        batch = policy.next_batch(state)
        seen.append((len(state.decoding), plan(batch.chunks)))
        assert batch.decode
        finish_step(state, batch.chunks)
    assert seen == [(0, [(0, 10), (1, 6)]), (1, [(1, 15)]), (1, [(1, 15)]), (1, [(1, 14)]), (2, [])]


@pytest.mark.parametrize(("policy", "gives_way"), [(Sarathi(token_budget=4, watermark=0.0), True), (VllmV1(), False)])
def test_sarathi_keeps_the_blocks_of_prompts_it_has_begun(policy: Sarathi | VllmV1, gives_way: bool) -> None:
    """A decode may not take a block that a prompt will need, so the prompt goes back at once and not half-way."""
    state = state_with(4, 32, blocks=10, budget=4, output=20)
    for _ in range(5):
        finish_step(state, policy.next_batch(state).chunks)
    long = next(iter(state.prefilling))
    assert state.decoding.blocks_needed() == 1
    assert state.kv.free > 1
    policy.next_batch(state)
    assert (long.preemptions == 1) == gives_way


@given(
    prompts=st.lists(st.integers(1, 90), min_size=1, max_size=20),
    budget=st.integers(1, 40),
    output=st.integers(1, 12),
)
def test_split_fuse_runs_forward_passes_of_one_size(prompts: list[int], budget: int, output: int) -> None:
    """With memory to spare, an iteration is smaller than the budget only if no prompt is left over."""
    state = state_with(*prompts, blocks=10_000, seqs=100, budget=10_000, output=output)
    policy = SplitFuse(token_budget=budget)
    computed = 0
    for _ in range(sum(prompts) + 30 * output):
        batch = policy.next_batch(state)
        tokens = len(state.decoding) + sum(n for _, n in batch.chunks)
        left = state.waiting or any(s.remaining_prefill > dict(batch.chunks).get(s, 0) for s in state.prefilling)
        assert tokens == budget or not left or len(state.decoding) > budget
        computed += sum(n for _, n in batch.chunks)
        finish_step(state, batch.chunks)
        if not left:
            break
    assert computed == sum(prompts)


def test_split_fuse_waits_for_blocks_and_starts_over_if_nothing_can_run() -> None:
    """A prompt begun waits while what is left of it does not fit; two that block each other are both given up."""
    state, policy = state_with(20, 20, blocks=8, budget=12, output=1), SplitFuse()
    first = policy.next_batch(state)
    assert plan(first.chunks) == [(0, 12)]
    finish_step(state, first.chunks)
    second = policy.next_batch(state)
    assert plan(second.chunks) == [(0, 8)]
    assert [s.index for s in state.waiting] == [1]
    state.kv.take(state.kv.free)
    finish_step(state, [])
    begun = next(iter(state.prefilling))
    begun.target += 40
    third = policy.next_batch(state)
    assert begun.preemptions == 1
    assert plan(third.chunks) == []


def test_decode_first_fills_a_batch_and_then_lets_it_run_down() -> None:
    state, policy = state_with(30, 30, 4, seqs=2, budget=32, output=3), DecodeFirst()
    filling = [policy.next_batch(state)]
    finish_step(state, filling[0].chunks)
    filling.append(policy.next_batch(state))
    assert [plan(b.chunks) for b in filling] == [[(0, 30)], [(1, 30)]]
    finish_step(state, filling[1].chunks)
    while len(state.decoding):
        batch = policy.next_batch(state)
        assert batch.chunks == []
        finish_step(state, [])
    assert plan(policy.next_batch(state).chunks) == [(2, 4)]


def test_decode_first_admits_below_its_threshold() -> None:
    state, policy = state_with(4, 4, 4, seqs=2, output=3), DecodeFirst(threshold=1)
    state.waiting[0].output_tokens = 2
    finish_step(state, policy.next_batch(state).chunks)
    assert policy.next_batch(state).chunks == []
    finish_step(state, [])
    assert len(state.decoding) == 1
    assert plan(policy.next_batch(state).chunks) == [(2, 4)]


@pytest.mark.parametrize("make", [Sarathi, SplitFuse])
def test_budgets_are_checked(make: type[Sarathi] | type[SplitFuse]) -> None:
    with pytest.raises(ValueError, match="token_budget is 0"):
        make(token_budget=0)
