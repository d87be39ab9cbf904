"""The search of layouts against trying them all, and its bounds against what they bound."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.cli import main
from simulator.engine.training.memory import stage_memory
from simulator.errors import InputError
from simulator.planning.training.bounds import least_bytes, least_seconds
from simulator.planning.training.plan import plan_training
from simulator.planning.training.search import search
from simulator.planning.training.space import Space
from simulator.specs.training_plan import TrainingPlan
from simulator.training import lay_out, train

SCHEDULES = [None, "gpipe", "zero-bubble", "zero-bubble-v", "dualpipe"]


def plan(**fields: Any) -> TrainingPlan:
    """A model that a device of 24 GB cannot hold in many of its layouts."""
    scenario = {
        "model": {"layers": 8, "hidden": 4096, "heads": 32},
        "device": "nvidia-l4-24gb",
        "batch": {"sequence": 2048, "global_size": 32},
    }
    usual: dict[str, Any] = {
        "kind": "training-plan",
        "devices": 8,
        "scenario": scenario,
        "search": {
            "layout.tensor": [1, 4],
            "micro": [1, 4],
            "layout.chunks": [1, 2],
            "schedule.policy": SCHEDULES,
            "recompute": ["none", "full"],
        },
    }
    return TrainingPlan.model_validate(usual | fields)


def test_pruning_never_loses_the_best() -> None:
    question = plan(best=3)
    found, best = search(Space(question))
    seconds = []
    for candidate in Space(question).candidates(Counter()):
        try:
            seconds.append(train(candidate.scenario).step.step_seconds)
        except InputError:
            continue
    assert [r.step.step_seconds for r in best] == pytest.approx(sorted(seconds)[:3])
    assert len(seconds) <= len(found.fitting)
    assert len(found.simulated) < len(seconds) / 2
    assert found.too_large


def test_bounds_are_optimistic() -> None:
    question = plan()
    for candidate in Space(question).candidates(Counter()):
        try:
            step = lay_out(candidate.scenario)
        except InputError:
            continue
        held = max(stage_memory(step, s).total for s in range(step.job.layout.pipeline))
        assert least_bytes(step) <= held * (1 + 1e-12)
        assert least_seconds(step) <= step.step_seconds * (1 + 1e-12)


@pytest.mark.parametrize(
    ("layout", "schedule"), [({"pipeline": 4}, None), ({"pipeline": 4, "zero": 2, "data": 2}, "zero-bubble")]
)
def test_bounds_hold_beside_sharding(layout: dict[str, Any], schedule: str | None) -> None:
    scenario = Space(plan(devices=8, search={})).scenario({f"layout.{k}": v for k, v in layout.items() if k != "data"})
    policy = scenario.schedule.model_copy(update={"policy": schedule})
    step = lay_out(scenario.model_copy(update={"schedule": policy}))
    assert least_seconds(step) <= step.step_seconds


def test_the_bound_is_exact_for_1f1b_with_the_longest_stage_last() -> None:
    """The last stage, which has the output head, begins after all others and is never kept waiting again."""
    step = lay_out(Space(plan(search={})).scenario({"layout.pipeline": 8, "layout.tensor": 1}))
    assert least_seconds(step) == pytest.approx(step.step_seconds, rel=1e-9)


def test_why_others_lose_adds_up() -> None:
    answer = plan_training(plan())
    best = answer.best[0].step.step_seconds
    for loss in answer.losses:
        if loss.seconds is not None:
            assert sum(loss.more.values()) == pytest.approx(loss.seconds - best, abs=1e-9)
            assert loss.seconds >= best
        if loss.seconds != best:
            assert loss.why
    choice = answer.choice(answer.best[0])
    winning = {(loss.field, loss.value) for loss in answer.losses if loss.seconds == best}
    assert set(choice.items()) - {("layout.data", choice["layout.data"])} >= winning


def test_a_search_that_believes_in_equal_links_runs_on_those_that_there_are() -> None:
    """It chooses what it would choose without a network, and can at best be as quick as a search that knows."""
    scenario = plan().scenario | {"device": "nvidia-a100-sxm-80gb"}
    axes = {"layout.chunks": [1], "micro": [1, 2], "layout.zero": [0], "recompute": ["none"]}
    alike = plan(devices=32, scenario=scenario, search=axes)
    network = {"topology": {"kind": "attained", "spread": 1.0}}
    real = plan(devices=32, scenario=scenario | {"network": network}, search=axes)
    believing = real.model_copy(update={"believed": {"network": None}})
    without, knowing, found = (plan_training(p) for p in (alike, real, believing))
    assert found.choice(found.chosen) == without.choice(without.best[0])
    assert found.best[0].step.step_seconds == without.best[0].step.step_seconds
    assert found.summary["step_s"] == train(found.chosen.scenario).step.step_seconds
    assert found.summary["step_s"] >= knowing.summary["step_s"]
    assert found.summary["step_s"] > without.summary["step_s"]


def test_the_command_writes_a_scenario_that_repeats_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan(best=2).model_dump()))
    assert main(["plan", str(file), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert found["search"]["simulated"] <= found["search"]["fit"]
    assert main(["train", str(tmp_path / "out" / "best.yaml"), "-q", "--json", str(tmp_path / "again.json")]) == 0
    assert json.loads((tmp_path / "again.json").read_text())["step_s"] == found["best"][0]["step_s"]
    assert "why others lose" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"search": {"layout.data": [1]}}, "layout.data takes the devices that are left"),
        ({"search": {"layout.tenser": [1]}}, "unknown setting 'layout.tenser': did you mean layout.tensor"),
        ({"search": {"layout.tensor": [1], "layout.pipeline": [1], "layout.zero": [0]}}, "fits: the leanest needs"),
        ({"search": {"layout.tensor": [3]}}, "can be laid out"),
        ({"search": {"layout.tensor": ["x"]}}, "layout.tensor lists 'x': give whole numbers"),
        ({"search": {"run.days": [1, 2]}}, "a search of layouts beside run.days"),
        ({"search": {"sites.count": [2, 4]}}, "a search of layouts beside sites.count"),
        ({"search": {"micro": list(range(1, 4000)), "stack": ["megatron"] * 400}}, "combinations are more than"),
        ({"scenario": {"model": "gpt2", "device": "nvidia-l4-24gb"}}, "batch is missing"),
    ],
)
def test_questions_that_have_no_answer_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_training(plan(**fields))


@pytest.mark.parametrize("field", [{"sites": {"count": 2}}, {"stragglers": {"slowdowns": [{"kind": "jitter"}]}}])
def test_what_a_search_would_pass_over_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"a search of layouts beside {next(iter(field))}"):
        plan_training(plan(scenario=plan().scenario | field))


MIXED: list[dict[str, Any]] = [
    {"of": [{"count": a, "device": "nvidia-a10-24gb"}, {"count": b}], "partition": {"policy": policy}}
    for a, b in ((1, 1), (2, 2)) for policy in ("equal", "minimax")
] + [{"of": [{"device": "nvidia-a10-24gb", "tensor": 2}, {"count": 2}], "between": "ethernet-10"}]  # fmt: skip


def mixed_plan() -> TrainingPlan:
    axes = {"stages": MIXED, "layout.tensor": [1, 2], "recompute": ["none", "full"], "layout.zero": [0, 1]}
    return plan(best=3, search=axes | {"layout.chunks": [1, 2], "micro": [1], "layout.sequence_parallel": [False]})


def test_a_search_over_unlike_stages_finds_the_best_of_all_and_its_bounds_are_optimistic() -> None:
    question, tried = mixed_plan(), []
    found, best = search(Space(question))
    for candidate in Space(question).candidates(Counter()):
        assert sum(candidate.scenario.layout.data * (s.tensor or candidate.choice["layout.tensor"])
                   for s in candidate.scenario.stages.each) == question.devices  # fmt: skip
        try:
            step = lay_out(candidate.scenario)
        except InputError:
            continue
        assert least_seconds(step) <= step.step_seconds * (1 + 1e-12)
        try:
            tried.append(train(candidate.scenario).step.step_seconds)
        except InputError:
            continue
    assert [r.step.step_seconds for r in best] == pytest.approx(sorted(tried)[:3])
    assert len(tried) > 5
    assert found.considered == 5 * 2 * 2 * 2 * 2


def test_the_best_unlike_stages_can_be_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(mixed_plan().model_dump()))
    assert main(["plan", str(file), "--out", str(tmp_path / "out")]) == 0
    assert "1 x 2 nvidia-a10-24gb + 2 x usual" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert main(["train", str(tmp_path / "out" / "best.yaml"), "-q", "--json", str(tmp_path / "again.json")]) == 0
    assert json.loads((tmp_path / "again.json").read_text())["step_s"] == found["best"][0]["step_s"]


def test_listed_stages_are_not_counted_again() -> None:
    with pytest.raises(InputError, match=r"stages beside layout\.pipeline"):
        search(Space(plan(search={"stages": MIXED, "layout.pipeline": [2]})))
