"""What each autoscaler wants, by hand."""

from __future__ import annotations

import pytest

from simulator.errors import InputError
from simulator.policies.autoscaling import Fixed, FleetView, QueueBased, Scheduled, Utilisation
from simulator.policies.registry import build_policy
from tests.policies.views import View


def fleet(
    *kv: float, requests: int = 0, starting: int = 0, held: int = 0, busy: float = 0.0, now: float = 0.0
) -> FleetView:
    return FleetView(
        now, [View(i, outstanding=requests, kv_utilisation=u) for i, u in enumerate(kv)], starting, held, busy
    )


def test_rules_by_hand() -> None:
    assert Fixed().wanted(fleet(0.9, 0.9, starting=1)) == 3
    assert QueueBased(target=4).wanted(fleet(0, 0, requests=6, held=1)) == 4
    assert QueueBased(target=4).wanted(fleet(0)) == 0
    kv = Utilisation(target=0.5, measure="kv")
    assert kv.wanted(fleet(0.9, 0.7)) == 4
    assert kv.wanted(fleet(0.52, 0.52, starting=1)) == 3
    assert kv.wanted(fleet(0.1, 0.1, 0.1, 0.1)) == 1
    assert kv.wanted(fleet(starting=2)) == 2
    assert Utilisation(target=0.5, measure="busy").wanted(fleet(0.9, 0.9, busy=0.25)) == 1
    assert Utilisation(target=0.5).wanted(fleet(0.1, 0.1, busy=1.0)) == 4


def test_timetable() -> None:
    table = Scheduled(at=[[10, 3], [20, 5]])
    assert [table.wanted(fleet(0, now=t)) for t in (0, 9.9, 10, 19, 20, 1e6)] == [1, 1, 3, 3, 5, 5]
    daily = Scheduled(at=[[10, 3], [20, 5]], period_s=30)
    assert [daily.wanted(fleet(0, now=t)) for t in (0, 12, 25, 31, 40, 50)] == [1, 3, 5, 5, 3, 5]


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("queue-based", {"target": 0}, "target"),
        ("queue-based", {}, "target"),
        ("utilisation", {"target": 2}, "target"),
        ("utilisation", {"measure": "gpu"}, "measure"),
        ("scheduled", {"at": [[5, 1], [1, 2]]}, "at"),
        ("scheduled", {"at": [[5, 1]], "period_s": 5}, "period_s"),
    ],
)
def test_impossible_options_are_named(name: str, options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_policy("autoscaler", name, options)
