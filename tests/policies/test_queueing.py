"""What each queue discipline does, by hand-worked cases and by the guarantees of its paper."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.policies.batching import VllmV1
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.queueing import (
    Discipline,
    DisciplinedQueue,
    EarliestDeadlineFirst,
    PrefixGroups,
    Priority,
    ShortestRemainingFirst,
    SkipJoinFeedback,
    VirtualTokenCounter,
)
from simulator.policies.queueing.prediction import Bucketed, Exact, Noisy
from simulator.policies.registry import build_policy
from simulator.policies.sequence import Sequence
from tests.builders import FixedTimer, rows, serve

STEP = 0.01


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def drained(queue: DisciplinedQueue, now: float = 0.0) -> list[int]:
    queue.settle(now)
    return [queue.popleft().index for _ in range(len(queue))]


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 10)), min_size=1, max_size=30))
def test_queue_gives_back_everything_in_order(items: list[tuple[int, float]]) -> None:
    queue = DisciplinedQueue(Priority())
    for i, (priority, arrival) in enumerate(items):
        queue.append(Sequence(i, arrival, 1, 1, priority=priority))
    queue.settle(0.0)
    listed = [s.index for s in queue.in_order()]
    assert len(queue) == len(list(queue)) == len(items)
    taken = drained(queue)
    assert taken == listed
    assert sorted(taken) == list(range(len(items)))
    places = [(*items[i], i) for i in taken]
    assert places == sorted(places)


def test_larger_numbers_may_go_first() -> None:
    queue = DisciplinedQueue(Priority(larger_first=True))
    for i, priority in enumerate([1, 3, 2]):
        queue.append(Sequence(i, 0.0, 1, 1, priority=priority))
    assert drained(queue) == [1, 2, 0]


def test_a_better_class_takes_the_place_of_a_worse_one() -> None:
    """One place: the urgent request runs at the end of the step, the other goes on where it stopped."""
    source = rows([0.0, 0.055], [4, 4], [20, 5], priorities=[1, 0])
    _, recorder = serve(source, timer=FixedTimer(STEP), discipline=Priority, max_num_seqs=1)
    c = recorder.requests()
    assert c["preemptions"].tolist() == [1, 0]
    assert c["scheduled_s"][1] == pytest.approx(0.06)
    assert c["finish_s"] == pytest.approx([0.25, 0.11])


def test_a_worse_class_gives_way_when_blocks_run_out() -> None:
    """Non-preemptive classes differ in who is preempted for want of blocks, as in vLLM."""
    source = rows([0.0, 0.005], [16, 16], [24, 24], priorities=[1, 0])

    def preempted(discipline: Callable[[], Discipline] | None) -> list[float]:
        _, recorder = serve(source, timer=FixedTimer(STEP), discipline=discipline, blocks=16, block_tokens=4)
        return recorder.requests()["preemptions"].tolist()

    assert preempted(None) == [0, 1]
    assert preempted(lambda: Priority(preemptive=False)) == [1, 0]


def test_committed_sequences_are_left_alone() -> None:
    source = rows([0.0, 0.105], [4, 4], [20, 5])

    def preemptions(share: float) -> float:
        discipline = lambda: ShortestRemainingFirst(commit_after=share, rng=rng())  # noqa: E731
        _, recorder = serve(source, timer=FixedTimer(STEP), discipline=discipline, max_num_seqs=1)
        return float(recorder.requests()["preemptions"].sum())

    assert preemptions(1.0) == 1
    assert preemptions(0.5) == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    tenants=st.integers(2, 4),
    seqs=st.integers(1, 8),
    blocks=st.integers(40, 200),
)
def test_backlogged_tenants_are_served_alike(seed: int, tenants: int, seqs: int, blocks: int) -> None:
    """Theorem 4.4 of VTC: over any interval in which two tenants always wait, their service differs by 2U at most."""
    draws = np.random.default_rng(seed)
    count = 120
    prompts, outputs = draws.integers(1, 40, count), draws.integers(1, 30, count)
    tenant = draws.choice(tenants, count, p=draws.dirichlet(np.ones(tenants) * 4))
    given = dict.fromkeys(range(tenants), 0)
    history: list[tuple[set[int], dict[int, int]]] = []

    class Watched(VirtualTokenCounter):
        """The discipline, with each tenant's service written down at every decision."""

        def taken(self, sequence: Sequence) -> None:
            super().taken(sequence)
            if not sequence.preemptions:
                given[sequence.tenant] += sequence.prompt_tokens

        def served(self, sequence: Sequence, prompt_tokens: int, output_tokens: int) -> None:
            super().served(sequence, prompt_tokens, output_tokens)
            given[sequence.tenant] += 2 * output_tokens
            history.append(({t for t, n in self._waiting.items() if n}, dict(given)))

    source = rows([0.0] * count, prompts.tolist(), outputs.tolist(), tenants=tenant.tolist())
    serve(
        source,
        timer=FixedTimer(STEP),
        discipline=Watched,
        blocks=blocks,
        max_num_seqs=seqs,
        prefix_caching=False,
    )
    total = {t: int((prompts + 2 * outputs)[tenant == t].sum()) for t in range(tenants)}
    assert given == total
    bound = 2 * max(int(prompts.max()), 2 * blocks * 4)
    for f in range(tenants):
        for g in range(f):
            gaps = [s[f] - s[g] for waiting, s in history if {f, g} <= waiting]
            assert not gaps or max(gaps) - min(gaps) <= bound


