"""Scenario files of pipelines from the command line: what is written, and what is refused in one line."""

import json
from typing import Any

import pytest

from simulator.cli import main
from simulator.errors import InputError
from simulator.kinds import load_summarised, scenario_of, simulate
from simulator.published import SCENARIOS, is_published
from simulator.yaml_io import load_yaml

FILES = sorted((SCENARIOS / "pipelines").glob("*.yaml"))
PLAIN = [path for path in FILES if not is_published(path)]
BASE: dict[str, Any] = {
    "kind": "pipeline",
    "sources": {"s": {"arrivals": {"process": "poisson", "per_s": 10}, "items": 5, "to": "a"}},
    "stages": {"a": {"service": {"kind": "time", "ms": 1}}},
}


@pytest.mark.parametrize("path", PLAIN, ids=lambda p: p.stem)
def test_every_scenario_runs_and_keeps_its_books(path):
    summary = simulate(load_summarised(path)).summary
    items = summary["items"]
    assert items["created"] == items["completed"] + items["dropped"] + items["in_flight"]
    assert items["completed"] > 0
    for row in [*summary["stages"].values(), *summary["resources"].values()]:
        assert -1e-9 <= row["utilisation"] <= 1 + 1e-9


def test_the_command_writes_figures_and_a_timeline(tmp_path, capsys):
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps(BASE), encoding="utf-8")
    assert main(["run", str(file), "--out", str(tmp_path / "out"), "--timeline", "--set", "seed=3"]) == 0
    assert "completed" in capsys.readouterr().out
    events = json.loads((tmp_path / "out" / "timeline.json").read_text(encoding="utf-8"))["traceEvents"]
    assert sum(e["ph"] == "X" for e in events) == 5
    assert load_yaml(tmp_path / "out" / "summary.json")["items"]["completed"] == 5


def test_intervals_are_refused_by_the_name_of_the_kind(capsys):
    assert main(["run", str(PLAIN[0]), "--uncertainty", "3"]) == 2
    assert "--uncertainty is not modelled for kind pipeline" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_figures():
    first, second = (simulate(scenario_of(BASE)).summary for _ in range(2))
    assert first == second
    assert simulate(scenario_of(BASE | {"seed": 1})).summary != first


STAGE = BASE["stages"]["a"]
TO_NONE = {"policy": "every-nth", "options": {"n": 0, "to": "a", "between": "a"}}
MODEL = {"service": {"kind": "model", "model": "resnet-18", "device": "d"}}
SEND = {"service": {"kind": "transfer", "link": "l", "bytes": "size"}}
TWO_SIZES = {"process": "poisson", "per_s": 1, "size": 2}
SOURCE = BASE["sources"]["s"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stages": {"a": STAGE | {"to": "b"}}}, "unknown stage 'b'.*a.to"),
        ({"stages": {"a": STAGE, "b": STAGE}}, "no item can come to b"),
        ({"stages": {"a": {"service": {"kind": "time", "ms": 1, "device": "d"}}}}, "a.service: unknown device 'd'"),
        ({"stages": {"a": {"service": {"kind": "time", "ms": -1}}}}, "greater than or equal to 0"),
        ({"stages": {"a": {"service": {"kind": "time", "ms": {"law": "gamma"}}}}}, "law gamma needs a mean"),
        ({"stages": {"a": STAGE | {"batch": {"size": 4}, "queue": {"capacity": 2}}}}, "no room for a batch of 4"),
        ({"stages": {"a": STAGE | {"takes": "x"}}}, "unknown supply 'x'"),
        ({"stages": {"a": STAGE | {"to": {"policy": "probabilitic"}}}}, "did you mean probabilistic"),
        ({"stages": {"a": STAGE | {"to": TO_NONE}}}, "n is 0"),
        ({"stages": {"a": MODEL}, "devices": {"d": {}}}, "need a datasheet"),
        ({"stages": {"a": SEND}, "links": {"l": {"mbit_per_s": 1}}}, "no attribute size"),
        ({"links": {"l": {"mbit_per_s": [1, 2], "rate": "recorded", "seconds": [1]}}}, "as many seconds"),
        ({"sources": {"s": {k: v for k, v in SOURCE.items() if k != "items"}}}, "never ends"),
        ({"sources": {"s": SOURCE | {"arrivals": {"process": "periodic"}}}}, "needs per_s"),
        ({"sources": {"s": SOURCE | {"arrivals": TWO_SIZES}}}, "size changes nothing"),
        ({"warm_up_s": 1e9}, "leaves no item"),
        ({"stages": {"done": STAGE}}, "not a name of a stage"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(changed, message):
    with pytest.raises(InputError, match=message) as error:
        _ = simulate(scenario_of({**BASE, **changed})).summary
    assert "\n" not in str(error.value)
