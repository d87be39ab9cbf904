"""Where the time of a run's iterations goes: nothing lost, and what `explain` says of iterations of equal batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.breakdown import iteration_parts
from simulator.experiment import Result
from simulator.report.serving.limits import limiting_sentence, limits
from simulator.report.serving.series import lane_seconds, time_shares
from simulator.report.serving.step_time import KINDS, OTHER, by, step_time
from tests.report.test_report import RESULT, STAGED, result_of

SPLIT = result_of([20, 40, 60] * 5, disaggregation={"replicas": 1})


def recorded(result: Result) -> float:
    rows = result.iteration_columns
    return float((rows["end_s"] - rows["start_s"]).sum())


@pytest.mark.parametrize("result", [RESULT, STAGED, SPLIT], ids=["replicas", "stages", "disaggregated"])
def test_no_time_is_lost(result: Result) -> None:
    spent = step_time(result)
    assert sum(one.seconds for one in spent) == pytest.approx(recorded(result))
    assert all(one.seconds > 0 for one in spent)
    for field in ("kind", "family", "bound", "name"):
        assert sum(by(spent, field).values()) == pytest.approx(recorded(result))


@pytest.mark.parametrize("result", [RESULT, STAGED], ids=["replicas", "stages"])
def test_kinds_of_iteration_take_what_the_series_say(result: Result) -> None:
    kinds, shares = by(step_time(result), "kind"), time_shares(result)
    for kind, name in zip(KINDS, ("prefill", "mixed", "decode"), strict=False):
        assert kinds.get(kind, 0.0) / lane_seconds(result) == pytest.approx(shares[name])


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 2000), st.integers(2, 60))
def test_requests_one_by_one_are_explained_as_one_iteration_is(prompt: int, output: int) -> None:
    """One request at a time: prompts of one size, and contexts that hardly grow, are explained exactly."""
    result = result_of([output] * 3, gap=60.0)
    prompts = result.request_columns["prompt_tokens"]
    spent = [one for one in step_time(result) if one.kind == "prompts only"]
    alone = [iteration_parts(result.deployment, prefill=[(0, int(p))]) for p in prompts]
    exact: dict[str, float] = {}
    for part in (part for parts in alone for part in parts):
        exact[part.family] = exact.get(part.family, 0.0) + part.seconds
    found = by(spent, "family")
    assert found.keys() == exact.keys()
    assert all(found[family] == pytest.approx(exact[family], rel=0.02) for family in exact)


def test_operators_of_a_plain_run_explain_it_all() -> None:
    assert OTHER not in by(step_time(RESULT), "name")


def test_work_beside_the_model_is_named() -> None:
    result = result_of([40] * 10)
    rows = {name: column.copy() for name, column in result.iteration_columns.items()}
    rows["end_s"] = rows["end_s"] + (rows["end_s"] - rows["start_s"])
    slower = replace(result, iteration_columns=rows)
    spent = by(step_time(slower), "name")
    assert spent[OTHER] == pytest.approx(recorded(result), rel=0.02)
    assert sum(spent.values()) == pytest.approx(2 * recorded(result))


def test_without_iterations_there_is_nothing_to_explain() -> None:
    result = result_of([5, 6], keep_iterations=False)
    assert step_time(result) == []
    assert limiting_sentence(result, []) == ""


def test_what_limits_a_run() -> None:
    idle = result_of([5] * 6, gap=30.0)
    assert limits(idle).idle == pytest.approx(1 - recorded(idle) / lane_seconds(idle))
    assert "The load limits the run" in limiting_sentence(idle, step_time(idle))
    crowded = result_of([200] * 40, gap=0.001, batching={"max_num_seqs": 4, "max_num_batched_tokens": 64})
    assert "max_num_seqs limits the run" in limiting_sentence(crowded, step_time(crowded))
    tight = result_of([300] * 40, gap=0.001, kv_cache={"blocks": 120})
    assert "The KV cache limits the run" in limiting_sentence(tight, step_time(tight))
    assert limits(result_of([300] * 40, gap=0.001)).no_blocks == 0.0 < limits(tight).no_blocks
