"""What each role policy wants, by hand."""

from __future__ import annotations

import pytest

from simulator.errors import InputError
from simulator.policies.registry import build_policy
from simulator.policies.roles import Attainment, Fixed, PoolsView, QueueAndCache, Scheduled
from tests.policies.views import View


def pools(
    queued: tuple[int, ...] = (0, 0),
    kv: tuple[float, ...] = (0.0, 0.0),
    *,
    now: float = 0.0,
    draining: int = 0,
    met: tuple[float | None, float | None] = (None, None),
) -> PoolsView:
    prefill = [View(i, queued=q) for i, q in enumerate(queued)]
    decode = [View(10 + i, kv_utilisation=u) for i, u in enumerate(kv)]
    return PoolsView(now, prefill, decode, draining, *met)


def test_fixed_and_timetable() -> None:
    assert Fixed().wanted(pools((0, 0, 0))) == 3
    table = Scheduled(at=[[10, 1], [20, 4]])
    assert [table.wanted(pools(now=t)) for t in (0.0, 9.9, 10.0, 19.0, 20.0, 1e9)] == [2, 2, 1, 1, 4, 4]


def test_queue_and_cache_needs_one_side_short_and_the_other_idle() -> None:
    def wanted(queued: tuple[int, ...], kv: tuple[float, ...], draining: int = 0) -> int:
        return QueueAndCache().wanted(pools(queued, kv, draining=draining))

    assert wanted((2, 0), (0.4, 0.5)) == 3
    assert wanted((2, 0), (0.5, 0.5)) == 2
    assert wanted((1, 0), (0.1, 0.1)) == 2
    assert wanted((0, 0), (0.95, 0.9)) == 1
    assert wanted((1, 0), (0.95, 0.9)) == 2
    assert wanted((9, 9), (0.0, 0.0), draining=1) == 2


def test_attainment_follows_the_objective_that_is_missed() -> None:
    def wanted(ttft: float | None, tpot: float | None) -> int:
        return Attainment(target=0.9, margin=0.05).wanted(pools(met=(ttft, tpot)))

    assert wanted(0.5, 0.95) == 3
    assert wanted(0.95, 0.5) == 1
    assert wanted(0.95, 0.92) == 2
    assert wanted(0.5, 0.53) == 2
    assert wanted(None, 0.1) == 2


def test_patience_waits_for_decisions_in_a_row() -> None:
    policy = QueueAndCache(patience=2)
    short, calm = pools((4, 4)), pools()
    assert [policy.wanted(p) for p in (short, calm, short, short, short, short)] == [2, 2, 2, 3, 2, 3]


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("scheduled", {"at": []}, "at"),
        ("scheduled", {"at": [[5, 1], [1, 2]]}, "at"),
        ("queue-and-cache", {"queue_low": 2.0}, "queue_low"),
        ("queue-and-cache", {"kv_high": 0.2}, "kv_low"),
        ("queue-and-cache", {"patience": 0}, "patience"),
        ("attainment", {"target": 1.5}, "target"),
        ("attainment", {"margin": 0.0}, "margin"),
        ("attainmnt", {}, "attainment"),
    ],
)
def test_impossible_options_are_named(name: str, options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_policy("roles", name, options)