def test_fairness_bound_is_not_met_in_order_of_arrival() -> None:
    """A tenant that sends ten times as much gets ten times as much in arrival order, and half under fair queueing."""

    def share(discipline: Callable[[], Discipline] | None) -> float:
        tenant = [0] * 100 + [1] * 100
        arrivals = [0.001 * i for i in range(100)] + [0.01 * i for i in range(100)]
        order = np.argsort(arrivals, kind="stable")
        source = rows(
            np.array(arrivals)[order].tolist(), [4] * 200, [10] * 200, tenants=np.array(tenant)[order].tolist()
        )
        _, recorder = serve(source, timer=FixedTimer(STEP), discipline=discipline, max_num_seqs=2)
        c = recorder.requests()
        early = c["finish_s"] < 2.0
        return float(np.array(tenant)[order][early].mean())

    assert share(VirtualTokenCounter) == pytest.approx(0.5, abs=0.05)
    assert share(None) < 0.2


def test_an_idle_tenant_earns_no_credit() -> None:
    """A counter is lifted to the least of those waiting when its tenant comes back."""
    fair = VirtualTokenCounter()
    first, second = Sequence(0, 0.0, 100, 1, tenant=0), Sequence(1, 0.0, 50, 1, tenant=0)
    for s in (first, second):
        fair.queued(s, 0.0)
    fair.taken(first)
    assert fair.counters[0] == 100
    fair.queued(Sequence(2, 1.0, 10, 1, tenant=1), 1.0)
    assert fair.counters[1] == 100


def test_fair_queue_says_how_long_its_head_stays() -> None:
    """Tenant 0 is 20 behind and gains 2 * (3 - 1) a step: it is level after 5 steps."""
    fair = VirtualTokenCounter()
    fair.counters.update({0: 100, 1: 120})
    decoding = [Sequence(i, 0.0, 1, 99, tenant=t) for i, t in enumerate([0, 0, 0, 1])]
    head = Sequence(9, 0.0, 1, 1, tenant=0)
    assert fair.holds(head, [0, 1], decoding) == 5
    assert fair.holds(head, [0], decoding) > 10**9
    assert fair.holds(head, [0, 1], decoding[2:]) > 10**9


def test_feedback_levels_are_those_of_the_service_received() -> None:
    """Quanta of 4, 8, 16 steps: demoted after 4 and after 12; a long prompt skips to the level that pays for it."""
    levels = SkipJoinFeedback(levels=3, quantum=4, prompt_tokens_per_step=10)
    short, long = Sequence(0, 0.0, 1, 100), Sequence(1, 0.0, 75, 100)
    levels.queued(short, 0.0)
    levels.queued(long, 0.0)
    assert levels.key(short, 0.0) == (0,)
    assert levels.key(long, 0.0) == (1,)
    seen = []
    for _ in range(14):
        assert levels.holds(long, [None], [short]) >= 1
        levels.served(short, 0, 1)
        seen.append(int(levels.key(short, 0.0)[0]))
    assert seen == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12))
def test_feedback_does_not_depend_on_how_service_is_reported(parts: list[int]) -> None:
    lumps, steps = SkipJoinFeedback(quantum=3), SkipJoinFeedback(quantum=3)
    a, b = Sequence(0, 0.0, 40, 10_000), Sequence(0, 0.0, 40, 10_000)
    lumps.queued(a, 0.0)
    steps.queued(b, 0.0)
    for part in parts:
        lumps.served(a, 0, part)
        for _ in range(part):
            steps.served(b, 0, 1)
        assert lumps.key(a, 0.0) == steps.key(b, 0.0)


