"""All-reduces among peers that come and go, against closed forms and the order of events."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.network.churn import Peers, all_reduce, run_operations
from simulator.engine.network.rings import best_ring, pace
from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.hardware.long_fat import Trace, constant, wandering


def peers(
    count: int, rate: float = 10.0, latency: float = 0.5, links: Mapping[tuple[int, int], Trace] | None = None,
    fails: Mapping[int, float] | None = None, joins: Mapping[int, float] | None = None,
) -> Peers:  # fmt: skip
    """Peers whose links all have one rate, but for those given."""
    every = {(a, b): constant(rate) for a in range(count) for b in range(count) if a != b}
    return Peers(every | dict(links or {}), np.full((count, count), latency), fails or {}, joins or {}, notice=2.0)


def test_without_failures_it_is_a_ring_all_reduce() -> None:
    """6 hops of 0.5 s, and 1.5 times 100 bytes at 10 bytes/s."""
    (attempt,) = all_reduce(100.0, range(4), peers(4))
    assert attempt.done
    assert attempt.end == pytest.approx(6 * 0.5 + 1.5 * 10.0)


def test_a_failure_in_the_middle_costs_what_was_done_and_the_rest_goes_on() -> None:
    """Gone at 5 s, known at 7 s; then three peers: 4 hops and 4 / 3 of the bytes."""
    first, second = all_reduce(100.0, range(4), peers(4, fails={2: 5.0}))
    assert not first.done and second.done
    assert (first.start, first.end) == (0.0, 7.0)
    assert sorted(second.ring) == [0, 1, 3]
    assert second.end == pytest.approx(7.0 + 4 * 0.5 + 4 / 3 * 10.0)


def test_a_failure_after_the_end_or_of_a_stranger_is_none() -> None:
    assert len(all_reduce(100.0, range(3), peers(4, fails={3: 1.0, 2: 1e6}))) == 1


def test_two_failures_take_three_attempts_and_one_left_is_refused() -> None:
    found = all_reduce(100.0, range(4), peers(4, fails={0: 1.0, 1: 8.0}))
    assert [a.done for a in found] == [False, False, True]
    with pytest.raises(InputError, match="two peers"):
        all_reduce(100.0, range(2), peers(2, fails={0: 1.0}))


def test_who_joins_waits_for_the_next_operation_and_fetches_the_state() -> None:
    """Asked at 1 s in the middle of the first: 50 bytes and 0.5 s for the state before the second."""
    first, second = run_operations(2, 100.0, 50.0, 0.0, peers(4, joins={3: 1.0}))
    assert sorted(first.attempts[0].ring) == [0, 1, 2]
    assert first.waited == 0.0
    assert sorted(second.attempts[0].ring) == [0, 1, 2, 3]
    assert second.waited == pytest.approx(0.5 + 5.0)
    assert second.attempts[0].start == pytest.approx(first.end + second.waited)


@settings(max_examples=30)
@given(st.dictionaries(st.integers(0, 3), st.floats(0.0, 80.0), max_size=2), st.integers(0, 3))
def test_attempts_follow_each_other_and_only_the_last_is_done(fails: dict[int, float], seed: int) -> None:
    links = {
        (a, b): wandering(10.0, 0.3, rng=stream(seed, f"{a}/{b}"), every=1.0) for a, b in permutations(range(4), 2)
    }
    attempts = all_reduce(100.0, range(4), peers(4, links=links, fails=fails))
    assert [a.done for a in attempts] == [False] * (len(attempts) - 1) + [True]
    for before, after in pairwise(attempts):
        assert after.start == before.end
        assert set(after.ring) < set(before.ring)
    assert not [m for m in attempts[-1].ring if fails.get(m, np.inf) < attempts[-1].end]


@settings(max_examples=40)
@given(st.integers(2, 6), st.integers(0, 10_000))
def test_small_rings_are_the_best_of_all(count: int, seed: int) -> None:
    rates = np.random.default_rng(seed).uniform(1.0, 100.0, (count, count))
    found = best_ring(range(count), rates)
    assert sorted(found) == list(range(count))
    assert pace(found, rates) == max(pace(order, rates) for order in permutations(range(count)))


def test_large_rings_avoid_a_slow_site() -> None:
    """A ring of twelve in which only one order of fast links goes round is found again after a shuffle."""
    order = np.random.default_rng(3).permutation(12)
    rates = np.full((12, 12), 1.0)
    for a, b in zip(order, np.roll(order, -1), strict=True):
        rates[a, b] = 50.0
    assert pace(best_ring(range(12), rates), rates) == 50.0
