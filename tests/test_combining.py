"""What a scenario uses, and complaints about what is not modelled together."""

from __future__ import annotations

import pytest

from simulator.errors import InputError
from simulator.scenario import Scenario, scenario_from
from simulator.specs.combining import IN_USE, refuse_together


def scenario(**changes: object) -> Scenario:
    values = {"model": "meta-llama/Llama-3.2-1B", "device": "nvidia-l4-24gb", "load": {"generator": "chat"}}
    return scenario_from(values | changes)


def test_a_plain_scenario_uses_nothing() -> None:
    plain = scenario()
    assert not [name for name, used in IN_USE.items() if used(plain)]
    refuse_together("pairing", plain, *IN_USE)


@pytest.mark.parametrize(
    ("changes", "name", "shown"),
    [
        ({"queue": {"policy": "sjf"}}, "queue", "queue sjf"),
        ({"parallel": {"pipeline": 2}}, "parallel.pipeline above 1", "parallel.pipeline above 1"),
        ({"failures": {"mtbf_s": 10.0}}, "failures", "failures"),
        ({"kv_cache": {"tiers": [{"name": "host"}]}}, "kv_cache.tiers", "kv_cache.tiers"),
    ],
)
def test_the_complaint_names_both(changes: dict[str, object], name: str, shown: str) -> None:
    used = scenario(**changes)
    assert [n for n, uses in IN_USE.items() if uses(used)] == [name]
    with pytest.raises(InputError, match=f"^pairing beside {shown} is not modelled: leave one of the two out$"):
        refuse_together("pairing", used, "adapters", name)


def test_times_of_repair_alone_are_no_failures() -> None:
    """Fields that change nothing are in nobody's way."""
    used = scenario(failures={"mttr_s": 5.0})
    assert not IN_USE["failures"](used)