def test_feedback_lets_newcomers_pass_and_starvation_ends_it() -> None:
    """Short jobs keep coming; a long one is resumed at once when it has waited `starve_s`."""
    arrivals = [0.0, *(0.1 + 0.045 * i for i in range(40))]
    source = rows(arrivals, [4] * 41, [50] + [5] * 40)

    def finish(starve_s: float) -> float:
        discipline = lambda: SkipJoinFeedback(quantum=5, starve_s=starve_s)  # noqa: E731
        _, recorder = serve(source, timer=FixedTimer(STEP), discipline=discipline, max_num_seqs=1)
        return float(recorder.requests()["finish_s"][0])

    last = 0.05 * 40 + 0.5
    assert finish(0.0) == pytest.approx(last)
    assert finish(0.05) < 1.5


def test_feedback_does_not_charge_what_is_computed_again() -> None:
    """After it has risen for having waited, 40 tokens of prompt and answer are computed anew at level 0."""
    levels = SkipJoinFeedback(levels=3, quantum=1, prompt_tokens_per_step=4, starve_s=1.0)
    sequence = Sequence(0, 0.0, 30, 100)
    levels.queued(sequence, 0.0)
    sequence.computed, sequence.generated = 30, 1
    levels.served(sequence, 30, 1)
    levels.queued(sequence, 5.0)
    assert list(levels.changed(6.0)) == [sequence]
    for sequence.computed in range(4, 40, 4):
        levels.served(sequence, 4, 0)
        assert levels.key(sequence, 6.0) == (0,)
    levels.served(sequence, 4, 1)
    assert levels.key(sequence, 6.0) == (1,)


def test_who_rises_for_having_waited_gets_a_token_before_it_falls() -> None:
    """One slot, prompts in chunks that cost a quantum each: 4 requests finish in far fewer decisions than allowed."""

    class Counted(VllmV1):
        decisions = 0

        def next_batch(self, state: ServingState) -> Batch:
            Counted.decisions += 1
            assert Counted.decisions < 20_000
            return super().next_batch(state)

    _, recorder = serve(
        rows([0.0] * 4, [40, 30, 35, 25], [20, 15, 10, 5]),
        timer=FixedTimer(1e-3),
        policy=lambda: Counted(long_prefill_token_threshold=5),
        discipline=lambda: SkipJoinFeedback(levels=4, quantum=1, prompt_tokens_per_step=4, starve_s=0.003),
        max_num_seqs=1,
    )
    assert recorder.finished == 4


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0.0, 1.0)), min_size=2, max_size=6),
)
def test_earliest_deadline_first_minimises_the_largest_lateness(jobs: list[tuple[int, float]]) -> None:
    """Jackson's rule: of jobs that all wait at once, no order has a smaller largest lateness of their ends."""
    jobs = sorted(jobs, key=lambda job: job[1])
    outputs, arrivals = [200, *(n for n, _ in jobs)], [0.0, *(1e-3 + a for _, a in jobs)]
    source = rows(arrivals, [4] * len(arrivals), outputs)
    discipline = lambda: EarliestDeadlineFirst(ttft_ms=500.0, tpot_ms=0.0)  # noqa: E731
    _, recorder = serve(source, timer=FixedTimer(STEP), discipline=discipline, max_num_seqs=1)
    finish = recorder.requests()["finish_s"][1:]
    due = np.array(arrivals[1:]) + 0.5
    best = min(
        (2.0 + STEP * np.cumsum(np.array(outputs[1:])[list(p)]) - due[list(p)]).max()
        for p in permutations(range(len(jobs)))
    )
    assert (finish - due).max() <= best + 1e-9


def test_late_ones_wait_behind_those_in_time() -> None:
    """Overloaded for a while, plain deadline order makes all late; late ones last keeps most in time."""
    count = 60
    source = rows([0.02 * i for i in range(count)], [4] * count, [4] * count)

    def met(late_last: bool) -> int:
        _, recorder = serve(
            source,
            timer=FixedTimer(STEP),
            discipline=lambda: EarliestDeadlineFirst(ttft_ms=100.0, late_last=late_last),
            max_num_seqs=1,
        )
        c = recorder.requests()
        return int((c["first_token_s"] - c["arrival_s"] <= 0.1).sum())

    assert met(False) <= 8
    assert met(True) >= count // 2 - 4


