"""Channels against queueing theory, fetches against hand computation, encodings against CacheGen's rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simulator.engine.link import Channel
from simulator.engine.tiers import Encoding, Tier, TierConfig
from simulator.policies.kv_cache.eviction import Lru


@pytest.mark.parametrize("rho", [0.3, 0.7])
def test_a_channel_is_m_d_1(rho: float) -> None:
    """Mean wait rho s / (2 (1 - rho)) (Pollaczek-Khinchine) lies in the 99 % interval of independent runs."""
    means = []
    for seed in range(12):
        channel = Channel(100.0)
        times = np.cumsum(np.random.default_rng(seed).exponential(1.0 / rho, 5000)).tolist()
        means.append(np.mean([channel.send(t, 100)[0] - t for t in times]))
    half = stats.t.ppf(0.995, 11) * np.std(means, ddof=1) / np.sqrt(12)
    assert abs(np.mean(means) - rho / (2 * (1 - rho))) <= half


def test_latency_delays_but_does_not_occupy() -> None:
    channel = Channel(100.0, latency=5.0)
    assert channel.send(1.0, 100) == (1.0, 7.0)
    assert channel.send(1.0, 100) == (2.0, 8.0)
    assert channel.backlog(2.0) == 100.0


def tier(*encodings: Encoding, deadline: float | None = None) -> Tier:
    return Tier(TierConfig("t", 10**9, 100.0, 100.0, 0.0, Lru, encodings, deadline=deadline))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8), st.floats(1.0, 1000.0))
def test_decoding_overlaps_with_transfer(sizes: list[int], decode: float) -> None:
    """A flow shop of two machines in fixed order ends at the longest of its paths (Johnson 1954)."""
    begin, end = tier(Encoding(1.0, decode)).fetch(sizes, 3.0)
    paths = [sum(sizes[: j + 1]) / 100.0 + sum(sizes[j:]) / decode for j in range(len(sizes))]
    assert begin == 3.0
    assert end == pytest.approx(3.0 + max(paths))


def test_an_estimate_sends_nothing_and_is_what_comes() -> None:
    one = tier(Encoding(2.0, 300.0), Encoding(4.0, 50.0))
    one.fetch([400], 0.0)
    before = (one.reading.free, one.reading.bytes, one.decoder_free)
    expected = one.fetch([100, 200], 1.0, dry=True)
    assert (one.reading.free, one.reading.bytes, one.decoder_free) == before
    assert one.fetch([100, 200], 1.0) == expected


def test_the_finest_encoding_in_time_is_taken() -> None:
    """1,000 bytes at 100 B/s: 10 s raw, 5 s at ratio 2, 2.5 s at ratio 4."""
    levels = (Encoding(1.0), Encoding(2.0), Encoding(4.0))
    sent = {}
    for deadline in (11.0, 6.0, 3.0, 1.0):
        one = tier(*levels, deadline=deadline)
        one.fetch([1000], 0.0)
        sent[deadline] = one.reading.bytes
    assert sent == {11.0: 1000, 6.0: 500, 3.0: 250, 1.0: 250}


def test_a_busy_channel_coarsens_the_encoding() -> None:
    one = tier(Encoding(1.0), Encoding(4.0), deadline=12.0)
    one.fetch([1000], 0.0)
    one.fetch([1000], 0.0)
    assert one.reading.bytes == 1000 + 250


def test_all_encodings_are_stored() -> None:
    assert tier(Encoding(1.0), Encoding(4.0)).stored_bytes(1000) == 1250
