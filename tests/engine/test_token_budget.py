"""Key tokens kept after the prompt: blocks and bytes by hand, nothing lost, and the same times however stepped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.chunks import NO_CHUNKS
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.overheads import StepOverheads
from simulator.hardware.relatives import calibrations_for
from simulator.policies.batching import Orca, PrefillFirst, Sarathi, VllmV1
from simulator.policies.decode_set import DecodeSet
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.sequence import Sequence
from simulator.scenario import scenario_from
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.span import Span
from tests.builders import Rows, rows, serve, tiny_model
from tests.engine.test_fast_forward import outcome, workloads

L4 = device("nvidia-l4-24gb")
LAW = TimingLaw(L4, calibrations_for(L4), fabric_of(L4, None))


def timer(*, scored: bool, window: int | None = None) -> StepTimer:
    return StepTimer(tiny_model(window=window), Parallelism(), Precision(), LAW, StepOverheads(), scored=scored)


TIMERS = {"full": timer(scored=True), "window": timer(scored=True, window=7)}
POLICIES = [VllmV1, Orca, PrefillFirst, lambda: Sarathi(token_budget=8)]


@given(
    prompts=st.lists(st.integers(1, 300), min_size=1, max_size=9), share=st.floats(0.1, 0.9), steps=st.integers(1, 50)
)
@settings(max_examples=60, deadline=None)
def test_what_is_attended_stays_the_share_of_each_prompt(prompts: list[int], share: float, steps: int) -> None:
    found = DecodeSet(4, (Span(), Span(16)), share)
    for index, tokens in enumerate(prompts):
        sequence = Sequence(index, 0.0, tokens, 200)
        sequence.computed, sequence.generated = tokens, 1
        found.join(sequence)
    kept = [max(1, int(tokens * share)) for tokens in prompts]
    found.advance(steps)
    assert found.contexts() == [(sum(kept), 0), (sum(min(k, 16) for k in kept), 0)]
    assert found.blocks_needed() == found.blocks_needed(steps) == 0
    for sequence in list(found):
        found.leave(sequence)
    assert found.contexts() == [(0, 0), (0, 0)]


def test_blocks_are_freed_when_the_prompt_is_computed() -> None:
    cache = PagedKVCache(blocks=100, block_tokens=4, prefix_caching=False, keep_share=0.5)
    sequence = Sequence(0, 0.0, 80, 10)
    assert cache.admit(sequence, 80)
    assert cache.used == 20
    cache.trim(sequence, 40)
    assert cache.used == sequence.blocks == 10
    cache.trim(sequence, 80)
    assert cache.used == 10
    cache.release(sequence)
    assert cache.used == 0


def test_a_run_holds_the_kept_blocks_while_it_decodes() -> None:
    """One request of 400 tokens: 100 blocks for its prompt, then 25 however long the answer is."""
    source = rows([0.0], [400], [300])
    _, recorder = serve(
        source,
        timer=TIMERS["full"],
        keep_share=0.25,
        prefix_caching=False,
        max_num_batched_tokens=512,
        fast_forward=False,
    )
    used = recorder.iterations()["kv_blocks_used"]
    assert used[0] == 100
    assert set(used[1:]) == {25}


@given(sequences=st.integers(1, 60), kept=st.integers(1, 2000))
@settings(max_examples=30, deadline=None)
def test_scores_add_their_bytes(sequences: int, kept: int) -> None:
    """Two layers of 4 query heads read two and write one number of 4 bytes for each kept token."""
    contexts = [(sequences * kept, 0)]
    plain, scored = (t.attention_work(contexts, 5, NO_CHUNKS) for t in (timer(scored=False), TIMERS["full"]))
    assert scored[1] - plain[1] == pytest.approx(5 * 2 * 4 * 12 * sequences * kept)
    assert scored[0] == plain[0]
    without = timer(scored=False).step_seconds(sequences, contexts, NO_CHUNKS)
    least = 2 * 4 * 12 * sequences * kept / L4.memory_bandwidth
    assert TIMERS["full"].step_seconds(sequences, contexts, NO_CHUNKS) >= without + least


@settings(max_examples=120, deadline=None)
@given(
    source=workloads(),
    kind=st.sampled_from(sorted(TIMERS)),
    policy=st.sampled_from(POLICIES),
    blocks=st.integers(25, 60),
    share=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_fast_forward_changes_no_time(source: Rows, kind: str, policy: Any, blocks: int, share: float) -> None:
    found = []
    for fast_forward in (True, False):
        cluster, recorder = serve(
            source,
            timer=TIMERS[kind],
            policy=policy,
            blocks=blocks,
            keep_share=share,
            prefix_caching=False,
            fast_forward=fast_forward,
        )
        assert recorder.finished == len(source.requests)
        assert all(r.kv.used == 0 and r.kv.free == sum(r.kv._idle.values()) for r in cluster.replicas)
        found.append(outcome(recorder))
    assert found[0] == found[1]


def scenario(share: float | None, **changes: Any) -> Any:
    load = {
        "arrivals": {"process": "poisson", "rate": 100.0},
        "prompt_tokens": {"law": "fixed", "tokens": 1024},
        "output_tokens": {"law": "fixed", "tokens": 128},
        "requests": 60,
    }
    values = {"model": "EleutherAI/gpt-j-6b", "device": "nvidia-a100-sxm-80gb", "load": {"generator": load}}
    return scenario_from(values | {"kv_cache": {"prefix_caching": False, "keep_share": share}} | changes)


def test_a_smaller_budget_serves_faster() -> None:
    speeds = [run(scenario(share)).summary["throughput"]["output_tokens_per_s"] for share in (0.1, 0.3, 0.6)]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] > speeds[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_cache": {"keep_share": 0.5}}, "set prefix_caching to false"),
        ({"shared_prefix_tokens": 64}, "beside shared_prefix_tokens"),
        ({"speculation": {"policy": "fixed"}}, "beside speculation"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scenario(0.5, **changes)
