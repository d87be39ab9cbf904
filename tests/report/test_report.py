"""The report, its series, the timeline and the tables of small runs."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.report import catalogue
from simulator.report.files import atomic, write_json, write_requests
from simulator.report.serving import series
from simulator.report.serving.metrics import summarise
from simulator.report.serving.page import report
from simulator.report.serving.timeline import write_timeline
from simulator.report.table import overload, print_facts, print_rows, print_summary
from simulator.scenario import scenario_from
from tests.builders import rows
from tests.report.pages import check, without_scripts


def result_of(outputs: list[int], *, gap: float = 0.2, keep_iterations: bool = True, **changes: Any) -> Result:
    scenario = scenario_from(
        {
            "model": "Qwen/Qwen2.5-0.5B",
            "device": "nvidia-l4-24gb",
            "load": {"trace": "given"},
            **changes,
        }
    )
    count = len(outputs)
    source = rows([gap * i for i in range(count)], [50 + 7 * i for i in range(count)], outputs)
    return run(scenario, source=source, keep_iterations=keep_iterations)


RESULT = result_of([30, 1, 200, 80] * 10, replicas=2)
STAGED = result_of([30, 1, 200, 80] * 5, parallel={"pipeline": 2})


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5), st.floats(0, 100)), max_size=20), st.integers(1, 30))
def test_binned_steps_keep_their_area(steps: list[tuple[float, float, float]], bins: int) -> None:
    edges = np.linspace(0, 20, bins + 1)
    start, length, value = (np.array([s[i] for s in steps]) for i in range(3))
    means = series.binned_mean(edges, start, start + length, value)
    assert (means * np.diff(edges)).sum() == pytest.approx((length * value).sum(), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("result", [RESULT, STAGED], ids=["replicas", "stages"])
def test_series_agree_with_the_summary(result: Result) -> None:
    edges = series.bin_edges(result)
    width = np.diff(edges)
    c, summary = result.request_columns, result.summary
    waiting, running = series.waiting_and_running(result, edges)
    assert (waiting * width).sum() == pytest.approx((c["scheduled_s"] - c["arrival_s"]).sum(), abs=1e-6)
    assert (running * width).sum() == pytest.approx((c["finish_s"] - c["scheduled_s"]).sum())
    arriving, finishing = series.request_rates(result, edges)
    assert (arriving * width).sum() == pytest.approx(len(c["index"]))
    assert (finishing * width).sum() == pytest.approx(len(c["index"]))
    prompt, output = series.token_rates(result, edges)
    assert (prompt * width).sum() == pytest.approx(c["prompt_tokens"].sum())
    assert (output * width).sum() == pytest.approx((c["output_tokens"] - 1).sum())
    assert (series.total_power(result, edges) * width).sum() == pytest.approx(summary["energy"]["total_j"])
    assert (series.kv_utilisation(result, edges) * width).sum() / width.sum() == pytest.approx(
        summary["kv_cache"]["mean_utilisation"]
    )
    assert sum(series.time_shares(result).values()) == pytest.approx(1.0)


def test_page_is_whole_and_needs_nothing() -> None:
    page = report(RESULT)
    assert page == report(result_of([30, 1, 200, 80] * 10, replicas=2))
    check(page)
    page = without_scripts(page)
    assert page.count("<svg") == 9
    assert "http" not in page.replace("http://www.w3.org", "")
    for svg in page.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + svg.split("</svg>")[0] + "</svg>")
    assert len(page) < 600_000


def test_page_escapes_what_users_write() -> None:
    page = report(result_of([5, 6], name="<script>alert(1)</script>"))
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("outputs", [[1], [7], [1, 1, 1]])
def test_smallest_runs_have_a_page(outputs: list[int]) -> None:
    result = result_of(outputs)
    assert "<svg" in report(result)
    assert result.summary["requests"]["finished"] == len(outputs)
    print_summary(result.summary)


def test_without_iterations_their_charts_are_left_out() -> None:
    page = without_scripts(report(result_of([5, 6], keep_iterations=False)))
    assert page.count("<svg") == 3
    assert "left out" in page


def test_summary_is_plain_finite_json(tmp_path: Path) -> None:
    for result in (RESULT, STAGED, result_of([1])):
        write_json(tmp_path / "s.json", summarise(result))
        json.loads((tmp_path / "s.json").read_text())
        use = result.summary["utilisation"]
        assert 0 < use["mfu"] <= use["mfu_while_busy"] <= 1
        assert 0 < use["memory_bandwidth"] <= use["memory_bandwidth_while_busy"] <= 1
        assert 0 < use["busy"] <= 1 + 1e-9
        latency = result.summary["latency_ms"]["ttft"]
        assert latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["p99"] <= latency["max"]


def test_model_flops_are_two_per_weight_and_token() -> None:
    """MFU counts what PaLM's appendix B counts: 2 N a token plus attention (arXiv:2204.02311)."""
    result = RESULT
    d = result.deployment
    matrices = d.model.parameters() - d.model.embedding_parameters()
    c = result.request_columns
    linear = 2 * matrices * (c["prompt_tokens"] + c["output_tokens"] - 1).sum()
    head = 2 * d.model.vocab * d.model.hidden * c["output_tokens"].sum()
    total = result.summary["utilisation"]["mfu"] * d.law.peak("bf16") * 2 * result.summary["makespan_s"]
    assert linear < total < 1.15 * (linear + head)


