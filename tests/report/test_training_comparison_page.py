"""The page of training scenarios side by side, and the tables that a step's page shares with the terminal."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.cli import main
from simulator.comparison.training import TrainingComparison, compare_training
from simulator.report.comparison.training import figure_rows, sentences
from simulator.report.comparison.training_page import training_comparison_page
from simulator.report.training.page import training_report
from simulator.specs.training import TrainingScenario
from simulator.training import train
from tests.report.pages import check

MODEL = {"layers": 8, "hidden": 1024, "heads": 16}
STEP: dict[str, Any] = {
    "kind": "training",
    "model": MODEL,
    "device": "nvidia-a100-sxm-80gb",
    "batch": {"sequence": 512, "micro": 1, "global_size": 16},
    "layout": {"pipeline": 4, "tensor": 2},
}


def compared(folder: Path, *changes: dict[str, Any]) -> TrainingComparison:
    paths = []
    for name, change in zip(("one", "two", "three"), changes, strict=False):
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(STEP | change, sort_keys=False))
    return compare_training(paths)


def test_parts_of_a_comparison_add_up_to_the_difference_of_the_steps(tmp_path: Path) -> None:
    """For as many tokens: twice the batch takes half of its step for those of the first."""
    large = {"batch": {"sequence": 512, "micro": 1, "global_size": 32}}
    found = compared(tmp_path, {}, {"recompute": "full"}, large)
    steps = [r.summary["step_s"] for r in found.results]
    assert sum(p.more for p in found.parts(1)) == pytest.approx(steps[1] - steps[0])
    assert sum(p.more for p in found.parts(2)) == pytest.approx(steps[2] / 2 - steps[0])
    assert found.parts(1)[0].name == "recompute"
    assert [abs(p.more) for p in found.parts(1)] == sorted((abs(p.more) for p in found.parts(1)), reverse=True)
    assert found.best["tokens_per_s"] == ["three"]
    assert found.best["memory_gb"] == ["two"]
    told = sentences(found)
    assert told[0] == "three is the quickest by tokens a second."
    assert re.match(r"two takes .* more than one for as many tokens: recompute \+", told[1])


def test_the_comparison_page_holds_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes: list[dict[str, Any]] = [{"name": "a <b>"}, {"recompute": "full"}, {"run": {"days": 1}}]
    found = compared(tmp_path, *changes)
    page = training_comparison_page(found)
    check(page)
    assert page == training_comparison_page(
        compared(tmp_path, {"name": "a <b>"}, {"recompute": "full"}, {"run": {"days": 1}})
    )
    for text in sentences(found):
        assert html.escape(text) in page
    own = [r.summary["step_s"] for r in found.results]
    assert f"{own[1]:,.3f} ({own[1] / own[0] - 1:+.1%})" in page
    assert "effective training time (goodput)" in page
    assert page.count("<svg") == 4
    codes = [yaml.safe_load(html.unescape(t)) for t in re.findall("<pre>(.*?)</pre>", page, re.DOTALL)]
    assert [TrainingScenario.model_validate(c) for c in codes] == [r.scenario for r in found.results]
    names = [str(tmp_path / f"{name}.yaml") for name in found.labels]
    assert main(["compare", *names, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "report.html").read_text() == page
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.html", "summary.json"]
    assert "which is best" in capsys.readouterr().out


def test_a_part_that_only_a_later_scenario_has_is_nothing_in_the_others(tmp_path: Path) -> None:
    """Offloading has parts of its own, as have rings, experts and sharded weights."""
    away = {"layout": {}, "offload": {"policy": "zero-offload"}}
    kinds = [
        {"layout": {"data": 4, "zero": 3}},
        {"layout": {"data": 4, "context": 2}, "context": {"policy": "ulysses"}},
        {"layout": {"context": 4}},
        {"layout": {"tensor": 2}, "recompute": "full"},
    ]
    for change in kinds:
        check(training_comparison_page(compared(tmp_path, {}, change, away)))
    check(training_comparison_page(compared(tmp_path, *kinds[:3])))


def test_workers_with_a_parameter_server_are_compared_by_their_own_pace(tmp_path: Path) -> None:
    """Their synchronous step is the same; what differs is how long they wait for the server."""
    slow, quick = (
        {"layout": {"data": 4}, "parameter_server": {"steps": 12, "warm_up": 2, "gbit_per_s": gbit}}
        for gbit in (10.0, 100.0)
    )
    found = compared(tmp_path, slow, quick)
    assert found.results[0].summary["step_s"] == found.results[1].summary["step_s"]
    assert found.best["tokens_per_s"] == ["two"]
    check(training_comparison_page(found))


def test_small_figures_have_digits_and_what_rounding_leaves_has_none(tmp_path: Path) -> None:
    rows = {row["figure"]: row for row in figure_rows(compared(tmp_path, {"layout": {}}, {"layout": {}}))}
    assert 0.0 < float(rows["energy (kWh a step)"]["one"]) < 0.001
    assert rows["wait (s)"]["one"] == "0.000"


def test_equal_scenarios_are_said_to_be_equal(tmp_path: Path) -> None:
    found = compared(tmp_path, {}, {})
    page = training_comparison_page(found)
    check(page)
    assert "All are equally quick" in page
    assert "two takes as long as one in every part of the step" in page
    assert "Nothing but names." in page


@pytest.mark.parametrize(
    ("fields", "titles"),
    [
        ({}, ["Communication of a device"]),
        (
            {"layout": {}, "offload": {"policy": "zero-infinity"}},
            ["What a step moves for one device", "Memory by place (GB a device)", "What bounds the step"],
        ),
        (
            {"layout": {"pipeline": 4}, "offload": {"policy": "pipe-offload"}},
            ["Activations of one device that wait in the host"],
        ),
        ({"sites": {"count": 2}}, ["Sites"]),
        (
            {"run": {"days": 30, "failures": [{"cause": "device", "of": "device", "mtbf_h": 2000}]}},
            ["The run", "Lost time", "Checkpoints (s)"],
        ),
    ],
    ids=["links", "offload", "copies", "sites", "run"],
)
def test_the_page_of_a_step_has_the_tables_of_the_terminal(
    fields: dict[str, Any], titles: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "step.yaml").write_text(yaml.safe_dump(STEP | fields, sort_keys=False))
    assert main(["train", str(tmp_path / "step.yaml"), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    check(page)
    assert page == training_report(train(TrainingScenario.model_validate(STEP | fields)))
    for title in titles:
        assert f"<h2>{title}</h2>" in page
        assert title[0].lower() + title[1:] in printed
        table = page.split(f"<h2>{title}</h2>")[1].split("</table>")[0]
        cells = [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", table)]
        assert cells
        assert [c for c in cells if c not in printed] == []
