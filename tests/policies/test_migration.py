"""Llumnix's rule on replicas made by hand, and what a scenario refuses beside migration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.experiment import run
from simulator.policies.migration import Instance, Llumnix, Move, Resident
from simulator.policies.registry import build_policy
from simulator.scenario import scenario_from

SCENARIO: dict[str, Any] = {
    "model": "meta-llama/Llama-3.2-1B",
    "device": "nvidia-l4-24gb",
    "replicas": 2,
    "migration": {"policy": "llumnix", "every_s": 0.1},
    "load": {
        "generator": {
            "arrivals": {"process": "poisson", "rate": 4.0},
            "prompt_tokens": 64,
            "output_tokens": 16,
            "requests": 10,
        }
    },
}


def instance(number: int, *residents: Resident, head: int = 0, engaged: bool = False) -> Instance:
    return Instance(number, 100, 16, residents, head, engaged)


def resident(index: int, blocks: int, *, priority: int = 0, movable: bool = True) -> Resident:
    return Resident(index, blocks * 16, blocks, priority, movable)


def test_freeness_is_what_virtual_usage_leaves_by_batch_size() -> None:
    two = (resident(0, 30), resident(1, 50))
    rule = Llumnix(high_priority=-1, headroom_tokens=160)
    assert rule.freeness(instance(0, *two)) == (100 - 80) / 2
    assert rule.freeness(instance(0, *two, head=40)) == (100 - 80 - 40) / 2
    assert rule.freeness(instance(0)) == 100
    important = resident(2, 10, priority=-1)
    assert rule.freeness(instance(0, *two, important)) == pytest.approx((100 - 90 - 10) / 3)


def test_the_fullest_gives_its_least_important_shortest_to_the_freest() -> None:
    full = instance(0, resident(0, 10, priority=-1), resident(1, 60), resident(2, 30))
    fuller = instance(1, resident(3, 20, movable=False), resident(4, 80), head=9)
    free, freer = instance(2, resident(5, 20)), instance(3)
    assert Llumnix().moves([full, fuller, free, freer]) == [Move(1, 3, 4), Move(0, 2, 2)]
    assert Llumnix().moves([full, fuller, free, instance(3, engaged=True)]) == [Move(1, 2, 4)]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.booleans()), max_size=8))
def test_a_replica_takes_part_in_one_move(drawn: list[tuple[int, int, bool]]) -> None:
    found = Llumnix(source_below=5.0, target_above=5.0).moves(
        [instance(n, resident(n, b), head=h, engaged=e) for n, (b, h, e) in enumerate(drawn)]
    )
    taking_part = [n for move in found for n in (move.source, move.target)]
    assert len(taking_part) == len(set(taking_part))
    assert not any(drawn[n][2] for n in taking_part)


def test_thresholds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(InputError, match="source_below 5 is more than target_above 2"):
        build_policy("migration", "llumnix", {"source_below": 5, "target_above": 2})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("queue", {"policy": "sjf"}),
        ("failures", {"mtbf_s": 10.0}),
        ("autoscaling", {"policy": "queue-based", "max_replicas": 4, "options": {"target": 2.0}}),
        ("disaggregation", {"replicas": 1}),
        ("speculation", {"policy": "fixed"}),
        ("batching", {"policy": "static"}),
        ("parallel", {"pipeline": 2}),
    ],
)
def test_what_is_not_modelled_beside_it_is_refused(field: str, value: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"migration llumnix beside {field}.* is not modelled"):
        run(scenario_from(SCENARIO | {field: value}))


def test_the_summary_tells_of_migrations_only_where_they_are_on() -> None:
    assert set(run(scenario_from(SCENARIO)).summary["migration"]) == {
        "started",
        "finished",
        "aborted",
        "copied_gb",
        "mean_downtime_ms",
    }
    assert "migration" not in run(scenario_from(SCENARIO | {"migration": {}})).summary
