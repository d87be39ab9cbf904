"""The points of a design: grids against itertools, samples against what their names promise."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.sweeping.design import design
from simulator.sweeping.spec import SweepSpec, sweep_from


def spec_of(vary: dict[str, Any], **more: Any) -> SweepSpec:
    return sweep_from({"scenario": {}, "vary": vary, **more})


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_has_every_combination_once(lengths: list[int]) -> None:
    found = [tuple(s.values()) for s in design(spec_of({f"f{i}": list(range(n)) for i, n in enumerate(lengths)}))]
    assert found == list(itertools.product(*map(range, lengths)))


def test_ranges_of_a_grid() -> None:
    def values(**numbers: Any) -> list[Any]:
        return [s["x"] for s in design(spec_of({"x": numbers}))]

    assert values(**{"from": 0, "to": 1, "steps": 5}) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert values(**{"from": 1, "to": 16, "steps": 5, "log": True}) == pytest.approx([1, 2, 4, 8, 16], rel=1e-12)
    small = values(**{"from": 1, "to": 3, "steps": 9, "integer": True})
    assert small == [1, 2, 3] and all(isinstance(x, int) for x in small)


def test_fields_that_change_together() -> None:
    groups = [{"precision.weights": ["bf16", "fp8"], "precision.kv_cache": ["bf16", "fp8"]}]
    found = list(design(spec_of({"replicas": [1, 2]}, together=groups)))
    assert len(found) == 4
    assert all(s["precision.weights"] == s["precision.kv_cache"] for s in found)


@given(st.integers(0, 2**63 - 1), st.integers(1, 60), st.booleans())
def test_a_latin_hypercube_has_one_point_in_each_part_of_every_axis(seed: int, points: int, log: bool) -> None:
    sampling = {"method": "latin-hypercube", "points": points, "seed": seed}
    vary = {"a": {"from": 2, "to": 50, "log": log}, "b": {"from": -3, "to": 5}}
    found = list(design(spec_of(vary, sampling=sampling)))
    shares = {
        "a": [math.log(s["a"] / 2) / math.log(25) if log else (s["a"] - 2) / 48 for s in found],
        "b": [(s["b"] + 3) / 8 for s in found],
    }
    for along in shares.values():
        # A point on the edge of its part may be counted with its neighbour by rounding.
        assert np.allclose(np.sort(along), (np.arange(points) + 0.5) / points, atol=0.5 / points + 1e-9)


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 1000))
def test_a_latin_hypercube_gives_each_listed_value_the_same_share(choices: int, times: int, seed: int) -> None:
    sampling = {"method": "latin-hypercube", "points": choices * times, "seed": seed}
    vary = {"x": list(range(choices)), "n": {"from": 1, "to": choices, "integer": True}} if choices > 1 else {"x": [0]}
    found = list(design(spec_of(vary, sampling=sampling)))
    for name in vary:
        counts = Counter(s[name] for s in found)
        assert len(counts) == choices and set(counts.values()) == {times}


def test_random_points_follow_their_law_and_their_seed() -> None:
    vary = {"n": {"from": 1, "to": 4, "integer": True}, "x": {"from": 1, "to": 100, "log": True}}

    def drawn(seed: int) -> list[dict[str, Any]]:
        return list(design(spec_of(vary, sampling={"method": "random", "points": 4000, "seed": seed})))

    assert drawn(1) == drawn(1) != drawn(2)
    counts = Counter(s["n"] for s in drawn(1))
    assert set(counts) == {1, 2, 3, 4}
    assert max(abs(c - 1000) for c in counts.values()) < 5 * math.sqrt(4000 * 0.25 * 0.75)
    below = sum(s["x"] < 10 for s in drawn(1))  # half of the way of a factor of 100
    assert abs(below - 2000) < 5 * math.sqrt(4000 * 0.25)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "nothing varies"),
        ({"vary": {"x": []}}, "vary.x"),
        ({"vary": {"x": {"from": 3, "to": 1}}}, "from 3 is not below to 1"),
        ({"vary": {"x": {"from": 0, "to": 1, "steps": 3, "log": True}}}, "log needs from above 0"),
        ({"vary": {"x": {"from": 0.5, "to": 2, "steps": 3, "integer": True}}}, "integer needs whole numbers"),
        ({"vary": {"x": {"from": 0, "to": 1}}}, "vary.x: a range in a grid needs steps"),
        ({"vary": {"x": {"from": 0, "to": 2, "step": 1}}}, "did you mean vary.x.steps"),
        ({"vary": {"x": [1]}, "sampling": {"method": "random"}}, "points is missing"),
        ({"vary": {"x": [1]}, "sampling": {"points": 3}}, "a grid has every combination"),
        ({"vary": {"x": [1]}, "sampling": {"method": "sobol"}}, "sampling.method"),
        ({"together": [{"x": [1], "y": [1, 2]}]}, "x has 1, y has 2"),
        ({"vary": {"x": [1]}, "minimise": "a", "maximise": "b"}, "not both"),
        ({"varry": {"x": [1]}}, "did you mean vary"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        sweep_from({"scenario": {}, **values})


def test_a_field_may_vary_once() -> None:
    with pytest.raises(InputError, match="replicas is given twice"):
        sweep_from({"scenario": {}, "vary": {"replicas": [1]}, "together": [{"replicas": [2]}]})


def test_a_grid_that_is_too_large_is_refused_before_it_is_made() -> None:
    vary = {f"f{i}": list(range(100)) for i in range(5)}
    with pytest.raises(InputError, match="10,000,000,000 points"):
        next(design(spec_of(vary)))
