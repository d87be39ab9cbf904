"""Plans end to end: the search against exhaustive enumeration, files that reproduce, refusals, and what is said."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy.stats import binom

from simulator.cli import main
from simulator.errors import InputError
from simulator.planning import guided as guided_module
from simulator.planning.evaluate import Question, evaluate, spare_replicas
from simulator.planning.load import hold
from simulator.planning.objectives import flatten
from simulator.planning.plan import Plan, pareto, plan
from simulator.planning.space import Space
from simulator.planning.spec import Availability, PlanSpec, load_plan, plan_from

ROOT = Path(__file__).parents[2]
SAMPLE = str(ROOT / "traces" / "azure-like-conversation.csv.gz")


def values(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "planning",
        "model": "meta-llama/Llama-3.1-8B",
        "load": {"trace": SAMPLE, "limit": 60, "speed_up": 4.0},
        "objectives": {"ttft_ms": {"p99": 800}, "tpot_ms": {"p90": 40}},
        "devices": ["nvidia-l40s-48gb", "nvidia-a100-sxm-80gb"],
        "layouts": [{"parallel.tensor": 1}, {"parallel.tensor": 2}],
        "vary": {"precision.weights": ["bf16", "fp8"]},
        "max_replicas": 4,
        "top": 1,
    } | changes


def enumerated(spec: PlanSpec) -> float:
    """The cheapest hourly cost over every configuration and every number of replicas."""
    space = Space(spec)
    held = hold(space.check().load)
    question = Question(held, flatten(spec.objectives, held), spec.objectives.availability, spec.energy_price_per_kwh)
    costs = []
    for configuration in filter(None, map(space.at, space.choices())):
        for replicas in range(1, configuration.most + 1):
            outcome = evaluate(question, configuration, replicas)
            if outcome.met:
                costs.append(outcome.usd_per_hour)
    return min(costs)


@pytest.fixture(scope="module")
def answered() -> Plan:
    return plan(plan_from(values(uncertainty=2)), jobs=1)


def test_branch_and_bound_finds_what_enumeration_finds(answered: Plan) -> None:
    assert answered.ranked[0].usd_per_hour == enumerated(answered.spec)


def test_pools_apart_are_planned_in_their_ratio(tmp_path: Path) -> None:
    """A unit is a decode replica with its prefill replicas: all are counted and paid, and the plan is the cheapest."""
    layouts = [{"parallel.tensor": 1}, *({"parallel.tensor": 1, "disaggregation.replicas": n} for n in (1, 2))]
    spec = plan_from(values(layouts=layouts, objectives={"ttft_ms": {"p99": 800}, "tpot_ms": {"p99": 21}}, top=3))
    answer = plan(spec, jobs=1)
    assert answer.ranked[0].usd_per_hour == enumerated(spec)
    unit = Space(spec).at((0, 2, 0))
    assert unit is not None
    assert "prefill replicas 2" in unit.label
    held = hold(unit.scenario.load)
    question = Question(held, flatten(spec.objectives, held), None, 0.0)
    found = evaluate(question, unit, 2, stop=False)
    pools = unit.with_replicas(2)
    assert pools.disaggregation is not None
    assert (pools.replicas, pools.disaggregation.replicas) == (2, 4)
    assert found.devices == found.summary["deployment"]["devices"] == 6
    assert found.usd_per_hour == pytest.approx(6 * unit.price)


def test_more_processes_give_the_same_plan(answered: Plan) -> None:
    assert plan(answered.spec, jobs=2).facts == answered.facts


def test_every_ranked_deployment_holds_and_is_in_order(answered: Plan) -> None:
    costs = [o.usd_per_hour for o in answered.ranked]
    assert costs == sorted(costs)
    for o in answered.ranked:
        assert o.figures["TTFT P99"] <= 800
        assert o.figures["TPOT P90"] <= 40
        assert o.usd_per_hour == pytest.approx(o.devices * o.configuration.price)
        assert o.usd_per_million_tokens == pytest.approx(o.summary["cost"]["usd_per_million_tokens"])


def test_the_front_beats_every_other_deployment_somewhere(answered: Plan) -> None:
    front = pareto(answered.feasible, ["tpot_p99"])
    for o in answered.feasible:
        assert any(
            f.usd_per_hour <= o.usd_per_hour
            and f.summary["latency_ms"]["tpot"]["p99"] <= o.summary["latency_ms"]["tpot"]["p99"]
            for f in front
        )


def test_it_says_what_binds_and_what_would_relax_it(answered: Plan) -> None:
    best = answered.facts["deployments"][0]
    assert "tightest objective" in best["binding"]["sentence"]
    assert "KV headroom" in best["binding"]["sentence"]
    assert sum(best["binding"]["shares_of_mean_iteration"].values()) == pytest.approx(1.0)
    assert best["load_headroom"] >= 0
    assert 0 <= best["intervals"]["probability_of_all"] <= 1
    assert answered.facts["relaxing"]["sentence"]


def test_the_load_headroom_is_borne(answered: Plan) -> None:
    best, held = answered.ranked[0], hold(answered.ranked[0].configuration.scenario.load)
    objectives = flatten(answered.spec.objectives, held)
    factor = 1.0 + answered.facts["deployments"][0]["load_headroom"]
    assert evaluate(Question(held.sped_up(factor), objectives, None, 0.0), best.configuration, best.replicas).met


def test_best_yaml_gives_the_same_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = values(devices=["nvidia-l40s-48gb"], layouts=[{}], vary={"max_num_seqs": [16, 256]}, growth=1.5)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(small))
    out = tmp_path / "out"
    assert main(["plan", str(tmp_path / "plan.yaml"), "--out", str(out), "--jobs", "1"]) == 0
    assert "binding:" in capsys.readouterr().out
    assert sorted(p.name for p in out.iterdir()) == ["best.yaml", "deploy", "plan.json", "report.html", "summary.json"]
    assert main(["run", str(out / "best.yaml"), "--quiet", "--json", str(tmp_path / "again.json")]) == 0
    first = json.loads((out / "plan.json").read_text())["deployments"][0]
    assert json.loads((tmp_path / "again.json").read_text()) == first["summary"]
    assert (tmp_path / "again.json").read_bytes() == (out / "summary.json").read_bytes()
    page = (out / "report.html").read_text()
    assert "What binds each" in page and "<svg" in page and "http-equiv" not in page


def test_an_objective_out_of_reach_names_the_closest(tmp_path: Path) -> None:
    spec = plan_from(values(objectives={"tpot_ms": {"p99": 1.0}}, devices=["nvidia-l40s-48gb"], max_replicas=2))
    answer = plan(spec, jobs=1)
    assert not answer.ranked
    assert answer.closest is not None and answer.closest.tension > 1
    assert "fp8" in answer.closest.configuration.label and "TP2" in answer.closest.configuration.label
    assert "tightest objective" in answer.facts["deployments"][0]["binding"]["sentence"]
    assert "nearest" in answer.facts["relaxing"]["sentence"] or "nearer" in answer.facts["relaxing"]["sentence"]


def test_guided_search_comes_close_and_repeats(answered: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guided_module, "WAVE", 4)
    spec = plan_from(values(exhaustive_up_to=1, trials=8))
    one = plan(spec, jobs=1)
    assert "Optuna" in one.facts["search"]["method"]
    assert one.facts["search"]["considered"] <= 8
    assert one.ranked[0].usd_per_hour == answered.ranked[0].usd_per_hour
    assert plan(spec, jobs=1).facts == one.facts


def test_spares_follow_the_binomial_law() -> None:
    availability = Availability(replica=0.99, target=0.9995)
    for replicas in (1, 4, 20):
        spares = spare_replicas(replicas, availability)
        assert binom.sf(replicas - 1, replicas + spares, 0.99) >= 0.9995
        assert spares == 0 or binom.sf(replicas - 1, replicas + spares - 1, 0.99) < 0.9995


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in sorted((ROOT / "simulator" / "planning" / "specs").glob("*.yaml"))
        if "kind: training" not in p.read_text()
    ],
    ids=lambda p: p.stem,
)
def test_shipped_plans_are_sound(path: Path) -> None:
    space = Space(load_plan(path))
    space.check()
    assert space.size >= 4


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"objektives": {}}, "did you mean objectives?"),
    "unknown field inside": ({"devices": [{"device": "nvidia-l40s-48gb", "pric": 1}]}, "devices.0.price_per_hour"),
    "no objective": ({"objectives": {}}, "give one, for example ttft_ms"),
    "unknown device": ({"devices": ["nvidia-h1000"]}, "unknown device"),
    "unknown setting": ({"vary": {"max_num_sequences": [1]}}, "did you mean"),
    "replicas": ({"vary": {"replicas": [1, 2]}}, "bound it by max_replicas"),
    "no price": ({"devices": ["amd-mi100"]}, "add price_per_hour"),
    "nothing sensible": ({"vary": {"max_num_seqs": [-1]}}, "max_num_seqs"),
    "no such column": ({"objectives": {"classes": [{"priority": 1, "ttft_ms": {"p99": 1}}]}}, "no priority column"),
    "unknown model": ({"model": "meta-llama/Llama-9"}, "unknown model"),
    "growth of a closed loop": ({"growth": 2, "load": {"trace": SAMPLE, "concurrency": 4}}, "raise load.concurrency"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_plans_get_one_clear_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes, expected = BAD[name]
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(values(**changes)))
    assert main(["plan", str(path), "--jobs", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error


def test_large_spaces_name_the_extra_that_searches_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as where it is not installed
    with pytest.raises(InputError, match=r"simulator\[search\].*exhaustive_up_to"):
        plan(plan_from(values(exhaustive_up_to=1, trials=8)), jobs=1)
