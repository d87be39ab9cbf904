"""What outcomes show: flat summaries, tables that add up, clear errors, and HTML that a parser accepts."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator
from simulator.report.flat import flat
from tests.api.scenarios import (  # fmt: skip
    CASCADE,
    FEDERATED,
    INFERENCE,
    KINDS,
    NETWORK_SEARCH,
    PIPELINE,
    PLAN,
    ROUNDS,
    SERVING,
    TRAINING,
    TRAINING_PLAN,
)

LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3)
NAMES = st.text("abcxyz_", min_size=1, max_size=4)
NESTED = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4), lambda inner: st.dictionaries(NAMES, LEAVES | inner, max_size=4)
)


@given(NESTED)
def test_flat_names_lead_back_to_their_leaves(values: dict[str, Any]) -> None:
    found = flat(values)
    for name, value in found.items():
        inner: Any = values
        for part in name.split("."):
            inner = inner[part]
        assert inner is value or inner == value
    normalised = pd.json_normalize(values).to_dict("records")[0] if values else {}
    assert set(found) == {name for name, value in normalised.items() if value != {}}


def test_lists_are_left_out_and_numbers_are_python_s() -> None:
    found = flat({"a": {"b": np.float64(1.5), "n": np.int64(2)}, "rows": [1, 2], "none": None, "empty": {}})
    assert found == {"a.b": 1.5, "a.n": 2, "none": None}
    assert [type(found["a.b"]), type(found["a.n"])] == [float, int]


def test_summaries_stand_side_by_side() -> None:
    one, other = simulator.run(SERVING), simulator.run(SERVING, settings={"replicas": 1, "name": "one replica"})
    table = pd.DataFrame([one.summary, other.summary])
    assert list(table.index) == ["eight billion", "one replica"]
    assert table.loc["one replica", "deployment.replicas"] == 1
    assert one.summary["latency_ms.ttft.p99"] == one.figures["latency_ms"]["ttft"]["p99"]
    requests = one.requests
    assert one.summary["latency_ms.ttft.p99"] == pytest.approx(1e3 * np.percentile(requests.ttft_s, 99))
    assert one.summary["requests.finished"] == len(requests) == 40
    assert requests is one.requests


def test_sweeps_name_figures_as_summaries_do() -> None:
    one, two = simulator.sweep({"scenario": SERVING, "vary": {"replicas": [1, 2]}}, workers=1).results.to_dict(
        "records"
    )
    for row in (one, two):
        alone = simulator.run(SERVING, settings={"replicas": row["replicas"]}).summary
        shared = {name for name in alone.index if isinstance(alone[name], int | float)}
        assert len(shared) > 50
        assert {name: row[name] for name in shared} == {name: alone[name] for name in shared}


def test_iterations_hold_every_token() -> None:
    found = simulator.run(SERVING)
    series, requests = found.timeseries, found.requests
    assert (series.end_s >= series.start_s).all()
    assert (series.end_s.diff().dropna() >= 0).all()
    assert series.replica.dtype == np.int64
    assert set(series.replica) == {0, 1}
    first, computed = len(requests), (series.decode_sequences * series.steps).sum()
    assert computed + first == requests.output_tokens.sum()
    assert series.prefill_tokens.sum() == requests.prompt_tokens.sum() - requests.cached_tokens.sum()


def test_calls_are_those_of_requests() -> None:
    found = simulator.run(CASCADE)
    assert found.tables == ("requests", "calls")
    assert len(found.calls) == found.requests.calls.sum()
    assert set(found.calls.pool) <= {"edge", "cloud"}


def test_passes_end_with_the_step() -> None:
    found = simulator.train(TRAINING)
    passes = found.passes
    assert passes.end_s.max() == pytest.approx(found.summary["step_s"], rel=0.01)
    computed = passes[passes.stream == "compute"].groupby("stage").name.count()
    assert computed.tolist() == [2 * 8 / (1 * TRAINING["layout"].get("data", 1))] * 2
    overlapping = passes[passes.stream == "compute"].sort_values(["stage", "start_s"])
    for _, stage in overlapping.groupby("stage"):
        assert (stage.start_s.to_numpy()[1:] >= stage.end_s.to_numpy()[:-1] - 1e-12).all()
    memory = found.table("memory")
    assert memory.total_gb.max() == found.summary["peak_memory_gb"]
    assert found.timeseries.held_bytes.min() >= 0


def test_kernels_add_up_to_the_latency() -> None:
    found = simulator.run(INFERENCE)
    assert found.kernels.seconds.sum() * 1e3 == pytest.approx(found.summary["latency_ms"], rel=0.05)
    assert found.kernels.equals(simulator.explain(INFERENCE))


def test_tables_of_the_other_kinds() -> None:
    assert len(simulator.run(PIPELINE).items) == 60
    rounds = simulator.run(ROUNDS)
    assert rounds.timeseries.round_s.sum() == pytest.approx(rounds.timeseries.end_s.iloc[-1])
    assert simulator.run(FEDERATED).timeseries.at_s.is_monotonic_increasing
    search = simulator.run(NETWORK_SEARCH)
    assert len(search.candidates) == search.summary["candidates"] == 6
    assert len(search.front) == search.summary["front"]
    layouts = simulator.plan(TRAINING_PLAN).layouts
    assert layouts.step_s.is_monotonic_increasing
    assert layouts.step_s.iloc[0] == simulator.run(TRAINING_PLAN).summary["step_s"]


def test_a_plan_names_its_best() -> None:
    found = simulator.plan(PLAN, jobs=1)
    assert found.deployments.usd_per_hour.is_monotonic_increasing
    assert found.summary["best.usd_per_hour"] == found.deployments.usd_per_hour.iloc[0]
    assert set(found.front.deployment) <= {"nvidia-l40s-48gb", "nvidia-l4-24gb"}
    again = simulator.run(found.result.best_scenario)
    assert again.summary["latency_ms.ttft.p99"] == found.deployments["latency_p99_ms.ttft"].iloc[0]
    unsure = simulator.plan(PLAN, settings={"uncertainty": 3, "devices": ["nvidia-l4-24gb"]}, jobs=1)
    low, high = unsure.intervals.loc["latency_ms.ttft.p99"]
    assert 0 < low < high
    stricter = simulator.plan(PLAN, settings={"objectives.ttft_ms.p99": 0.001}, jobs=1)
    assert not stricter.summary["feasible"]


def test_comparisons_name_figures_by_scenario() -> None:
    other = {**SERVING, "name": "one", "replicas": 1}
    found = simulator.compare([SERVING, other])
    runs = found.table("scenarios")
    assert runs.loc["one"].to_dict() == simulator.run(other).summary.to_dict()
    more = runs.loc["one", "latency_ms.e2e.mean"] - runs.loc["eight billion", "latency_ms.e2e.mean"]
    assert found.summary["one.e2e.mean.difference"] == pytest.approx(more)
    assert 1e3 * found.differences.e2e_s.mean() == pytest.approx(more)
    verdicts = found.table("verdicts").set_index(["metric", "statistic"])
    assert verdicts.loc[("e2e", "mean"), "unit"] == "s"
    assert 1e3 * verdicts.loc[("e2e", "mean"), "difference"] == pytest.approx(more)
    steps = simulator.compare([TRAINING, {**TRAINING, "name": "wide", "layout": {"tensor": 4}}])
    assert steps.summary["wide.step_s"] == steps.differences.loc["step_s", "wide"]
    nets = simulator.compare([INFERENCE, {**INFERENCE, "name": "more", "batch": 16}])
    assert nets.summary["more.batch"] == 16
    assert nets.summary["a classifier.latency_ms"] == simulator.run(INFERENCE).summary["latency_ms"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_in_a_notebook(kind: str, tmp_path: Path) -> None:
    found = simulator.run(KINDS[kind])
    block = found._repr_html_()
    ET.fromstring(block.replace("xlink:href", "href"))  # well-formed, every tag closed
    assert "http" not in block.replace("http://www.w3.org", "")
    assert found.kind in repr(found)
    assert 2 <= len(repr(found).splitlines()) <= 4
    assert found.report(tmp_path / "page.html").read_text().lower().startswith("<!doctype html>")


def test_text_of_users_is_escaped() -> None:
    block = simulator.run(INFERENCE, settings={"name": "<script>alert(1)</script>"})._repr_html_()
    assert "<script" not in block
    assert "&lt;script&gt;" in block


def test_what_a_kind_has_not(tmp_path: Path) -> None:
    served, step = simulator.run(SERVING), simulator.train(TRAINING)
    with pytest.raises(simulator.InputError, match="kind serving has no table 'passes'; it has: requests, timeseries"):
        _ = served.passes
    with pytest.raises(simulator.InputError, match="kind training has no table 'requests'"):
        _ = step.requests
    with pytest.raises(simulator.InputError, match="give uncertainty=N"):
        _ = served.intervals
    with pytest.raises(simulator.InputError, match="not modelled for kind training"):
        simulator.run(TRAINING, uncertainty=3)
    with pytest.raises(simulator.InputError, match="give metrics=True"):
        served.metrics(tmp_path / "metrics.txt")
    for kind in (CASCADE, TRAINING):
        with pytest.raises(simulator.InputError, match="metrics is not modelled for kind"):
            simulator.run(kind, metrics=True)
    with pytest.raises(simulator.InputError, match="kind rounds has no timeline"):
        simulator.run(ROUNDS).save(tmp_path / "rounds", timeline=True)
    with pytest.raises(simulator.InputError, match="no timeline"):
        simulator.run(ROUNDS).timeline(tmp_path / "timeline.json")
    assert not list(tmp_path.iterdir())


def test_a_timeline_is_json(tmp_path: Path) -> None:
    events = json.loads(simulator.run(SERVING).timeline(tmp_path / "t.json").read_text())["traceEvents"]
    assert {e["ph"] for e in events} >= {"M", "X"}
    simulator.run(CASCADE).timeline(tmp_path / "c.json")
    assert (tmp_path / "c-edge.json").exists()
