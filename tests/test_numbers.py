"""True and false are no numbers: wherever a scenario has a number, a boolean in its place is refused by its name."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.errors import InputError
from simulator.kinds import load, scenario_of
from simulator.planning.spec import plan_from
from simulator.published import Published
from simulator.specs.validating import validated
from tests.api.scenarios import KINDS, PLAN, PUBLISHED

# Mappings whose fields another part reads, and refuses, when it runs.
READ_LATER = {"generator", "options", "search", "space", "scenario", "baseline", "system", "plan"}


def numbers(values: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to every number of plain data."""
    if isinstance(values, dict | list):
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            if key not in READ_LATER:
                yield from numbers(value, (*way, key))
    elif isinstance(values, int | float) and not isinstance(values, bool):
        yield way


def read(values: dict[str, Any]) -> object:
    if values.get("kind") == "published":
        return validated(Published, values, "a published system")
    return plan_from(values) if "objectives" in values else scenario_of(values)


SERVING = {**KINDS["serving"], "seed": 0, "kv_cache": {"blocks": 100}, "load": {**KINDS["serving"]["load"], "limit": 9}}
CASCADE = {**KINDS["cascade"], "seed": 0}
CASES = {**KINDS, "serving": SERVING, "cascade": CASCADE, "published": PUBLISHED, "planning": PLAN}


@pytest.mark.parametrize("kind", sorted(set(CASES) - {"network-search"}))
@pytest.mark.parametrize("boolean", [True, False])
def test_every_number_of_a_scenario(kind: str, boolean: bool) -> None:
    ways = list(numbers(CASES[kind]))
    assert ways
    for way in ways:
        changed: Any = copy.deepcopy(CASES[kind])
        inner = changed
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = boolean
        with pytest.raises(InputError) as caught:
            read(changed)
        assert str(caught.value).startswith(f"{'.'.join(map(str, way))} is {boolean}, which should be")


def test_line_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump(KINDS["pipeline"], sort_keys=False).replace("per_s: 15", "per_s: true"))
    line = 1 + path.read_text().splitlines().index("      per_s: true")
    with pytest.raises(InputError, match=rf":{line}: sources.camera.arrivals.per_s is True, which should be a number"):
        load(path)


def test_switches_stay_switches() -> None:
    values = {**KINDS["serving"], "kv_cache": {"prefix_caching": True}, "fast_forward": False}
    found: Any = scenario_of(values)
    assert found.kv_cache.prefix_caching is True
    assert found.fast_forward is False
