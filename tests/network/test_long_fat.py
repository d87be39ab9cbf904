"""Long fat links against the closed form of Mathis et al., and bandwidth over time against integration."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.hardware.long_fat import LongFatLink, Trace, constant, slowest, wandering

traces = st.lists(st.tuples(st.floats(0.1, 10.0), st.floats(0.0, 50.0)), min_size=0, max_size=6).map(
    lambda parts: Trace(np.cumsum([0.0, *(gap for gap, _ in parts)]), np.array([*(rate for _, rate in parts), 3.0]))
)


def test_a_connection_is_limited_by_losses_window_or_link() -> None:
    """1460 bytes, 100 ms and one loss in 10,000: sqrt(1.5) x 1460 / 0.1 / 0.01 = 1.79 MB/s (Mathis et al., 1997)."""
    assert LongFatLink(1e9, 0.1, 1e-4).connection() == pytest.approx(sqrt(1.5) * 1460 / 0.1 / 1e-2)
    assert LongFatLink(1e9, 0.1, window=1e6).connection() == pytest.approx(1e7)
    assert LongFatLink(1e6, 0.1).connection() == 1e6
    assert LongFatLink(1e9, 0.0, 0.5).connection() == 1e9
    assert LongFatLink(1e9, 0.1).in_flight == pytest.approx(1e8)


@given(st.floats(1e6, 1e10), st.floats(1e-3, 0.3), st.floats(1e-7, 0.1), st.integers(1, 64))
def test_connections_add_up_to_the_link_and_no_further(rate: float, trip: float, loss: float, count: int) -> None:
    link = LongFatLink(rate, trip, loss)
    assert link.connection() <= link.parallel(count) <= rate
    assert link.parallel(count) == pytest.approx(min(rate, count * link.connection()))
    assert LongFatLink(rate, 2 * trip, loss).connection() <= link.connection()


@given(traces, st.floats(0.0, 30.0), st.floats(0.0, 200.0))
def test_bytes_are_done_when_that_many_have_moved(trace: Trace, start: float, size: float) -> None:
    end = trace.done(size, start)
    assert end >= start
    assert trace.moved(end) - trace.moved(start) == pytest.approx(size, abs=1e-6)


@given(traces, traces, st.floats(0.0, 40.0))
def test_the_slowest_of_two_is_slowest_at_every_time(one: Trace, other: Trace, at: float) -> None:
    def rate(trace: Trace) -> float:
        return float(trace.rates[np.searchsorted(trace.times, at, side="right") - 1])

    assert rate(slowest([one, other])) == min(rate(one), rate(other))


def test_wandering_bandwidth_keeps_its_mean_and_its_seed() -> None:
    trace = wandering(100.0, 0.3, rng=stream(1, "a"), steps=20_000)
    again = wandering(100.0, 0.3, rng=stream(1, "a"), steps=20_000)
    assert (trace.rates == again.rates).all()
    assert trace.rates.mean() == pytest.approx(100.0, rel=0.05)
    assert np.log(trace.rates).std() == pytest.approx(0.3, rel=0.1)
    assert np.corrcoef(np.log(trace.rates[:-1]), np.log(trace.rates[1:]))[0, 1] == pytest.approx(0.9, abs=0.03)


def test_bad_links_and_traces_are_refused() -> None:
    for values in ((0.0, 0.1), (1e9, -0.1), (1e9, float("nan"))):
        with pytest.raises(InputError, match="above 0"):
            LongFatLink(*values)
    with pytest.raises(InputError, match="loss"):
        LongFatLink(1e9, 0.1, 1.0)
    with pytest.raises(InputError, match="connections"):
        LongFatLink(1e9, 0.1).parallel(0)
    with pytest.raises(InputError, match="first time 0"):
        Trace(np.ones(1), np.ones(1))
    with pytest.raises(InputError, match="rise"):
        Trace(np.zeros(2), np.ones(2))
    with pytest.raises(InputError, match="last above 0"):
        Trace(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    assert constant(5.0).done(10.0) == 2.0
