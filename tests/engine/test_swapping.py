"""Swapping to host memory: closed forms of the copies, conservation of blocks and bytes, and exact fast-forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.cluster import Cluster
from simulator.engine.swapping import SwapCopies, SwapSetup
from simulator.policies.batching import BatchingPolicy, VllmV1
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.kv_cache.swap_space import SwapSpace
from simulator.policies.kv_cache.swapping import Swapping
from simulator.policies.queueing import Priority
from simulator.policies.sequence import Sequence
from simulator.workloads.parallelism import Parallelism
from tests.builders import FixedTimer, Rows, assert_conserved, rows, serve, timer_of, tiny_model
from tests.engine.test_disciplines_fast_forward import DISCIPLINES
from tests.engine.test_fast_forward import POLICIES, TIMERS, outcome

SETUP = SwapSetup(blocks=10_000, block_bytes=1000.0, host_bytes=2000.0, tensors=4, bandwidth=1e6, call_latency=1e-4)
STEP = 0.01


def copies(cluster: Cluster) -> list[SwapCopies]:
    return [r.copies for r in cluster.all_replicas if r.copies is not None]


def assert_all_came_back(cluster: Cluster) -> None:
    """Nothing is left in host memory or on the way, and what went out came back."""
    for each in copies(cluster):
        swapping = each.swapping
        assert swapping.space.used == 0
        assert not (swapping.orders or swapping.claimed or swapping.landed or swapping.arriving)
        assert swapping.leaving_blocks == 0
        assert not swapping._leaving
        assert not swapping._out
        assert each.counts.bytes[0] == each.counts.blocks[0] * each.setup.host_bytes


class Checked:
    """Before each decision: every block is free, held by a sequence that runs, or on its way."""

    def __init__(self, inner: BatchingPolicy) -> None:
        self.inner = inner
        self.admits = getattr(inner, "admits", lambda _: True)

    def next_batch(self, state: ServingState) -> Batch:
        kv, swapping = state.kv, state.swapping
        assert swapping is not None
        assert kv.free == sum(kv._idle.values()) >= 0
        for sequence in state.decoding:
            state.decoding.refresh(sequence)
            assert sequence.blocks == kv.blocks_for(sequence.computed)
        leaving = [held for held in swapping._leaving.values() if held is not None]
        there = (*state.decoding, *state.prefilling, *leaving, *swapping.arriving, *swapping.landed)
        private = sum(s.blocks - s.held_blocks for s in there)
        assert kv.used == sum(kv._known[key] for key in kv._holders) + private
        assert swapping.leaving_blocks == sum(held.blocks for held in leaving)
        assert 0 <= swapping.space.used <= swapping.space.blocks
        assert state.prompt_backlog == sum(
            s.target - s.computed for s in (*state.waiting, *state.prefilling, *swapping.arriving, *swapping.landed)
        )
        return self.inner.next_batch(state)


@st.composite
def crowded(draw: st.DrawFn) -> Rows:
    """Requests that come at once or nearly so, of which a few fill the cache; some begin alike."""
    count = draw(st.integers(4, 12))
    gaps = draw(st.lists(st.sampled_from([0.0, 1e-4, 0.002]), min_size=count, max_size=count))
    prompts = draw(st.lists(st.integers(4, 30), min_size=count, max_size=count))
    outputs = draw(st.lists(st.integers(15, 50), min_size=count, max_size=count))
    shared = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    hashes = [
        [i if i < s else 1000 * (n + 1) + i for i in range(p // 4)]
        for n, (s, p) in enumerate(zip(shared, prompts, strict=True))
    ]
    classes = st.lists(st.integers(0, 2), min_size=count, max_size=count)
    return rows(
        np.cumsum(gaps).tolist(), prompts, outputs, hashes=hashes, priorities=draw(classes), tenants=draw(classes)
    )


PREEMPTIVE = ("updated", "mlfq", "mlfq, starving", "srpt", "priority")


@settings(max_examples=300, deadline=None)
@given(
    source=crowded(),
    discipline=st.sampled_from([None, None, None, *PREEMPTIVE, *sorted(DISCIPLINES)]),
    policy=st.just(VllmV1) | st.sampled_from(POLICIES),
    timer=st.sampled_from(["full", "window"]),
    blocks=st.integers(40, 70),
    host=st.sampled_from([30, 1000, 1000]),
    seqs=st.integers(3, 8),
    budget=st.sampled_from([16, 64]),
    caching=st.booleans(),
    asynchronous=st.booleans(),
    reuse=st.booleans(),
    group=st.sampled_from([1, 4]),
    bandwidth=st.sampled_from([1e6, 1e7, 1e8]),
)
def test_fast_forward_changes_no_time(
    source: Rows,
    discipline: str | None,
    policy: Callable[[], BatchingPolicy],
    timer: str,
    blocks: int,
    host: int,
    seqs: int,
    budget: int,
    caching: bool,
    asynchronous: bool,
    reuse: bool,
    group: int,
    bandwidth: float,
) -> None:
    setup = SwapSetup(host, 1000.0, 2000.0, 4, bandwidth, 1e-5, group, asynchronous, reuse)

    def run(fast_forward: bool) -> tuple[object, ...]:
        cluster, recorder = serve(
            source,
            timer=TIMERS[timer],
            policy=lambda: Checked(policy()),
            discipline=None if discipline is None else DISCIPLINES[discipline],
            blocks=blocks,
            block_tokens=2,
            max_num_seqs=seqs,
            max_num_batched_tokens=budget,
            prefix_caching=caching,
            fast_forward=fast_forward,
            swap=setup,
        )
        assert_conserved(cluster, recorder, source)
        assert_all_came_back(cluster)
        (each,) = copies(cluster)
        return (*outcome(recorder), each.counts.tokens, each.counts.calls, each.counts.stall)

    assert run(True) == run(False)


@settings(max_examples=60, deadline=None)
@given(
    source=crowded(),
    discipline=st.none() | st.sampled_from(sorted(DISCIPLINES)),
    policy=st.sampled_from(POLICIES),
    asynchronous=st.booleans(),
)
def test_lanes_of_a_pipeline_share_host_memory(
    source: Rows, discipline: str | None, policy: Callable[[], BatchingPolicy], asynchronous: bool
) -> None:
    cluster, recorder = serve(
        source,
        timer=timer_of(tiny_model(), parallel=Parallelism(pipeline=2)),
        policy=policy,
        discipline=None if discipline is None else DISCIPLINES[discipline],
        blocks=55,
        swap=replace(SETUP, asynchronous=asynchronous, reuse=True),
    )
    assert_conserved(cluster, recorder, source)
    assert_all_came_back(cluster)


@settings(max_examples=60, deadline=None)
@given(source=crowded(), asynchronous=st.booleans(), prefill_blocks=st.integers(25, 60))
def test_both_pools_of_a_disaggregated_deployment_swap(source: Rows, asynchronous: bool, prefill_blocks: int) -> None:
    cluster, recorder = serve(
        source,
        timer=TIMERS["full"],
        blocks=40,
        prefill_replicas=1,
        prefill_blocks=prefill_blocks,
        swap=replace(SETUP, asynchronous=asynchronous, reuse=True, bandwidth=1e8, call_latency=1e-6),
    )
    assert_conserved(cluster, recorder, source)
    assert_all_came_back(cluster)


def urgent_later(swap: SwapSetup | None, **options: object) -> tuple[Cluster, np.ndarray, np.ndarray]:
    """One long request, and at 0.095 s an urgent one, which fills the cache. First tokens and ends, by request."""
    source = rows([0.0, 0.095], [16, 60], [40, 3], priorities=[1, 0])
    cluster, recorder = serve(
        source,
        timer=FixedTimer(STEP),
        discipline=Priority,
        blocks=16,
        max_num_batched_tokens=64,
        prefix_caching=False,
        swap=swap,
        **options,  # type: ignore[arg-type]
    )
    assert_conserved(cluster, recorder, source)
    columns = recorder.requests()
    order = np.argsort(columns["index"])
    return cluster, columns["first_token_s"][order], columns["finish_s"][order]


def test_synchronous_copies_stop_the_engine_for_bytes_and_calls() -> None:
    """At the step's end at 0.10 s the first holds 16 + 9 tokens, 7 blocks of 4: 7 ms of bytes, 28 calls of 0.1 ms."""
    stall = 7 * 1000 / 1e6 + 7 * 4 * 1e-4
    cluster, first, finish = urgent_later(SETUP)
    (each,) = copies(cluster)
    assert each.counts.tokens == [25, 25]
    assert each.counts.calls == [28, 28]
    assert each.counts.stall == pytest.approx(2 * stall)
    assert first[1] == pytest.approx(0.10 + stall + STEP)
    assert finish[1] == pytest.approx(0.10 + stall + 3 * STEP)
    # The other 30 tokens follow once it is back; nothing is computed again.
    assert finish[0] == pytest.approx(finish[1] + stall + 30 * STEP)


