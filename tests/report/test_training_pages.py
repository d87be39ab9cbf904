"""Pages of rounds, of federations, of plans of layouts and of operator graphs."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from simulator.cli import main
from simulator.federated import FederatedResult, simulate_federation
from simulator.inference import infer
from simulator.kinds import simulate
from simulator.planning.training.plan import TrainingAnswer, plan_training
from simulator.report.graphs.inference_page import inference_page
from simulator.report.planning.layouts_page import training_plan_page
from simulator.report.sections import Section, numeric, sectioned_page
from simulator.report.training.federated_page import federated_page
from simulator.report.training.rounds_page import rounds_page
from simulator.rounds import RoundsResult, simulate_rounds
from simulator.specs.federated import FederatedScenario
from simulator.specs.inference import InferenceScenario
from simulator.specs.rounds import RoundsScenario
from simulator.specs.training_plan import TrainingPlan
from tests.report.pages import check


def rounds(**fields: Any) -> RoundsResult:
    usual: dict[str, Any] = {"kind": "rounds", "workers": 8, "rounds": 30, "work": {"batch_s": 8}}
    return simulate_rounds(RoundsScenario.model_validate(usual | fields))


def federation(**fields: Any) -> FederatedResult:
    usual: dict[str, Any] = {
        "kind": "federated",
        "model": {"parameters": 1_000_000, "step_gflop": 1},
        "clients": {
            "count": 60,
            "gflop_per_s": {"median": 1, "deviation": 0.5},
            "uplink_mbit_per_s": {"median": 10},
            "downlink_mbit_per_s": {"median": 40},
        },
        "hours": 0.5,
        "server": {"policy": "buffered", "options": {"clients": 20, "buffer": 4}},
    }
    return simulate_federation(FederatedScenario.model_validate(usual | fields))


@pytest.fixture(scope="module")
def answer() -> TrainingAnswer:
    """Layouts of a model that most of them have no memory for."""
    return plan_training(
        TrainingPlan.model_validate(
            {
                "kind": "training-plan",
                "name": "a <b> & c",
                "devices": 8,
                "scenario": {
                    "model": {"layers": 8, "hidden": 4096, "heads": 32},
                    "device": "nvidia-l4-24gb",
                    "batch": {"sequence": 2048, "global_size": 32},
                },
                "search": {"layout.tensor": [1, 4, 8], "micro": [1, 4], "layout.chunks": [1], "recompute": ["none"]},
            }
        )
    )


SERVERS: list[dict[str, Any]] = [
    {"policy": "buffered", "options": {"clients": 20, "buffer": 4}},
    {"policy": "synchronous", "options": {"clients": 10, "deadline_s": 12}},
    {"policy": "asynchronous", "options": {"clients": 5}},
    {"policy": "polling", "options": {"clients": 5, "interval_s": 10}},
]


@pytest.mark.parametrize(
    ("make", "page"),
    [
        (lambda: rounds(slowdowns=[{"kind": "jitter"}], name="a <b> & c"), rounds_page),
        (lambda: rounds(rounds=1), rounds_page),
        (lambda: rounds(rounds=900, workers=40, slowdowns=[{"kind": "jitter"}]), rounds_page),
        *((lambda server=server: federation(server=server, name="a <b> & c"), federated_page) for server in SERVERS),
        (lambda: federation(hours=1e-4), federated_page),
        (
            lambda: infer(InferenceScenario(model="resnet-50", device="nvidia-l4-24gb")),
            inference_page,
        ),
    ],
    ids=["rounds", "one", "many", "buffered", "synchronous", "asynchronous", "polling", "no update", "inference"],
)
def test_pages_are_whole_and_repeat_themselves(make: Callable[[], Any], page: Callable[[Any], str]) -> None:
    result, again = make(), make()
    text = page(result)
    check(text)
    assert text == page(again)
    code = html.unescape(text.split("<pre>")[1].split("</pre>")[0])
    assert type(result.scenario).model_validate(yaml.safe_load(code)) == result.scenario
    assert ("a &lt;b&gt; &amp; c" in text) == bool(result.scenario.name)


def test_one_slow_worker_is_the_one_that_is_waited_for() -> None:
    """Seven of eight wait for four fifths of each round; a page names the eighth."""
    result = rounds(slowdowns=[{"kind": "static", "workers": 1, "factor": 5}])
    found = result.summary
    assert found["waited_for"] == [{"worker": 0, "rounds": 30, "late_share": 0.0}]
    assert found["waiting_share"] == pytest.approx(7 / 8 * 4 / 5)
    assert found["usual_s"] == 1.0
    page = rounds_page(result)
    assert "A round takes 5.00 times as long" in page
    assert "70% goes by" in page
    dropped = rounds(
        slowdowns=[{"kind": "static", "workers": 1, "factor": 5}],
        rule={"policy": "backup-workers", "options": {"workers": 1}},
    ).summary
    assert dropped["waiting_share"] == 0.0
    assert {w["worker"] for w in dropped["waited_for"]} == set(range(1, 8))


def test_rounds_that_a_deadline_ends_are_nobodys() -> None:
    rule = {"policy": "gradient-coding", "options": {"stragglers": 3, "tolerance": 0.3}}
    result = rounds(rounds=400, rule=rule, slowdowns=[{"kind": "jitter", "mean": 0.3}])
    found, outcome = result.summary, result.outcome
    deadlines = np.isclose(outcome.seconds, 1.3 * outcome.answers.min(axis=1), rtol=1e-12)
    assert 0 < found["ended_by_deadline"] == int(deadlines.sum()) < 400


def test_the_gap_falls_to_where_training_stands() -> None:
    progress = {"rate": 0.05, "noise": 0.0, "target": 0.1}
    outcome = rounds(rounds=500, progress=progress).outcome
    assert outcome.gaps == pytest.approx(0.95 ** np.arange(1, outcome.gaps.size + 1))
    assert outcome.gaps[-1] == outcome.progress.gap <= 0.1 < outcome.gaps[-2]


@pytest.mark.parametrize("server", SERVERS, ids=lambda s: str(s["policy"]))
def test_updates_over_time_add_up_to_all_updates(server: dict[str, Any]) -> None:
    found = federation(server=server).gathered
    assert found.at.size == found.updates > 0
    assert (np.diff(found.at) >= 0).all()
    assert (np.diff(found.taken, prepend=0) > 0).all()
    assert found.taken[-1] == found.used.sum() == found.staleness.size
    assert (found.made >= found.taken).all()
    assert found.made[-1] <= found.used.sum() + found.given_up


def test_a_federation_page_tells_staleness_only_where_there_is_some() -> None:
    assert "Staleness over time" in federated_page(federation())
    result = federation(server=SERVERS[1])
    page = federated_page(result)
    assert "Staleness over time" not in page
    assert f"{result.summary['given_up_share']:.1%}" in page
    assert result.summary["given_up_share"] > 0
    assert "given up</text>" in page


def test_the_plan_page_says_why_the_best_is_the_best(answer: TrainingAnswer, tmp_path: Path) -> None:
    page = training_plan_page(answer)
    check(page)
    assert page == training_plan_page(answer)
    assert "a &lt;b&gt; &amp; c" in page
    summary = answer.summary
    for best in summary["best"]:
        assert f"{best['step_s']:,.3f}" in page
        assert f"{best['memory_gb']['total']:,.1f}" in page
    large = summary["search"]["leanest_too_large"]
    assert large
    assert all(x["memory_gb"] > summary["capacity_gb"] for x in large)
    assert [x["memory_gb"] for x in large] == sorted(x["memory_gb"] for x in large)
    assert f"{large[0]['memory_gb']:,.1f}" in page
    tensor = [x for x in summary["why_others_lose"] if x["field"] == "layout.tensor" and x["step_s"] and x["why"]]
    least = min(tensor, key=lambda x: x["step_s"])
    more = least["step_s"] / summary["best"][0]["step_s"] - 1
    assert f"with {least['value']} the quickest layout takes {more:.1%} more ({least['why']})" in page
    (tmp_path / "plan.yaml").write_text(html.unescape(re.findall("<pre>(.*?)</pre>", page, re.DOTALL)[1]))
    assert main(["plan", str(tmp_path / "plan.yaml"), "-q", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "report.html").read_text() == page


def test_every_kind_of_training_writes_its_page(tmp_path: Path) -> None:
    for kind, result in (("rounds", rounds()), ("federated", federation())):
        file = tmp_path / f"{kind}.yaml"
        file.write_text(yaml.safe_dump(result.scenario.model_dump(), sort_keys=False))
        for command in ("train", "run"):
            out = tmp_path / command / kind
            assert main([command, str(file), "-q", "--out", str(out)]) == 0
            assert sorted(p.name for p in out.iterdir()) == ["report.html", "summary.json"]
            page = rounds_page if kind == "rounds" else federated_page
            assert (out / "report.html").read_text() == page(simulate(result.scenario))


def test_columns_of_numbers_are_told_from_words() -> None:
    rows = [
        {"a": "1,000.5", "b": "12.1%", "c": "+3 s", "d": "none", "e": "", "f": "1.2 (-3.4%)", "g": "2 of 3"},
        {"a": "-2", "b": "-", "c": "-0.5", "d": "none", "e": "7", "f": "3", "g": "4"},
    ]
    assert numeric(rows) == {"a", "b", "c", "e", "f"}


def test_sections_without_content_are_left_out() -> None:
    page = sectioned_page("t", "s", [Section("empty"), Section("full", [{"figure": "x", "value": "1 s"}])])
    check(page)
    assert "empty" not in page
    assert '<td class="v">1 s</td>' in page
    assert "<th" not in page
