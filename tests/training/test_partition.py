"""Partitions of layers over unlike stages against brute force, quotas and even shares."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.policies.partition import Equal, Floats, LayerCosts, Minimax, Proportional


@st.composite
def costs(draw: st.DrawFn) -> LayerCosts:
    """Few stages and layers, costs in small whole numbers so that sums are exact and ties happen."""
    stages = draw(st.integers(1, 4))
    least = draw(st.integers(1, 2))
    count = draw(st.integers(stages * least, 8))

    def table(low: int, high: int, *shape: int) -> Floats:
        size = int(np.prod(shape))
        numbers = draw(st.lists(st.integers(low, high), min_size=size, max_size=size))
        return np.array(numbers, dtype=np.float64).reshape(shape)

    return LayerCosts(
        table(1, 9, stages, count), table(1, 5, stages, count), table(0, 4, stages, count), table(4, 25, stages), least
    )


def cuts(given_costs: LayerCosts) -> list[tuple[int, ...]]:
    """All ways to deal the layers to the stages that have memory for them."""
    stages, count = given_costs.seconds.shape
    found = []
    for inner in combinations(range(1, count), stages - 1):
        ends = (0, *inner, count)
        shares = list(pairwise(ends))
        if min(b - a for a, b in shares) < given_costs.least:
            continue
        held = [
            given_costs.bytes[s, a:b].sum() + given_costs.working[s, a:b].max() <= given_costs.room[s]
            for s, (a, b) in enumerate(shares)
        ]
        if all(held):
            found.append(tuple(b - a for a, b in shares))
    return found


def times(given_costs: LayerCosts, layers: tuple[int, ...]) -> list[float]:
    ends = np.concatenate([[0], np.cumsum(layers)])
    return [float(given_costs.seconds[s, ends[s] : ends[s + 1]].sum()) for s in range(len(layers))]


@settings(max_examples=300, deadline=None)
@given(costs())
def test_minimax_is_what_brute_force_finds_or_finds_nothing_either(found: LayerCosts) -> None:
    every = cuts(found)
    if not every:
        with pytest.raises(ValueError, match="no cut"):
            Minimax().layers(found)
        return
    dealt = tuple(Minimax().layers(found))
    assert dealt in every
    best = min((max(times(found, each)), sum(times(found, each))) for each in every)
    assert (max(times(found, dealt)), sum(times(found, dealt))) == best


@given(costs())
def test_shares_in_proportion_to_speed_are_quotas_rounded_up_or_down(found: LayerCosts) -> None:
    count = found.seconds.shape[1]
    dealt = np.array(Proportional().layers(found))
    assert dealt.sum() == count
    assert dealt.min() >= found.least
    speeds = 1.0 / found.seconds.mean(axis=1)
    quota = count * speeds / speeds.sum()
    if quota.min() >= found.least:
        assert np.abs(dealt - quota).max() < 1.0


@given(st.integers(1, 6), st.integers(0, 20))
def test_equal_shares_differ_by_one_layer_at_most(stages: int, more: int) -> None:
    ones = np.ones((stages, stages + more))
    dealt = Equal().layers(LayerCosts(ones, ones, ones, np.full(stages, 100.0)))
    assert sum(dealt) == stages + more
    assert max(dealt) - min(dealt) <= 1
    assert list(dealt) == sorted(dealt, reverse=True)
