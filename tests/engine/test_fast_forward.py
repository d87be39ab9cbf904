"""Joining decode steps into one event changes no time, on any workload, policy, KV pressure and arrival pattern."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.engine.cluster_spec import Load
from simulator.engine.recorder import Recorder
from simulator.engine.step_timer import StepTimer
from simulator.policies.batching import (
    BatchingPolicy,
    DecodeFirst,
    Orca,
    PrefillFirst,
    Sarathi,
    SplitFuse,
    Static,
    VllmV1,
)
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.routing import LeastOutstanding, RoundRobin, Router, ShortestQueue
from simulator.workloads.parallelism import Parallelism
from tests.builders import Rows, assert_conserved, rows, serve, timer_of, tiny_model

TIMERS: dict[str, StepTimer] = {
    "full": timer_of(tiny_model()),
    "window": timer_of(tiny_model(window=7)),
    "chunked": timer_of(tiny_model(window=6, chunked=True)),
    "experts": timer_of(tiny_model(experts=True)),
}
POLICIES: list[Callable[[], BatchingPolicy]] = [
    VllmV1,
    lambda: VllmV1(watermark=0.1, long_prefill_token_threshold=5),
    lambda: VllmV1(reserve_full_prompt=False),
    Orca,
    lambda: Orca(reserve_output=True),
    PrefillFirst,
    Static,
    lambda: Static(batch_size=2),
    lambda: Sarathi(token_budget=8),
    lambda: Sarathi(token_budget=3, watermark=0.1),
    lambda: SplitFuse(token_budget=8),
    lambda: SplitFuse(token_budget=3),
    DecodeFirst,
    lambda: DecodeFirst(threshold=2, watermark=0.0),
]
ROUTERS: list[Callable[[], Router]] = [RoundRobin, LeastOutstanding, ShortestQueue]


class Checked:
    """A batching policy that checks the state it is shown before each decision."""

    def __init__(self, inner: BatchingPolicy) -> None:
        self.inner = inner
        self.admits = getattr(inner, "admits", lambda _: True)

    def next_batch(self, state: ServingState) -> Batch:
        check(state)
        return self.inner.next_batch(state)


def check(state: ServingState) -> None:
    """Sums kept incrementally equal those counted from the sequences, and no block is lost or counted twice."""
    decoding, kv = state.decoding, state.kv
    cached = {s: s.computed + decoding.step - s.joined_at for s in decoding}
    for (total, _), context in zip(decoding.contexts(), decoding._contexts, strict=True):
        assert total == sum(context.span.attended(c + 1) for c in cached.values())
    assert decoding.blocks_needed() == sum(c % kv.block_tokens == 0 for c in cached.values())
    assert kv.free == sum(kv._idle.values()) >= 0
    assert not set(kv._holders) & set(kv._idle)
    held = sum(kv._known[key] for key in kv._holders)
    for sequence in decoding:
        decoding.refresh(sequence)
        assert sequence.blocks == kv.blocks_for(sequence.computed)
    private = sum(s.blocks - s.held_blocks for s in (*decoding, *state.prefilling))
    assert private >= 0
    if len(state.decoding) + len(state.prefilling) == state.running:
        assert kv.used == held + private
    assert state.prompt_backlog == sum(s.target - s.computed for s in (*state.waiting, *state.prefilling))


@st.composite
def workloads(draw: st.DrawFn) -> Rows:
    count = draw(st.integers(1, 12))
    gaps = draw(
        st.lists(
            st.sampled_from([0.0, 0.0, 1e-6, 3e-4, 0.004, 0.05, 1.0]) | st.floats(0, 0.02),
            min_size=count,
            max_size=count,
        )
    )
    prompts = draw(st.lists(st.integers(1, 40), min_size=count, max_size=count))
    outputs = draw(st.lists(st.integers(1, 60), min_size=count, max_size=count))
    hashes = None
    if draw(st.booleans()):
        groups = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
        shared = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
        hashes = [
            [g * 1000 + i if i < s else 10_000 + 100 * n + i for i in range(p // 4)]
            for n, (g, s, p) in enumerate(zip(groups, shared, prompts, strict=True))
        ]
    sessions = draw(st.none() | st.lists(st.integers(-1, 2), min_size=count, max_size=count))
    arrivals = np.cumsum(gaps).tolist()
    return rows(arrivals, prompts, outputs, hashes=hashes, sessions=sessions, think=[0.003] * count)


def outcome(recorder: Recorder) -> tuple[object, ...]:
    columns = recorder.requests()
    return (*(columns[name].tobytes() for name in columns), recorder.inter_token.counts.tobytes())


@settings(max_examples=250, deadline=None)
@given(
    source=workloads(),
    timer=st.sampled_from(sorted(TIMERS)),
    policy=st.sampled_from(POLICIES),
    router=st.sampled_from(ROUTERS),
    replicas=st.integers(1, 3),
    blocks=st.integers(25, 60) | st.just(1000),
    block_tokens=st.sampled_from([2, 4]),
    seqs=st.integers(1, 8),
    budget=st.sampled_from([8, 16, 64]),
    caching=st.booleans(),
    load=st.sampled_from([Load(), Load(concurrency=3), Load(sessions_wait=True)]),
)
def test_fast_forward_changes_no_time(
    source: Rows,
    timer: str,
    policy: Callable[[], BatchingPolicy],
    router: Callable[[], Router],
    replicas: int,
    blocks: int,
    block_tokens: int,
    seqs: int,
    budget: int,
    caching: bool,
    load: Load,
) -> None:
    def run(fast_forward: bool) -> tuple[object, ...]:
        cluster, recorder = serve(
            source,
            timer=TIMERS[timer],
            policy=lambda: Checked(policy()),
            router=router(),
            replicas=replicas,
            blocks=blocks,
            block_tokens=block_tokens,
            max_num_seqs=seqs,
            max_num_batched_tokens=budget,
            prefix_caching=caching,
            load=load,
            fast_forward=fast_forward,
        )
        assert_conserved(cluster, recorder, source)
        return outcome(recorder)

    assert run(True) == run(False)


@pytest.mark.parametrize("stages", [1, 2])
def test_growth_is_flat_in_output_length(stages: int) -> None:
    """A decode-heavy load costs iterations by request, not by token (one stage; a pipeline steps one by one)."""

    def iterations(length: int) -> int:
        source = rows([0.0] * 8, [8] * 8, [length] * 8)
        timer = timer_of(tiny_model(), parallel=Parallelism(pipeline=stages))
        _, recorder = serve(source, timer=timer, blocks=100_000, max_num_batched_tokens=64)
        return len(recorder.iterations()["steps"])

    if stages == 1:
        assert iterations(5000) == iterations(100) <= 12
    else:
        assert iterations(50) >= 50


def test_growth_is_linear_in_requests() -> None:
    """Twice the requests take about twice the events."""

    def events(count: int) -> int:
        source = rows([i * 0.01 for i in range(count)], [8] * count, [64] * count)
        cluster, recorder = serve(source, timer=TIMERS["full"], blocks=100_000, max_num_batched_tokens=64)
        return next(cluster.clock._eid) + len(recorder.iterations()["steps"])

    assert events(800) / events(400) == pytest.approx(2.0, rel=0.02)


@example(seed=0)
@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_little_law_holds(seed: int) -> None:
    """The time average of requests in the system is their arrival rate times their mean time in it."""
    rng = np.random.default_rng(seed)
    source = rows(
        np.cumsum(rng.exponential(0.01, 50)).tolist(),
        rng.integers(1, 40, 50).tolist(),
        rng.integers(1, 40, 50).tolist(),
    )
    _, recorder = serve(source, timer=TIMERS["full"])
    c = recorder.requests()
    events = np.concatenate([c["arrival_s"], c["finish_s"]])
    change = np.concatenate([np.ones(50), -np.ones(50)])
    order = np.argsort(events, kind="stable")
    times, level = events[order], np.cumsum(change[order])
    area = float((np.diff(times) * level[:-1]).sum())
    span = float(times[-1] - times[0])
    rate = 50 / span
    assert area / span == pytest.approx(rate * (c["finish_s"] - c["arrival_s"]).mean(), rel=1e-9)


def test_a_request_as_large_as_the_cache_resumes_on_a_part_of_its_own_blocks() -> None:
    """All but its last token are found again, and the block of that token is not held twice."""
    source = rows([0.0] * 7, [8, 1, 1, 8, 1, 1, 1], [1, 1, 1, 48, 1, 1, 1], hashes=[[0, 1], [], [], [0, 1], [], [], []])
    cluster, recorder = serve(
        source, timer=TIMERS["chunked"], blocks=28, block_tokens=2, max_num_seqs=1, max_num_batched_tokens=8
    )
    assert len(recorder.requests()["index"]) == 7
    assert cluster.replicas[0].kv.used == 0
