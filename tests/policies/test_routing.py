"""What each router decides, by hand-worked cases and by known laws of load balancing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.recorder import Recorder
from simulator.errors import InputError
from simulator.policies.registry import POLICIES, build_policy
from simulator.policies.routing import (
    KVUtilisation,
    LeastOutstanding,
    PowerOfTwo,
    PredictedCost,
    PrefixAffinity,
    PriorityClasses,
    Random,
    RoundRobin,
    Router,
    SessionAffinity,
    ShortestQueue,
    Weighted,
)
from simulator.policies.sequence import Sequence
from tests.builders import FixedTimer, rows, serve, timer_of, tiny_model
from tests.policies.views import View

VIEWS = st.lists(
    st.builds(
        View,
        outstanding=st.integers(0, 9),
        queued=st.integers(0, 9),
        decoding=st.integers(0, 9),
        prompt_backlog=st.integers(0, 99),
        kv_utilisation=st.integers(0, 8).map(lambda n: n / 8),
        cached=st.integers(0, 4).map(lambda n: 16 * n),
    ),
    min_size=1,
    max_size=6,
).map(lambda views: [replace(v, number=i) for i, v in enumerate(views)])


def request(index: int = 0, *, prompt: int = 100, output: int = 20, session: int = -1) -> Sequence:
    return Sequence(index, 0.0, prompt, output, session=session)


def longest_queue(router: Router, *, servers: int = 50, load: float = 0.9, count: int = 8_000) -> int:
    """The most requests that an arrival found at its server: Poisson arrivals, geometric service times."""
    rng = np.random.default_rng(3)
    mean = 20
    arrivals = np.cumsum(rng.exponential(mean * 0.1 / load / servers, count))
    source = rows(arrivals.tolist(), [4] * count, rng.geometric(1 / mean, count).tolist())

    class Watched:
        longest = 0

        def choose(self, sequence: Sequence, replicas: list[View]) -> int:
            chosen = router.choose(sequence, replicas)
            self.longest = max(self.longest, replicas[chosen].outstanding + 1)
            return chosen

    watched = Watched()
    serve(source, timer=FixedTimer(0.1), max_num_seqs=1, replicas=servers, router=watched)  # type: ignore[arg-type]
    return watched.longest


def test_two_choices_keep_the_longest_queue_short() -> None:
    """At load 0.9, P(queue >= k) is 0.9^k for a random choice and 0.9^(2^k - 1) for two (Mitzenmacher 2001)."""
    random = longest_queue(Random(rng=np.random.default_rng(4)))
    two = longest_queue(PowerOfTwo(rng=np.random.default_rng(4)))
    rare = 1e-6  # fewer than one arrival of all in expectation
    bound = math.log2(1 + math.log(rare) / math.log(0.9))
    assert two <= bound + 2
    assert random >= 3 * two


@given(VIEWS, st.integers(0, 99))
def test_two_choices_never_take_the_only_longest(views: list[View], seed: int) -> None:
    loads = [v.outstanding for v in views]
    chosen = PowerOfTwo(rng=np.random.default_rng(seed)).choose(request(), views)
    if len(views) > 1 and loads.count(max(loads)) == 1:
        assert loads[chosen] < max(loads)


@given(VIEWS)
def test_weighted_with_one_weight_is_that_scorer(views: list[View]) -> None:
    def weighted(**weights: float) -> int:
        none = {"prefix": 0.0, "queue": 0.0, "kv_utilisation": 0.0, "outstanding": 0.0}
        return Weighted(**(none | weights)).choose(request(), views)

    assert weighted(kv_utilisation=1.0) == KVUtilisation().choose(request(), views)
    assert weighted(outstanding=1.0) == LeastOutstanding().choose(request(), views)
    affinity = PrefixAffinity(threshold=0.0)
    assert weighted(prefix=1.0) == affinity.choose(request(), views)
    assert views[weighted(queue=1.0)].queued == min(v.queued for v in views)
    assert weighted() == LeastOutstanding().choose(request(), views)


def test_weighted_trades_one_score_for_another() -> None:
    """A cached half of the prompt is worth 1.5, a cache that is fuller by 0.8 costs 1.6 under default weights."""
    views = [View(0, cached=50, kv_utilisation=0.8), View(1)]
    assert Weighted().choose(request(), views) == 1
    assert Weighted(prefix=4.0).choose(request(), views) == 0


def test_prefix_affinity_gives_way_to_load() -> None:
    views = [View(0, outstanding=40, cached=64), View(1, outstanding=30, cached=64), View(2, outstanding=2)]
    assert PrefixAffinity().choose(request(), views) == 1
    assert PrefixAffinity(threshold=0.7).choose(request(), views) == 2
    assert PrefixAffinity(balance_requests=20).choose(request(), views) == 2
    assert PrefixAffinity(balance_requests=20, balance_ratio=50.0).choose(request(), views) == 1


def hit_rate(router: Router) -> tuple[float, Recorder]:
    """Shared prefixes of 8 groups of requests, more than one replica's cache keeps."""
    rng = np.random.default_rng(5)
    count, groups = 300, rng.integers(0, 8, 300).tolist()
    hashes = [[1000 * g + i for i in range(20)] + [10_000_000 + 10 * n] for n, g in enumerate(groups)]
    source = rows(np.cumsum(rng.exponential(0.01, count)).tolist(), [86] * count, [8] * count, hashes=hashes)
    cluster, recorder = serve(
        source, timer=timer_of(tiny_model()), blocks=90, replicas=4, router=router, max_num_batched_tokens=128
    )
    states = [lane.state for r in cluster.replicas for lane in r.lanes]
    return sum(s.hit_tokens for s in states) / sum(s.lookup_tokens for s in states), recorder