def test_grouped_blocks_save_calls_alone() -> None:
    """Groups of 4 make two calls of seven blocks, for each tensor."""
    cluster, first, _ = urgent_later(replace(SETUP, group_blocks=4))
    (each,) = copies(cluster)
    assert each.counts.calls == [8, 8]
    assert first[1] == pytest.approx(0.10 + 7e-3 + 8e-4 + STEP)


def test_asynchronous_copies_hold_up_only_who_needs_their_blocks() -> None:
    """The urgent one needs the blocks that are leaving and is admitted when they have left; nothing is stalled."""
    copy = 7e-3 + 28e-4
    cluster, first, finish = urgent_later(replace(SETUP, asynchronous=True))
    (each,) = copies(cluster)
    assert each.counts.stall == 0.0
    assert first[1] == pytest.approx(0.10 + copy + STEP)
    assert finish[0] == pytest.approx(finish[1] + copy + 30 * STEP)


def test_others_run_on_beside_asynchronous_copies() -> None:
    """Two that run keep their pace while a third is copied out, and by twice as much as when the copy stops them."""

    def last_of_others(asynchronous: bool) -> float:
        source = rows([0.0, 0.0, 0.001, 0.095], [8, 8, 8, 4], [40, 40, 40, 3], priorities=[0, 0, 2, 1])
        _, recorder = serve(
            source,
            timer=FixedTimer(STEP),
            discipline=Priority,
            max_num_seqs=3,
            prefix_caching=False,
            swap=replace(SETUP, asynchronous=asynchronous),
        )
        columns = recorder.requests()
        return float(columns["finish_s"][columns["index"] == 0][0])

    moved = -(-(8 + 8) // 4) * (1e-3 + 4e-4)
    assert last_of_others(asynchronous=True) == pytest.approx(40 * STEP)
    assert last_of_others(asynchronous=False) == pytest.approx(40 * STEP + 2 * moved, abs=2e-3)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_blocks_that_are_leaving_cost_nobody_else_its_place(asynchronous: bool) -> None:
    """While one victim's blocks are on their way, for some steps, the urgent request preempts no other."""
    source = rows([0.0, 0.0, 0.0, 0.095], [16, 16, 16, 16], [13, 13, 13, 3], priorities=[1, 1, 1, 0])
    _, recorder = serve(
        source,
        timer=FixedTimer(STEP),
        discipline=Priority,
        blocks=24,
        max_num_batched_tokens=64,
        prefix_caching=False,
        swap=replace(SETUP, bandwidth=3e5, asynchronous=asynchronous),
    )
    columns = recorder.requests()
    started = columns["first_token_s"][columns["index"] == 3]
    assert started == pytest.approx(0.1 + 7 * (1e3 / 3e5 + 4e-4) + STEP, abs=STEP)
    assert columns["preemptions"].sum() == 1


def test_a_sequence_comes_back_only_when_all_of_it_has_left() -> None:
    kv = PagedKVCache(blocks=10, block_tokens=4, prefix_caching=False)
    swapping = Swapping(kv, SwapSpace(10, 4), asynchronous=True)
    sequence = Sequence(0, 0.0, 16, 5)
    assert kv.admit(sequence, 16)
    sequence.computed = 16
    assert swapping.swap_out(sequence)
    assert (kv.free, swapping.leaving_blocks) == (6, 4)
    assert not swapping.bring_back(sequence, 0, ())
    swapping.left(sequence)
    assert (kv.free, swapping.leaving_blocks) == (10, 0)
    # The fifth block is that of the next token, which has to fit beside what others need.
    assert not swapping.bring_back(sequence, 6, ())
    assert swapping.bring_back(sequence, 5, ())
    assert (kv.free, sequence.blocks, sequence.computed) == (6, 4, 16)


class GivesUpOnce:
    """As `VllmV1`, but stops all that runs at its fourth decision, as policies do with prompts that are stuck."""

    def __init__(self) -> None:
        self.inner = VllmV1()
        self.decisions = 0

    def next_batch(self, state: ServingState) -> Batch:
        self.decisions += 1
        if self.decisions != 4:
            return self.inner.next_batch(state)
        while (running := state.newest()) is not None:
            state.preempt(running)
        return Batch()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_engine_that_has_given_up_all_resumes_by_itself(asynchronous: bool) -> None:
    source = rows([0.0, 0.0], [20, 20], [5, 5])
    setup = replace(SETUP, asynchronous=asynchronous)
    cluster, recorder = serve(
        source, timer=FixedTimer(STEP), policy=GivesUpOnce, blocks=40, max_num_batched_tokens=16, swap=setup
    )
    assert_conserved(cluster, recorder, source)
    assert_all_came_back(cluster)
    assert copies(cluster)[0].counts.sequences[1] == 2


def test_without_room_in_host_memory_sequences_are_recomputed() -> None:
    """Six blocks of host memory do not take seven: the same times as without swapping."""
    cluster, first, finish = urgent_later(replace(SETUP, blocks=6))
    _, plain_first, plain_finish = urgent_later(None)
    assert np.array_equal(first, plain_first)
    assert np.array_equal(finish, plain_finish)
    (each,) = copies(cluster)
    assert each.swapping.refused == 1
    assert each.counts.blocks == [0, 0]


@settings(max_examples=100, deadline=None)
@given(source=crowded(), policy=st.sampled_from(POLICIES), blocks=st.integers(25, 60), asynchronous=st.booleans())
def test_nothing_is_computed_twice(
    source: Rows, policy: Callable[[], BatchingPolicy], blocks: int, asynchronous: bool
) -> None:
    """With room for all, prompt tokens computed are those of the prompts, however often sequences are preempted."""
    cluster, recorder = serve(
        source,
        timer=TIMERS["full"],
        policy=policy,
        discipline=DISCIPLINES["mlfq"],
        blocks=blocks,
        prefix_caching=False,
        swap=replace(SETUP, asynchronous=asynchronous),
    )
    served = recorder.requests()
    assert recorder.iterations()["prefill_tokens"].sum() == served["prompt_tokens"].sum()
    (each,) = copies(cluster)
    assert each.counts.tokens[0] == each.counts.tokens[1]


@settings(max_examples=60, deadline=None)
@given(source=crowded(), policy=st.sampled_from(POLICIES), blocks=st.integers(25, 60))
def test_kept_copies_change_no_time_where_copies_cost_nothing(
    source: Rows, policy: Callable[[], BatchingPolicy], blocks: int
) -> None:
    """Then they only save bytes on the way out: each block is written to host memory once more at most."""
    free = replace(SETUP, bandwidth=1e300, call_latency=0.0)

    def run(reuse: bool) -> tuple[tuple[object, ...], SwapCopies]:
        cluster, recorder = serve(
            source,
            timer=TIMERS["full"],
            policy=policy,
            discipline=DISCIPLINES["mlfq"],
            blocks=blocks,
            prefix_caching=False,
            swap=replace(free, reuse=reuse),
        )
        return outcome(recorder), copies(cluster)[0]

    (plain, every), (kept, some) = run(reuse=False), run(reuse=True)
    assert plain == kept
    assert some.counts.blocks[0] <= every.counts.blocks[0]
    assert some.counts.blocks[1] == every.counts.blocks[1]
    written = sum(p + o for p, o in zip(source.requests.prompt_tokens, source.requests.output_tokens, strict=True))
    assert some.counts.tokens[0] <= written + every.counts.sequences[0] * (4 - 1)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["out", "back", "end"]), st.integers(1, 9)), max_size=40),
    st.integers(1, 30),
    st.booleans(),
)
def test_host_memory_against_a_plain_account(events: list[tuple[int, str, int]], capacity: int, reuse: bool) -> None:
    """Room is what the copies take, never more than there is, and a refusal means that those out fill it."""
    space = SwapSpace(capacity, 4, reuse=reuse)
    sequences = [Sequence(i, 0.0, 1000, 1000) for i in range(5)]
    out: dict[int, int] = {}
    for number, what, more in events:
        sequence = sequences[number]
        if what == "out" and number not in out:
            sequence.computed += more
            moved = space.store(sequence)
            wanted = -(-sequence.computed // 4)
            fits = sum(out.values()) + wanted <= capacity
            assert (moved is not None) == fits
            if moved is None:
                sequence.computed = 0
            else:
                out[number] = wanted
                assert -(-more // 4) <= moved <= wanted
                assert reuse or moved == wanted
        elif what == "back" and number in out:
            del out[number]
            space.returned(sequence)
        elif what == "end" and number not in out:
            sequence.computed = 0
            space.forget(sequence)
        assert sum(out.values()) <= space.used <= capacity
        assert reuse or space.used == sum(out.values())
    for sequence in sequences:
        space.forget(sequence)
    assert space.used == 0


def test_a_running_sequence_waits_for_blocks_that_are_leaving() -> None:
    """Nothing else can give way, so the first to run out of blocks stands still until the other's have left.

    16 blocks of 4 hold both until each has 32 tokens, at the end of 1 + 16 steps; 8 blocks leave in 11.2 ms.
    """
    source = rows([0.0, 0.0], [16, 16], [30, 30])
    copy = 8 * (1e-3 + 4e-4)
    for asynchronous in (False, True):
        cluster, recorder = serve(
            source,
            timer=FixedTimer(STEP),
            blocks=16,
            prefix_caching=False,
            swap=replace(SETUP, asynchronous=asynchronous),
        )
        columns = recorder.requests()
        ends = columns["finish_s"][np.argsort(columns["index"])]
        assert ends[0] == pytest.approx(30 * STEP + copy)
        assert ends[1] == pytest.approx(ends[0] + copy + 13 * STEP)
        assert copies(cluster)[0].counts.stall == pytest.approx(copy if asynchronous else 2 * copy)


def test_the_default_batching_policy_swaps_for_lack_of_blocks() -> None:
    """Two that grow into each other's room: the later one goes out and comes back, without any discipline."""
    source = rows([0.0, 0.0], [16, 16], [30, 30])
    cluster, recorder = serve(
        source, timer=FixedTimer(STEP), policy=VllmV1, blocks=16, prefix_caching=False, swap=SETUP
    )
    assert_conserved(cluster, recorder, source)
    (each,) = copies(cluster)
    assert each.counts.sequences == [1, 1]
    assert each.counts.tokens[0] == each.counts.tokens[1] == 32