def test_requests_table_is_readable_parquet(tmp_path: Path) -> None:
    import pandas as pd

    write_requests(tmp_path / "r.parquet", RESULT)
    table = pd.read_parquet(tmp_path / "r.parquet")
    assert list(table["index"]) == list(range(40))
    assert (table["ttft_s"] > 0).all()
    assert table["tpot_s"].isna().sum() == 10
    assert (table["e2e_s"] >= table["ttft_s"]).all()
    pd.testing.assert_series_equal(RESULT.requests["e2e_s"], table["e2e_s"])
    assert len(RESULT.timeseries) == len(RESULT.iteration_columns["start_s"])


@pytest.mark.parametrize("result", [RESULT, STAGED], ids=["replicas", "stages"])
def test_timeline_is_a_chrome_trace(result: Result, tmp_path: Path) -> None:
    write_timeline(tmp_path / "t.json", result)
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    busy = sum(e["dur"] for e in slices) / 1e6
    it = result.iteration_columns
    assert busy == pytest.approx((it["end_s"] - it["start_s"]).sum())
    for track in {(e["pid"], e["tid"]) for e in slices}:
        own = sorted((e["ts"], e["dur"]) for e in slices if (e["pid"], e["tid"]) == track)
        assert all(a[0] + a[1] <= b[0] + 1e-3 for a, b in pairwise(own))
    begun = [e for e in events if e["ph"] == "b"]
    assert len(begun) == sum(e["ph"] == "e" for e in events) == 4 * len(result.request_columns["index"])


def test_long_timelines_say_what_is_left_out(tmp_path: Path) -> None:
    write_timeline(tmp_path / "t.json", RESULT, most_iterations=5)
    note = json.loads((tmp_path / "t.json").read_text())["otherData"]
    assert note["iterations_shown"] == 5 < note["iterations"]


def test_overload_is_a_result() -> None:
    swamped = result_of([200] * 60, gap=0.001, batching={"max_num_seqs": 2, "max_num_batched_tokens": 64})
    assert "overloaded: 6" in overload(swamped.summary) or "overloaded: 5" in overload(swamped.summary)
    assert overload(RESULT.summary) == ""
    assert "Overloaded: " in report(swamped)


def test_terminal_tables_are_plain_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(RESULT.summary)
    out = capsys.readouterr().out
    for word in (
        "TTFT",
        "TPOT",
        "ITL",
        "E2E",
        "P99",
        "goodput",
        "MFU",
        "kWh",
        "cost per million tokens",
        "uncalibrated",
    ):
        assert word in out
    assert "\x1b" not in out
    print_rows("things", [{"name": "a" * 300, "size": 1}])
    print_rows("things", [])
    print_facts("thing", {"a": {"b": [1, 2]}, "c": [{"d": None}]})
    out = capsys.readouterr().out
    assert "a" * 300 in out
    assert "things: none" in out


@pytest.mark.parametrize(
    "kind", ["devices", "models", "policies", "workloads", "scenarios", "links", "nodes", "dtypes"]
)
def test_everything_listed_can_be_shown(kind: str) -> None:
    listed = catalogue.rows(kind)
    assert listed
    key = {"policies": "policy", "dtypes": "format"}.get(kind, kind.removesuffix("s"))
    for row in listed:
        assert catalogue.facts(kind, row[key])
        assert all(str(value) for name, value in row.items() if name == "source")


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    def failing() -> None:
        with atomic(tmp_path / "x.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="it is a folder"), atomic(tmp_path):
        pass
    with pytest.raises(InputError, match="cannot write"), atomic(tmp_path / "no" / "x.txt"):
        pass
