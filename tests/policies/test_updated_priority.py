"""Changing priorities against the statistics of the chain that they are, and under the queue."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simulator.policies.queueing import DisciplinedQueue, UpdatedPriority
from simulator.policies.sequence import Sequence

UPDATES = 400


def sequence(index: int, session: int = -1) -> Sequence:
    return Sequence(index, 0.0, 10, 5, session=session)


def classes(discipline: UpdatedPriority, names: range) -> np.ndarray:
    """Shape (names, updates)."""
    return np.array([[discipline.class_at(sequence(n), u) for u in range(UPDATES)] for n in names])


@pytest.mark.parametrize(("pattern", "kept"), [("random", 0.0), ("markov", 0.75)])
def test_classes_are_equally_likely_and_kept_as_often_as_said(pattern: str, kept: float) -> None:
    found = classes(UpdatedPriority(np.random.default_rng(1), pattern=pattern, persistence=0.75), range(60))
    # Classes a long way apart in time are independent draws.
    assert stats.chisquare(np.bincount(found[:, ::50].ravel(), minlength=4)).pvalue > 0.001
    same = found[:, 1:] == found[:, :-1]
    expected = kept + (1 - kept) / 4
    assert abs(same.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / same.size)


def test_another_seed_draws_otherwise_and_the_same_one_alike() -> None:
    one, again, other = (classes(UpdatedPriority(np.random.default_rng(s)), range(5)) for s in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_turns_of_a_conversation_share_a_class() -> None:
    discipline = UpdatedPriority(np.random.default_rng(3))
    first, second = sequence(0, session=7), sequence(1, session=7)
    assert all(discipline.class_at(first, u) == discipline.class_at(second, u) for u in range(50))


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=12), st.floats(0.05, 2.0))
def test_the_queue_is_in_the_order_of_the_last_update(gaps: list[float], every: float) -> None:
    discipline = UpdatedPriority(np.random.default_rng(0), every_s=every)
    queue = DisciplinedQueue(discipline)
    waiting = [sequence(i) for i in range(8)]
    for each in waiting:
        queue.append(each)
    for now in np.cumsum(gaps).tolist():
        queue.settle(now)
        update = sum(1 for n in range(1, int(now / every) + 2) if n * every <= now)
        ordered = sorted(waiting, key=lambda s: (discipline.class_at(s, update), s.index))
        assert list(queue.in_order()) == ordered
        assert discipline.next_change() > now


@pytest.mark.parametrize("options", [{"pattern": "other"}, {"every_s": 0.0}, {"persistence": 1.0}, {"classes": 0}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        UpdatedPriority(np.random.default_rng(0), **options)  # type: ignore[arg-type]