def test_slack_counts_the_prompt() -> None:
    """A long prompt must start earlier than a short one that is due a little before it."""
    early, long = Sequence(0, 0.0, 100, 1), Sequence(1, 0.1, 2000, 1)
    plain, slack = EarliestDeadlineFirst(ttft_ms=500), EarliestDeadlineFirst(ttft_ms=500, prompt_tokens_per_s=10_000)
    assert plain.key(early, 0.0) < plain.key(long, 0.0)
    assert slack.key(long, 0.0) < slack.key(early, 0.0)


def test_sharers_of_a_prefix_run_together() -> None:
    """Groups by the prefix that saves most: {0, 2, 4} share three blocks, {1, 3} one, 5 none; long outputs first."""
    chains = [[1, 2, 3, 10], [7, 20], [1, 2, 3, 11], [7, 21], [1, 2, 3], [30]]
    outputs = [5, 5, 9, 7, 2, 99]
    queue = DisciplinedQueue(PrefixGroups(rng=rng()))
    for i, (chain, output) in enumerate(zip(chains, outputs, strict=True)):
        queue.append(Sequence(i, 0.0, 16, output, extents=[(k, 1) for k in chain]))
    assert drained(queue) == [2, 0, 4, 3, 1, 5]


def test_grouping_finds_more_of_its_prefixes_cached() -> None:
    """In a cache for two prefixes, requests of eight prefixes in turn hit nothing by arrival, most when grouped."""
    count, groups = 64, 8
    hashes = [[1000 * (i % groups) + j for j in range(8)] for i in range(count)]
    source = rows([0.0] * count, [36] * count, [4] * count, hashes=hashes)

    def hit(discipline: Callable[[], Discipline] | None) -> float:
        cluster, _ = serve(source, timer=FixedTimer(STEP), discipline=discipline, blocks=22, max_num_seqs=2)
        state = cluster.replicas[0].lanes[0].state
        return state.hit_tokens / state.lookup_tokens

    assert hit(None) < 0.05
    assert hit(lambda: PrefixGroups(rng=rng())) > 0.6


def test_predictors_draw_once_a_request() -> None:
    """A prediction belongs to the request, whoever asks first; the noise is log-normal with median 1."""
    requests = [Sequence(i, 0.0, 10, 1000) for i in range(4000)]
    one, two = Noisy(sigma=0.5, rng=rng()), Noisy(sigma=0.5, rng=rng())
    forward = [one.predict(s) for s in requests]
    assert forward[:200] == [two.predict(s) for s in reversed(requests[:200])][::-1]
    logs = np.log(np.array(forward) / 1000)
    assert np.mean(logs) == pytest.approx(0.0, abs=0.03)
    assert np.std(logs) == pytest.approx(0.5, rel=0.05)
    assert {Exact().predict(s) for s in requests} == {1000}


def test_buckets_name_their_upper_edge() -> None:
    sure = Bucketed(edges=[10, 100], rng=rng())
    assert [sure.predict(Sequence(0, 0.0, 1, n)) for n in (1, 10, 11, 100, 101, 5000)] == [10, 10, 100, 100, 200, 200]
    unsure = Bucketed(edges=[10, 100, 1000], accuracy=0.8, rng=rng())
    right = np.mean([unsure.predict(Sequence(i, 0.0, 1, 50)) == 100 for i in range(4000)])
    assert right == pytest.approx(0.8, abs=0.02)


BAD: list[tuple[str, dict[str, object], str]] = [
    ("sjf", {"predictor": "exakt"}, "did you mean exact"),
    ("sjf", {"predictor": "noisy", "predictor_options": {"sigma": -1}}, "sigma is -1"),
    ("srpt", {"predictor": "bucketed", "predictor_options": {"edges": [5, 2]}}, "ascending"),
    ("priority", {"ageing_s": -1.0}, "ageing_s is -1.0"),
    ("mlfq", {"levels": 0}, "must be 1 or more"),
    ("vtc", {"output_weight": 0.5}, "whole number"),
    ("edf", {"ttft_ms": -1}, "ttft_ms and tpot_ms"),
    ("fair", {}, "unknown queue policy"),
]


@pytest.mark.parametrize(("name", "options", "message"), BAD)
def test_wrong_options_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_policy("queue", name, options, rng=rng(), objectives=None)
