"""Entangled pairs against closed forms."""

import numpy as np
import pytest

from simulator.engine.pipeline.services.entanglement import RepeaterChain
from tests.pipelines.running import covers, run


def drawn(chain, count=6000):
    rng = np.random.default_rng(3)
    return [chain.seconds(rng) for _ in range(count)]


def test_a_link_succeeds_after_a_geometric_number_of_attempts():
    """Mean t / p and variance t^2 (1 - p) / p^2, with m memories 1 - (1 - p)^m for p."""
    chain = RepeaterChain(1e-3, 0.02, memories=4)
    success = 1 - 0.98**4
    times = drawn(chain)
    assert covers(times, 1e-3 / success)
    assert np.var(times) == pytest.approx(1e-6 * (1 - success) / success**2, rel=0.1)


def test_two_links_wait_for_the_later_one_and_start_again_when_the_swap_fails():
    """E[max of two geometrics] = 2 / p - 1 / (2 p - p^2), over the probability of the swap (both start again)."""
    p = 0.05
    later = 2 / p - 1 / (2 * p - p * p)
    assert covers(drawn(RepeaterChain(1.0, p, links=2)), later)
    assert covers(drawn(RepeaterChain(1.0, p, links=2, swap=0.5)), later / 0.5)


def test_a_chain_with_perfect_swaps_waits_for_the_latest_of_its_links():
    p, n = 0.1, 5
    latest = sum(1 - (1 - (1 - p) ** k) ** n for k in range(2000))
    chain = RepeaterChain(1.0, p, links=n)
    assert covers(drawn(chain), latest)
    assert chain.mean() == pytest.approx(latest)


def test_a_pair_that_is_too_old_is_thrown_away():
    """Two links, kept for less than an attempt: both must succeed in the same round.

    A link that holds a pair sits the next round out. With b expected rounds when both try and s when one does,
    b = 1 + 2 p q s + q^2 b and s = 1 + p s + q b, so b = (1 + 2 p) / p^2.
    """
    p = 0.2
    assert covers(drawn(RepeaterChain(1.0, p, links=2, keeps=0.5)), (1 + 2 * p) / p**2)
    long = drawn(RepeaterChain(1.0, p, links=2, keeps=1e6))
    assert covers(long, 2 / p - 1 / (2 * p - p * p))


def test_word_of_a_swap_takes_its_time():
    assert drawn(RepeaterChain(1.0, 1.0, links=2, signal=0.25), 3) == [1.25] * 3


def test_requests_over_a_link_take_what_the_pairs_take():
    result = run(
        sources={"s": {"arrivals": {"process": "closed", "clients": 1}, "items": 4000, "to": "link"}},
        stages={"link": {"service": {"kind": "entanglement", "attempt_us": 100, "success": 0.05}}},
    )
    assert covers([v.served for v in result.outcome.visits], 1e-4 / 0.05)
