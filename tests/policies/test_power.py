"""Power policies: thresholds, the order of priorities, hysteresis."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.policies.power import NoCapping, Polca, PowerPolicy, RowView, ServerView, Uniform
from simulator.policies.registry import build_policy

LOW = (False, True, True)


def row(share: float, clocks: Sequenced[float] = (1.0,) * 3, wanted: Sequenced[float] | None = None) -> RowView:
    """A row of a server of high and two of low priority that draws this share of its 1000 W."""
    asked = clocks if wanted is None else wanted
    servers = zip(LOW, clocks, asked, strict=True)
    views = tuple(ServerView(n, low, share * 1e3 / 3, c, w) for n, (low, c, w) in enumerate(servers))
    return RowView(0.0, share * 1e3, 1e3, views)


def obeyed(policy: PowerPolicy, shares: Sequenced[float]) -> list[list[float]]:
    """Answers to readings whose clocks are in force at the next reading."""
    clocks: Sequenced[float] = (1.0,) * 3
    answers = []
    for share in shares:
        clocks = policy.clocks(row(share, clocks))
        answers.append(list(clocks))
    return answers


FREE, MILD, HARD, ALL = [1.0, 1.0, 1.0], [1.0, 0.904, 0.904], [1.0, 0.787, 0.787], [0.926, 0.787, 0.787]


def test_polca_slows_down_low_priority_first_and_high_priority_last() -> None:
    assert obeyed(Polca(), [0.7, 0.81, 0.85, 0.9, 0.9, 0.95]) == [FREE, MILD, MILD, HARD, ALL, ALL]
    assert obeyed(Polca(), [0.95, 0.85]) == [HARD, HARD]


def test_polca_takes_steps_back_one_by_one_below_the_margins() -> None:
    shares = [0.9, 0.9, 0.85, 0.83, 0.83, 0.76, 0.74, 0.5]
    assert obeyed(Polca(), shares) == [HARD, ALL, ALL, HARD, MILD, MILD, FREE, FREE]


def test_polca_waits_for_clocks_on_their_way() -> None:
    policy = Polca()
    assert policy.clocks(row(0.9)) == HARD
    assert policy.clocks(row(0.9, FREE, HARD)) == HARD
    assert policy.clocks(row(0.6, FREE, HARD)) == HARD
    assert policy.clocks(row(0.9, HARD, HARD)) == ALL


def test_uniform_treats_all_alike_with_hysteresis() -> None:
    capped = [0.787] * 3
    assert obeyed(Uniform(), [0.88, 0.9, 0.86, 0.83, 0.86]) == [FREE, capped, capped, FREE, FREE]
    assert obeyed(NoCapping(), [2.0]) == [FREE]


@given(st.lists(st.floats(0.0, 1.5), max_size=40))
def test_polca_never_slows_high_priority_before_low(shares: list[float]) -> None:
    for share, clocks in zip(shares, obeyed(Polca(), shares), strict=True):
        assert clocks[0] >= clocks[1] == clocks[2]
        assert clocks[1] < 1.0 or share <= 0.8
        assert clocks[0] == 1.0 or share >= 0.84


@given(st.lists(st.floats(0.81, 0.83), min_size=1, max_size=40))
def test_readings_within_the_margins_change_nothing(shares: list[float]) -> None:
    assert obeyed(Polca(), [0.82, *shares]) == [MILD] * (len(shares) + 1)


@pytest.mark.parametrize(
    ("policy", "options", "message"),
    [
        ("polca", {"t1": 0.9, "t2": 0.8}, "thresholds"),
        ("polca", {"margin": 0.9}, "margin"),
        ("polca", {"low": [0.5]}, "two clocks"),
        ("polca", {"low": [0.5, 0.8]}, "no higher than the first"),
        ("polca", {"high": 1.2}, "high is 1.2"),
        ("uniform", {"clock": 0}, "clock is 0"),
        ("uniform", {"thresold": 0.8}, "did you mean threshold"),
        ("polcaa", {}, "did you mean polca"),
    ],
)
def test_wrong_options_are_named(policy: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_policy("power", policy, options)
