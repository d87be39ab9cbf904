"""Intervals against series whose true difference is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import t, ttest_rel

from simulator.comparison.intervals import SECTIONS, interval, sections

TRUE = 0.3
SERIES = 300


def autoregressive(rng: np.random.Generator, length: int, memory: float) -> np.ndarray:
    """A stationary AR(1) series of mean zero, each value `memory` times the one before plus noise."""
    noise = rng.normal(size=length)
    noise[0] /= np.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise))


@pytest.mark.parametrize("memory", [0.0, 0.8, 0.9])
@pytest.mark.parametrize("name", ["mean", "p50", "p90"])
def test_nine_of_ten_intervals_hold_the_true_difference(memory: float, name: str) -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(SERIES):
        base, other = (autoregressive(rng, 1500, memory) for _ in range(2))
        found = interval(base, other + TRUE, name)
        assert found is not None
        hits += found[0] <= TRUE <= found[1]
    assert 0.85 <= hits / SERIES <= 0.96


def test_the_usual_interval_would_be_far_too_narrow() -> None:
    rng, hits = np.random.default_rng(2), 0
    for _ in range(SERIES):
        base, other = (autoregressive(rng, 1500, 0.9) for _ in range(2))
        low, high = ttest_rel(other + TRUE, base).confidence_interval(0.9)
        hits += low <= TRUE <= high
    assert hits / SERIES < 0.5


def test_uncorrelated_sections_give_the_paired_t_interval_of_their_means() -> None:
    base = np.tile([0.0, 0.0, 1.0, 1.0], 100)
    other = base + np.repeat([1.0, -1.0] * 10, 20)
    means = np.array([1.0, -1.0] * 10)
    half = t.ppf(0.95, 19) * means.std(ddof=1) / np.sqrt(20)
    assert interval(base, other, "mean") == pytest.approx((-half, half))


@given(st.integers(20, 400), st.floats(-5, 5), st.sampled_from(["mean", "p50"]), st.integers(0, 99))
def test_a_constant_difference_is_certain(pairs: int, shift: float, name: str, seed: int) -> None:
    base = np.random.default_rng(seed).normal(size=pairs)
    assert interval(base, base + shift, name) == pytest.approx((shift, shift), abs=1e-9)


@given(st.integers(20, 300), st.integers(0, 99), st.floats(0.01, 100))
def test_swapping_and_scaling(pairs: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    base, other = rng.normal(size=(2, pairs))
    low, high = interval(base, other, "mean") or (0.0, 0.0)
    assert interval(other, base, "mean") == pytest.approx((-high, -low))
    assert interval(base * scale, other * scale, "mean") == pytest.approx((low * scale, high * scale))
    assert low <= (other - base).mean() <= high


@pytest.mark.parametrize(
    ("pairs", "name", "expected"),
    [(19, "mean", 1), (20, "mean", 2), (10_000, "mean", SECTIONS), (399, "p99", 1), (400, "p99", 2), (4000, "p99", 20)],
)
def test_few_pairs_allow_few_sections(pairs: int, name: str, expected: int) -> None:
    assert sections(pairs, name) == expected
    assert (interval(np.ones(pairs), np.ones(pairs), name) is None) == (expected < 2)
