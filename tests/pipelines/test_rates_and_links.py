"""Rates that vary, links that lose, and what they add up to."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.pipeline.rates import gilbert_elliott, trace
from simulator.engine.pipeline.services.transfer import Loss
from tests.pipelines.running import covers, run

SECONDS = st.lists(st.floats(0.1, 5.0), min_size=3, max_size=3)
RATES = st.lists(st.sampled_from([0.0, 1.0, 2.5, 10.0]), min_size=3, max_size=3).filter(any)


@given(SECONDS, RATES, st.floats(0, 20), st.floats(0.01, 50))
def test_finish_is_when_the_work_is_done(seconds, rates, start, work):
    rate = trace(seconds, rates)
    end = rate.finish(start, work)
    assert end >= start
    assert rate.work(start, end) == pytest.approx(work, rel=1e-9, abs=1e-9)
    edges = np.concatenate([[0.0], np.cumsum(seconds * 1000)])
    cuts = np.concatenate([[start], edges[(edges > start) & (edges < end)], [end]])
    by_hand = sum((b - a) * rates[(np.searchsorted(edges, (a + b) / 2) - 1) % 3] for a, b in pairwise(cuts))
    assert rate.work(start, end) == pytest.approx(by_hand, rel=1e-6, abs=1e-6)


def test_a_link_with_two_states_has_their_mean_rate():
    rate = gilbert_elliott(10.0, 2.0, 3.0, 1.0, np.random.default_rng(0))
    assert rate.work(0.0, 40_000.0) / 40_000.0 == pytest.approx((3 * 10 + 1 * 2) / 4, rel=0.02)


def test_lost_packets_are_sent_until_they_arrive():
    """Bytes sent are geometric: n / (1 - p) packets on average; the last round is the largest of n geometrics."""
    rng, loss = np.random.default_rng(1), Loss(0.2, 100.0, 1000)
    drawn = [loss.rounds(1000.0, rng)[0] for _ in range(4000)]
    assert covers([sum(r) for r in drawn], 1000 / 0.8)
    rounds = sum(1 - (1 - 0.2**k) ** 10 for k in range(60))
    assert covers([len(r) for r in drawn], rounds)


def test_without_retries_an_item_needs_all_its_packets():
    result = run(
        sources={"s": {"arrivals": {"process": "periodic", "per_s": 100}, "items": 4000, "to": "send"}},
        stages={"send": {"service": {"kind": "transfer", "link": "radio", "bytes": 4500}}},
        links={"radio": {"mbit_per_s": 1000, "loss": 0.1, "retries": 0}},
    )
    assert covers([bool(i.lost) for i in result.outcome.items], 1 - 0.9**3)
    assert set(result.summary["items"]["dropped_by"]) == {"lost"}


def test_a_transfer_takes_its_bytes_and_the_latency_and_stages_share_the_link():
    """Two items at the same time on one link: the second waits for the first, not for its latency."""
    result = run(
        sources={
            "s": {"arrivals": {"process": "recorded", "times_s": [0.0]}, "to": ["a", "b"], "attributes": {"size": 1e6}}
        },
        stages={n: {"service": {"kind": "transfer", "link": "l", "bytes": "size"}} for n in "ab"},
        links={"l": {"mbit_per_s": 8, "latency_ms": 500, "busy_w": 2, "idle_w": 1}},
    )
    assert [v.ended + v.lag for v in result.outcome.visits] == [pytest.approx(1.5), pytest.approx(2.5)]
    row = result.summary["resources"]["l"]
    assert row["sent_bytes"] == 2e6
    assert row["energy_j"] == pytest.approx(2 * 2 + 0.5 * 1)


def test_contention_slows_a_device_down():
    """A device half of which is taken: everything takes twice as long, and processor sharing of two four times."""
    result = run(
        sources={"s": {"arrivals": {"process": "recorded", "times_s": [0.0]}, "to": ["a", "b"]}},
        stages={n: {"service": {"kind": "time", "ms": 100, "device": "d"}} for n in "ab"},
        devices={
            "d": {"sharing": "processor-sharing", "contention": {"available": [0.5, 0.5], "seconds": [0.03, 0.05]}}
        },
    )
    assert [v.ended for v in result.outcome.visits] == [pytest.approx(0.4), pytest.approx(0.4)]