def test_affinity_raises_the_hit_rate() -> None:
    blind, _ = hit_rate(RoundRobin())
    affine, _ = hit_rate(PrefixAffinity())
    weighted, _ = hit_rate(Weighted())
    assert affine > blind + 0.2
    assert weighted > blind + 0.2


@given(st.sets(st.integers(0, 30), min_size=2, max_size=8), st.integers(0, 50))
def test_a_lost_replica_moves_only_its_own_sessions(numbers: set[int], seed: int) -> None:
    before = [View(n) for n in sorted(numbers)]
    gone = before[seed % len(before)]
    after = [v for v in before if v is not gone]
    earlier, later = SessionAffinity(points=20), SessionAffinity(points=20)
    for session in range(40):
        first = before[earlier.choose(request(session=session), before)]
        second = after[later.choose(request(session=session), after)]
        assert first is gone or second is first


def test_sessions_spread_evenly() -> None:
    views, router = [View(n) for n in range(8)], SessionAffinity()
    places = [router.choose(request(session=s), views) for s in range(4000)]
    counts = np.bincount(places, minlength=8)
    assert counts.min() > 300 and counts.max() < 800


def test_predicted_cost_by_hand() -> None:
    """Prompt 100 (40 cached at B), output 20: A 100 + 100 x 3 = 400, B 50 + 60 + 60 x 4 = 350, C 400."""
    views = [View(0, decoding=3), View(1, decoding=4, prompt_backlog=50, cached=40), View(2, prompt_backlog=300)]
    router = PredictedCost(rng=np.random.default_rng(0), error=0.0)
    assert router.choose(request(0), views) == 1
    # B now has one request of 20 steps: 2 x 20 more delay there, 390; with two of them 430, more than A's 400.
    views[1].outstanding = 1
    assert router.choose(request(1), views) == 1
    views[1].outstanding = 2
    assert router.choose(request(2), views) == 0


def test_predicted_cost_forgets_what_has_finished_and_keeps_its_prediction() -> None:
    views = [View(0), View(1)]
    router = PredictedCost(rng=np.random.default_rng(0), error=1.0)
    one = request(0)
    router.choose(one, views)
    before = dict(router._predicted)
    router.choose(one, views[1:])
    assert router._predicted[one] == (1, before[one][1])
    router.finished(one)
    assert not router._predicted and all(abs(v) < 1e-12 for v in router._expected.values())


def test_predicted_cost_beats_round_robin_on_mixed_lengths() -> None:
    """Long prompts and long outputs, told apart before they run, delay each other less."""
    rng = np.random.default_rng(8)
    count = 400
    prompts = np.where(rng.random(count) < 0.2, 200, 8)
    outputs = np.where(rng.random(count) < 0.3, 120, 10)
    source = rows(np.cumsum(rng.exponential(0.004, count)).tolist(), prompts.tolist(), outputs.tolist())

    def mean_latency(router: Router) -> float:
        _, recorder = serve(source, timer=timer_of(tiny_model()), replicas=4, router=router, max_num_batched_tokens=64)
        c = recorder.requests()
        return float((c["finish_s"] - c["arrival_s"]).mean())

    assert mean_latency(PredictedCost(rng=np.random.default_rng(0))) < mean_latency(RoundRobin())


@given(VIEWS, st.sampled_from(sorted(POLICIES["router"])))
def test_every_router_answers_for_any_fleet(views: list[View], name: str) -> None:
    router = build_policy("router", name, {}, rng=np.random.default_rng(0))
    for index in range(5):
        fleet = views[: 1 + index % len(views)]
        assert 0 <= router.choose(request(index, session=index), fleet) < len(fleet)


@pytest.mark.parametrize(
    ("name", "options"),
    [("weighted", {"prefix": -1}), ("session-affinity", {"points": 0}), ("predicted-cost", {"error": -1})],
)
def test_impossible_options_are_named(name: str, options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        build_policy("router", name, options, rng=np.random.default_rng(0))


def test_shortest_queue_counts_tokens() -> None:
    assert ShortestQueue().choose(request(), [View(0, prompt_backlog=9), View(1, 5, prompt_backlog=3)]) == 1


@given(VIEWS, st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 3))
def test_priority_classes_keep_apart_where_both_have_servers(views: list[View], share: float, priority: int) -> None:
    """The least loaded of the class's own servers; a share is spread evenly, whatever the number of servers."""
    low = [i for i in range(len(views)) if int((i + 1) * share) > int(i * share)]
    assert len(low) == int(len(views) * share)
    own = low if priority else [i for i in range(len(views)) if i not in low]
    sequence = Sequence(0, 0.0, 10, 10, priority=priority)
    chosen = PriorityClasses(low_priority=share).choose(sequence, views)
    assert chosen in (own or range(len(views)))
    assert views[chosen].outstanding == min(views[i].outstanding for i in own or range(len(views)))


def test_priority_classes_take_lists_of_replicas_and_refuse_shares_above_one() -> None:
    views = [View(number=n) for n in range(3)]
    router = PriorityClasses(low_priority=[2], low_from=5)
    assert router.choose(Sequence(0, 0.0, 10, 10, priority=5), views) == 2
    assert router.choose(Sequence(1, 0.0, 10, 10, priority=4), views) == 0
    with pytest.raises(InputError, match=r"low_priority is 1\.5"):
        build_policy("router", "priority-classes", {"low_priority": 1.5})
