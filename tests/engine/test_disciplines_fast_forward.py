"""Under any queue discipline, joining decode steps changes no time, every request is served once and no block leaks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.cluster_spec import Load
from simulator.policies.batching import BatchingPolicy
from simulator.policies.queueing import (
    Discipline,
    EarliestDeadlineFirst,
    FirstComeFirstServed,
    PrefixGroups,
    Priority,
    ShortestJobFirst,
    ShortestRemainingFirst,
    SkipJoinFeedback,
    UpdatedPriority,
    VirtualTokenCounter,
)
from simulator.workloads.parallelism import Parallelism
from tests.builders import Rows, assert_conserved, rows, serve, timer_of, tiny_model
from tests.engine.test_fast_forward import POLICIES, TIMERS, Checked, outcome, workloads


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


DISCIPLINES: dict[str, Callable[[], Discipline]] = {
    "fcfs": FirstComeFirstServed,
    "sjf": lambda: ShortestJobFirst(rng=rng()),
    "sjf by prompt": lambda: ShortestJobFirst(prompt_weight=1.0, rng=rng()),
    "srpt": lambda: ShortestRemainingFirst(rng=rng()),
    "srpt noisy": lambda: ShortestRemainingFirst(
        predictor="noisy", predictor_options={"sigma": 1.0}, prompt_weight=0.5, commit_after=0.6, rng=rng()
    ),
    "priority": Priority,
    "priority, waiting": lambda: Priority(preemptive=False),
    "priority, ageing": lambda: Priority(larger_first=True, ageing_s=0.002),
    "updated": lambda: UpdatedPriority(rng(), every_s=0.004),
    "updated, markov": lambda: UpdatedPriority(rng(), pattern="markov", every_s=0.001, classes=2),
    "mlfq": lambda: SkipJoinFeedback(levels=4, quantum=2, prompt_tokens_per_step=8),
    "mlfq, starving": lambda: SkipJoinFeedback(levels=4, quantum=1, prompt_tokens_per_step=4, starve_s=0.003),
    "vtc": VirtualTokenCounter,
    "edf": lambda: EarliestDeadlineFirst(ttft_ms=5.0, tpot_ms=1.0, prompt_tokens_per_s=5000.0),
    "edf, late last": lambda: EarliestDeadlineFirst(ttft_ms=2.0, tpot_ms=0.2, late_last=True),
    "prefix groups": lambda: PrefixGroups(rng=rng()),
}


@st.composite
def ranked(draw: st.DrawFn) -> Rows:
    """A workload whose requests have priorities and tenants."""
    source = draw(workloads())
    count = len(source.requests)
    columns = {
        name: np.array(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
        for name in ("priority", "tenant")
    }
    for name, values in columns.items():
        object.__setattr__(source.requests, name, values)
    return source


@settings(max_examples=250, deadline=None)
@given(
    source=ranked(),
    discipline=st.sampled_from(sorted(DISCIPLINES)),
    timer=st.sampled_from(sorted(TIMERS)),
    policy=st.sampled_from(POLICIES),
    replicas=st.integers(1, 2),
    blocks=st.integers(25, 60) | st.just(1000),
    block_tokens=st.sampled_from([2, 4]),
    seqs=st.integers(1, 8),
    budget=st.sampled_from([8, 16, 64]),
    caching=st.booleans(),
    load=st.sampled_from([Load(), Load(concurrency=3), Load(sessions_wait=True)]),
)
def test_fast_forward_changes_no_time(
    source: Rows,
    discipline: str,
    timer: str,
    policy: Callable[[], BatchingPolicy],
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
            discipline=DISCIPLINES[discipline],
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


@settings(max_examples=100, deadline=None)
@given(
    source=ranked(),
    policy=st.sampled_from(POLICIES),
    blocks=st.integers(25, 60) | st.just(1000),
    seqs=st.integers(1, 8),
)
def test_arrival_order_as_a_discipline_is_the_plain_queue(
    source: Rows, policy: Callable[[], BatchingPolicy], blocks: int, seqs: int
) -> None:
    """The deque that engines have by default and the ordered queue are two implementations of one discipline."""

    def run(discipline: Callable[[], Discipline] | None) -> tuple[object, ...]:
        _, recorder = serve(
            source, timer=TIMERS["full"], policy=policy, discipline=discipline, blocks=blocks, max_num_seqs=seqs
        )
        return outcome(recorder)

    assert run(FirstComeFirstServed) == run(None)


PIPELINE = timer_of(tiny_model(), parallel=Parallelism(pipeline=2))


@settings(max_examples=60, deadline=None)
@given(
    source=ranked(),
    discipline=st.sampled_from(sorted(DISCIPLINES)),
    policy=st.sampled_from(POLICIES),
    blocks=st.integers(50, 60) | st.just(1000),
)
def test_lanes_of_a_pipeline_share_a_queue(
    source: Rows, discipline: str, policy: Callable[[], BatchingPolicy], blocks: int
) -> None:
    cluster, recorder = serve(
        source, timer=PIPELINE, policy=policy, discipline=DISCIPLINES[discipline], blocks=blocks, block_tokens=4
    )
    assert recorder.finished == len(source.requests)
    assert cluster.replicas[0].kv.used == 0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_decode_runs_end_where_another_tenant_becomes_the_head(seed: int) -> None:
    """Blocks are short, prompts very long or short: a new head may fit where the old one does not."""
    draws = np.random.default_rng(seed)
    source = rows(
        np.cumsum(draws.choice([0.0, 1e-4, 0.004], 12)).tolist(),
        draws.choice([1, 2, 30, 40], 12).tolist(),
        draws.integers(20, 60, 12).tolist(),
        tenants=draws.integers(0, 2, 12).tolist(),
    )

    def run(fast_forward: bool) -> tuple[object, ...]:
        _, recorder = serve(
            source,
            timer=TIMERS["full"],
            discipline=VirtualTokenCounter,
            blocks=35,
            max_num_batched_tokens=64,
            fast_forward=fast_forward,
        )
        return outcome(recorder)

    assert run(True) == run(False)
