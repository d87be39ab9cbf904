"""metrics.txt: valid OpenMetrics by Prometheus's own parser, in vLLM's names, and equal to the tables of the run."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from simulator.cli import main
from simulator.engine.gaps import dated_recorder
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.report.serving import vllm_metrics
from simulator.report.serving.openmetrics import Family, Points, exposition, number
from simulator.report.serving.scrapes import Events, distribution, level, scrape_times, totals
from simulator.report.serving.vllm_metrics import write_metrics
from simulator.scenario import scenario_from

Sample = tuple[str, Mapping[str, str], float, float]
MODEL = "Qwen/Qwen2.5-0.5B"
LOAD = {
    "arrivals": {"process": "poisson", "rate": 40.0},
    "prompt_tokens": {"law": "uniform", "least": 20, "most": 600},
    "output_tokens": {"law": "uniform", "least": 1, "most": 80},
    "prefix": {"groups": 3, "tokens": 64},
    "requests": 300,
}
# What the board in vLLM's examples/observability/prometheus_grafana asks for.
BOARD = {
    "vllm:e2e_request_latency_seconds_bucket", "vllm:e2e_request_latency_seconds_sum", "vllm:prompt_tokens_total",
    "vllm:e2e_request_latency_seconds_count", "vllm:generation_tokens_total", "vllm:inter_token_latency_seconds_bucket",
    "vllm:inter_token_latency_seconds_sum", "vllm:inter_token_latency_seconds_count", "vllm:num_requests_running",
    "vllm:num_requests_waiting", "vllm:time_to_first_token_seconds_bucket", "vllm:time_to_first_token_seconds_sum",
    "vllm:time_to_first_token_seconds_count", "vllm:kv_cache_usage_perc", "vllm:request_prompt_tokens_bucket",
    "vllm:request_generation_tokens_bucket", "vllm:request_success_total", "vllm:request_queue_time_seconds_sum",
    "vllm:request_prefill_time_seconds_sum", "vllm:request_decode_time_seconds_sum",
    "vllm:request_max_num_generation_tokens_sum",
}  # fmt: skip


def simulated(**fields: Any) -> Result:
    values = {"model": MODEL, "device": "nvidia-l4-24gb", "replicas": 2, "load": {"generator": LOAD}, "seed": 3}
    return run(scenario_from(values | fields), recorder=dated_recorder())


def samples(path: Path) -> list[Sample]:
    """All samples, read scrape by scrape: of several the parser keeps one bucket each, taking the rest for repeated."""
    lines = path.read_text(encoding="utf-8").splitlines()
    scrapes: dict[str, list[str]] = {line.rsplit(" ", 1)[1]: [] for line in lines if line[0] != "#"}
    for line in lines:
        for text in scrapes.values() if line[0] == "#" else [scrapes[line.rsplit(" ", 1)[1]]]:
            text.append(line)
    families = (f for text in scrapes.values() for f in text_string_to_metric_families("\n".join([*text, ""])))
    return [(s.name, s.labels, s.value, float(s.timestamp)) for family in families for s in family.samples]


def final(found: list[Sample], name: str, **labels: str) -> float:
    """The sum over engines of the last values of a series."""
    last = max(at for *_, at in found)
    return sum(v for n, have, v, at in found if n == name and at == last and labels.items() <= have.items())


VARIANTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "preempting": {"kv_cache": {"blocks": 160}, "batching": {"max_num_seqs": 64}},
    "speculating": {"speculation": {"policy": "fixed", "draft": {"source": "n-gram"}}},
    "in stages": {"parallel": {"pipeline": 2}},
    "disaggregated": {"disaggregation": {"replicas": 1}},
    "step by step": {"fast_forward": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_final_values_are_those_of_the_tables(variant: str, tmp_path: Path) -> None:
    result = simulated(**VARIANTS[variant])
    write_metrics(tmp_path / "metrics.txt", result)
    found, table = samples(tmp_path / "metrics.txt"), result.requests
    if variant == "preempting":
        assert table["preemptions"].sum() > 0
    if variant == "usual":
        assert table["cached_tokens"].sum() > 0
        assert final(found, "vllm:prefix_cache_hits_total") == result.hit_tokens
        assert final(found, "vllm:prefix_cache_queries_total") == result.lookup_tokens
    assert final(found, "vllm:request_success_total") == len(table)
    assert final(found, "vllm:request_success_total", finished_reason="length") == len(table)
    assert final(found, "vllm:prompt_tokens_total") == table["prompt_tokens"].sum()
    assert final(found, "vllm:generation_tokens_total") == table["output_tokens"].sum()
    assert final(found, "vllm:num_preemptions_total") == table["preemptions"].sum()
    assert final(found, "vllm:num_requests_running") == final(found, "vllm:num_requests_waiting") == 0
    decode = (table["finish_s"] - table["first_token_s"]).sum()
    for name, count, total in (
        ("time_to_first_token_seconds", len(table), table["ttft_s"].sum()),
        ("e2e_request_latency_seconds", len(table), table["e2e_s"].sum()),
        ("request_queue_time_seconds", len(table), table["queue_wait_s"].sum()),
        ("request_time_per_output_token_seconds", table["tpot_s"].count(), table["tpot_s"].sum()),
        ("request_decode_time_seconds", len(table), decode),
        ("inter_token_latency_seconds", (table["output_tokens"] - 1).sum(), decode),
        ("time_per_output_token_seconds", (table["output_tokens"] - 1).sum(), decode),
        ("request_generation_tokens", len(table), table["output_tokens"].sum()),
    ):
        assert final(found, f"vllm:{name}_count") == count, name
        assert final(found, f"vllm:{name}_bucket", le="+Inf") == count, name
        assert final(found, f"vllm:{name}_sum") == pytest.approx(total, rel=1e-9), name
    for edge in (0.04, 0.25, 1.0):
        below = final(found, "vllm:time_to_first_token_seconds_bucket", le=number(edge))
        assert below == (table["ttft_s"] <= edge).sum()


def test_every_engine_and_time_has_what_the_board_of_vllm_asks_for(tmp_path: Path) -> None:
    result = simulated()
    write_metrics(tmp_path / "metrics.txt", result, interval_s=0.5, start="2025-03-01T12:00:00")
    found = samples(tmp_path / "metrics.txt")
    assert {name for name, *_ in found} >= BOARD
    assert {(have["model_name"], have["engine"]) for _, have, *_ in found} == {(MODEL, "0"), (MODEL, "1")}
    times = sorted({at for *_, at in found})
    for name in BOARD:  # whole groups of samples, each later than the one before
        mine = [(have["engine"], at) for n, have, _, at in found if n == name]
        assert sorted(mine) == sorted(set(mine)) or "_bucket" in name or "success" in name
    assert times[0] == 1740830400.0 and set(np.diff(times)) == {0.5}
    table, middle = result.requests, times[len(times) // 2]
    now = middle - times[0]
    for engine in ("0", "1"):
        mine = table[table["replica"] == int(engine)]
        at = {n: v for n, have, v, t in found if t == middle and have["engine"] == engine and "le" not in have}
        running = ((mine["scheduled_s"] <= now) & (mine["finish_s"] > now)).sum()
        assert at["vllm:num_requests_running"] == running > 0
        assert at["vllm:prompt_tokens_total"] == mine[mine["first_token_s"] <= now]["prompt_tokens"].sum()
        assert 0 < at["vllm:kv_cache_usage_perc"] < 1


def test_counters_never_fall_and_buckets_nest(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.txt", simulated(), interval_s=0.25)
    series: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
    for name, have, value, _ in samples(tmp_path / "metrics.txt"):
        series.setdefault((name, tuple(sorted(have.items()))), []).append(value)
    grown = 0
    for (name, _), values in series.items():
        if name.endswith(("_total", "_bucket", "_count", "_sum")):
            assert (np.diff(values) >= 0).all(), name
            grown += values[-1] > values[len(values) // 2] > values[0]
    assert grown > 50


def test_tokens_inside_a_long_run_of_steps_come_at_their_times(tmp_path: Path) -> None:
    """One request alone decodes in a single fast-forwarded run, yet its tokens are spread over the scrapes."""
    load = {**LOAD, "requests": 1, "output_tokens": 2000, "prefix": None}
    result = simulated(replicas=1, load={"generator": load})
    write_metrics(tmp_path / "m", result, interval_s=1.0)
    first, finish = (float(result.request_columns[n][0]) for n in ("first_token_s", "finish_s"))
    tokens = [(at - 1767225600.0, v) for n, _, v, at in samples(tmp_path / "m") if n == "vllm:generation_tokens_total"]
    inside = [(t, v) for t, v in tokens if first < t < finish]
    assert len(inside) >= 3
    for time, value in inside:
        assert value == pytest.approx(2000 * (time - first) / (finish - first), rel=0.03)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, of the package prometheus, is not installed")
def test_prometheus_takes_the_file_in(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.txt", simulated())
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "metrics.txt", "tsdb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = sum(line[0] != "#" for line in (tmp_path / "metrics.txt").read_text().splitlines())
    (meta,) = (tmp_path / "tsdb").glob("*/meta.json")
    assert json.loads(meta.read_text())["stats"]["numSamples"] == lines


@given(st.floats(min_value=1e-3, max_value=1e12, allow_nan=False))
def test_edges_are_written_as_prometheus_clients_write_them(value: float) -> None:
    for edge in (value if value < 1e6 else float(int(value)), float("inf"), *vllm_metrics.FIRST_TOKEN):
        assert number(edge) == floatToGoString(edge)


def test_buckets_of_lengths_end_at_the_longest_sequence() -> None:
    assert vllm_metrics.one_two_five(100) == (1, 2, 5, 10, 20, 50, 100)
    assert vllm_metrics.one_two_five(131_072)[-1] == 100_000


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 2), st.floats(0, 10), st.integers(1, 5)), max_size=30),
    st.floats(0.3, 9),
)
def test_scrapes_see_what_a_loop_over_the_events_sees(rows: list[tuple[float, int, float, int]], step: float) -> None:
    time, engine, value, many = (np.array([r[i] for r in rows]) for i in range(4))
    events = Events(time.astype(float), engine.astype(np.int64), value.astype(float), many.astype(np.int64))
    times, edges = scrape_times(20.0, step), (1.0, 4.0)
    counts, sums = distribution(events, edges, times, 3), totals(events, times, 3)
    for number_of, at in ((n, t) for n in range(3) for t in range(len(times))):
        seen = [(v, m) for t, e, v, m in rows if e == number_of and t <= times[at]]
        assert counts[number_of, at].tolist() == [sum(m for v, m in seen if v <= e) for e in (1.0, 4.0, 99.0)]
        assert sums[number_of, at] == pytest.approx(sum(v * m for v, m in seen))
    held = level(events.time, events.time + 2.0, np.ones(len(rows)), events.engine, times, 3)
    assert held[1].tolist() == [sum(e == 1 and t <= at < t + 2.0 for t, e, *_ in rows) for at in times]


def test_names_that_need_escaping_come_back_whole() -> None:
    label = 'a\\b"c\n100 %s {}'
    text = "".join(exposition([Family("m", "gauge", "x", (Points({"l": label}, np.ones(2)),))], np.arange(2.0)))
    (family,) = text_string_to_metric_families(text)
    assert [s.labels["l"] for s in family.samples] == [label, label]


@pytest.mark.parametrize(
    ("end", "step"), [(5.0, 1.0), (240.0, 1.0), (241.0, 2.0), (3508.0, 15.0), (9e5, 7200.0), (0.0, 1.0)]
)
def test_scrapes_are_so_far_apart_that_a_file_stays_readable(end: float, step: float) -> None:
    times = scrape_times(end, None)
    assert times[0] == 0 and times[-1] >= end and (np.diff(times) == step).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metrics"], "add --out"),
        (["--metrics-interval", "5", "--out", "o"], "--metrics-interval is about --metrics"),
        (["--metrics", "--metrics-interval", "0", "--out", "o"], "--metrics-interval is 0"),
        (["--metrics", "--metrics-interval", "nan", "--out", "o"], "--metrics-interval is nan"),
        (["--metrics", "--metrics-start", "soon", "--out", "o"], "--metrics-start is 'soon'"),
    ],
)
def test_bad_options(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("arrival_s,prompt_tokens,output_tokens\n0,50,100\n")
    assert main(["replay", "t.csv", "--model", MODEL, "--device", "nvidia-l4-24gb", "-q", *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "o" / "metrics.txt").exists()


def test_too_many_samples_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_metrics, "MOST_SAMPLES", 100_000)
    with pytest.raises(InputError, match=r"give at least \d+ seconds"):
        write_metrics(tmp_path / "m", simulated(), interval_s=0.001)
    (tmp_path / "t.csv").write_text("arrival_s,prompt_tokens,output_tokens\n0,50,100\n")
    deployed = ["--model", MODEL, "--device", "nvidia-l4-24gb", "-q", "--metrics", "--metrics-interval", "0.001"]
    assert main(["replay", str(tmp_path / "t.csv"), *deployed, "--out", str(tmp_path / "o")]) == 2
    assert not (tmp_path / "o").exists()


def test_the_command_writes_what_a_run_in_python_writes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("arrival_s,prompt_tokens,output_tokens\n0,50,10\n1.5,30,4\n")
    deployed = ["--model", MODEL, "--device", "nvidia-l4-24gb", "--replicas", "2"]
    assert main(["replay", str(tmp_path / "t.csv"), *deployed, "--out", str(tmp_path / "o"), "--metrics", "-q"]) == 0
    write_metrics(tmp_path / "again.txt", simulated(load={"trace": str(tmp_path / "t.csv")}))
    text = (tmp_path / "o" / "metrics.txt").read_bytes()
    assert text == (tmp_path / "again.txt").read_bytes() and text.endswith(b"# EOF\n")


def test_a_cascade_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenarios = Path(__file__).parents[2] / "simulator" / "scenarios"
    cascade = next(p for p in sorted(scenarios.rglob("*.yaml")) if "kind: cascade" in p.read_text())
    assert main(["run", str(cascade), "--metrics", "--out", str(tmp_path / "o")]) == 2
    assert "--metrics is not modelled for kind cascade" in capsys.readouterr().err
    with pytest.raises(InputError, match="dated_recorder"):
        write_metrics(tmp_path / "m", run(scenario_from({"model": MODEL, "device": "nvidia-l4-24gb",
                                                         "load": {"generator": LOAD}})))  # fmt: skip
    assert not (tmp_path / "m").exists()
