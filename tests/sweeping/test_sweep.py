"""A whole sweep: every kind of scenario, failures as rows, duplicates once, and a table that never changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from simulator.cli import main
from simulator.errors import InputError
from simulator.kinds import load_experiment, load_summarised, simulate
from simulator.report.catalogue import SCENARIOS, SWEEPS
from simulator.sweeping import sweep
from simulator.sweeping.points import points
from simulator.sweeping.spec import read_sweep
from simulator.yaml_io import load_yaml

GENERATOR = {
    "arrivals": {"process": "poisson", "rate": 4.0},
    "prompt_tokens": {"law": "fixed", "tokens": 200},
    "output_tokens": {"law": "fixed", "tokens": 20},
    "requests": 20,
}
SERVING = {
    "model": "meta-llama/Llama-3.1-8B",
    "device": "nvidia-h100-sxm-80gb",
    "load": {"generator": GENERATOR},
}


def swept(vary: dict[str, Any], scenario: Any = SERVING, **more: Any) -> pd.DataFrame:
    return sweep({"scenario": scenario, "vary": vary, **more}, workers=1).results


def test_a_point_has_the_figures_of_the_scenario_that_it_is(tmp_path: Path) -> None:
    results = swept({"max_num_seqs": [1, 8], "load.generator.arrivals.rate": [2.0, 9.0]}, "serving/chunked-prefill-8b",
                    fixed={"load.limit": 20, "load.generator": GENERATOR})  # fmt: skip
    for row in results.to_dict("records"):
        generator = {**GENERATOR, "arrivals": {"process": "poisson", "rate": row["load.generator.arrivals.rate"]}}
        settings = {"max_num_seqs": row["max_num_seqs"], "load.limit": 20, "load.generator": generator}
        alone = simulate(load_experiment(SCENARIOS / "serving" / "chunked-prefill-8b.yaml", settings)).summary
        assert row["latency_ms.ttft.p99"] == alone["latency_ms"]["ttft"]["p99"]
        assert row["requests.finished"] == alone["requests"]["finished"] == 20


@pytest.mark.parametrize(
    ("scenario", "vary", "figure"),
    [
        ("cascade/model-fleet", {"pools.general.replicas": [1, 2]}, "latency_ms.e2e.mean"),
        ("training/llama-7b-fsdp", {"batch.micro": [1, 2]}, "step_s"),
        ("models/resnet-50-a100", {"batch": [1, 8]}, "latency_ms"),
        ("pipelines/rag", {"sources.users.arrivals.clients": [2, 20]}, "latency_ms.p99"),
    ],
)
def test_kinds_of_scenario(scenario: str, vary: dict[str, Any], figure: str) -> None:
    fixed = {"load.limit": 60} if scenario.startswith("cascade") else {}
    results = swept(vary, scenario, fixed=fixed)
    assert list(results["status"]) == ["ok", "ok"]
    assert results[figure].nunique() == 2


def test_plans_and_searches_are_points_too() -> None:
    plan = {
        "kind": "training-plan",
        "devices": 8,
        "scenario": {"model": "meta-llama/Llama-3.1-8B", "device": "nvidia-h100-sxm-80gb",
                     "batch": {"sequence": 2048, "global_size": 64}},
        "search": {"layout.pipeline": [1, 2], "batch.micro": [1], "layout.chunks": [1]},
    }  # fmt: skip
    results = swept({"devices": [8, 16], "search.batch.micro": [[1], [1, 2]]}, plan)
    assert list(results["status"]) == ["ok"] * 4
    assert (results["layout.devices"] == results["devices"]).all()
    assert results["search.combinations"][0] * 2 == results["search.combinations"][1]
    search = load_yaml(SCENARIOS / "models" / "mobilenet-v2-space.yaml")
    found = swept({"space.options.width": [[0.5], [1.0]]}, search, fixed={"candidates": 50})
    assert list(found["status"]) == ["ok", "ok"]


def test_entries_of_lists() -> None:
    outages = {
        "outages": [{"at_s": 0.5, "replicas": [0], "repair_s": 1.0}, {"at_s": 3.0, "replicas": [1], "repair_s": 1.0}]
    }
    scenario = {**SERVING, "replicas": 2, "failures": outages, "autoscaling": {"max_replicas": 2}}
    found = points(*read_sweep({"scenario": scenario, "vary": {"failures.outages.1.repair_s": [1.0, 7.0]}}))
    assert [p.scenario.model_dump()["failures"]["outages"][1]["repair_s"] for p in found if p.scenario] == [1.0, 7.0]
    with pytest.raises(InputError, match="2 is no entry of a list that has 2"):
        points(*read_sweep({"scenario": scenario, "vary": {"failures.outages.2.repair_s": [1.0]}}))


def test_points_that_cannot_be_are_rows_with_their_reason() -> None:
    vary = {"replicas": [1, 0], "model": ["meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-405B"]}
    results = swept(vary)
    assert list(results["status"]) == ["ok", "failed", "failed", "failed"]
    assert "replicas is 0" in results["reason"][2]
    assert "GB" in results["reason"][1]
    assert results["latency_ms.ttft.p99"].notna().tolist() == [True, False, False, False]


def test_a_defect_in_one_point_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_queue.py").write_text(
        "class Broken:\n    def key(self, sequence, now):\n        return (1 // 0,)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    results = swept({"queue.policy": ["broken_queue:Broken", "fcfs"]})
    assert list(results["status"]) == ["failed", "ok"]
    assert results["reason"][0].startswith("ZeroDivisionError")


def test_duplicates_are_computed_once(tmp_path: Path) -> None:
    spec = {"scenario": SERVING, "vary": {"replicas": [1, 1.0, 2], "seed": [0, 0]}}
    found = sweep(spec, workers=1, out=tmp_path)
    assert found.simulated == 2
    assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == 1 + 2
    assert found.results["latency_ms.e2e.mean"].nunique() == 2
    assert len(found.results) == 6 and found.results["latency_ms.e2e.mean"].notna().all()


def test_the_file_is_that_of_the_table_and_its_types_are_plain(tmp_path: Path) -> None:
    vary = {"replicas": [1, 2], "node": [None, "dgx-h100"], "parallel": [{"tensor": 1}, {"tensor": 2}]}
    found = sweep({"scenario": SERVING, "vary": vary}, workers=1, out=tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "results.parquet"), found.results)
    schema = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "results.parquet")}
    assert schema["point"] == schema["replicas"] == "int64"
    assert schema["node"] == schema["parallel"] == "string"
    assert schema["latency_ms.ttft.p99"] == "double"
    assert json.loads(found.results["parallel"][1]) == {"tensor": 2}


def test_files_may_vary_and_are_found_beside_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, prompt in (("short", 10), ("long", 3000)):
        rows = "".join(f"{t},{prompt},5\n" for t in range(5))
        (tmp_path / f"{name}.csv").write_text("arrival_s,prompt_tokens,output_tokens\n" + rows)
    text = "scenario: {model: meta-llama/Llama-3.1-8B, device: nvidia-h100-sxm-80gb, load: {trace: short.csv}}\n"
    (tmp_path / "sweep.yaml").write_text(text + "vary: {load.trace: [short.csv, long.csv, gone.csv]}\n")
    monkeypatch.chdir("/")
    found = sweep(tmp_path / "sweep.yaml", workers=1, out=tmp_path / "a")
    assert list(found.results["status"]) == ["ok", "ok", "failed"]
    assert str(tmp_path) not in found.results["reason"][2]
    assert found.results["latency_ms.ttft.mean"][1] > found.results["latency_ms.ttft.mean"][0]
    assert str(tmp_path).encode() not in (tmp_path / "a" / "results.parquet").read_bytes()
    # The same sweep elsewhere is the same; with another trace it is not.
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("short.csv", "long.csv", "sweep.yaml"):
        (moved / name).write_bytes((tmp_path / name).read_bytes())
    assert sweep(moved / "sweep.yaml", workers=1, out=tmp_path / "a").simulated == 0
    (moved / "long.csv").write_bytes((tmp_path / "short.csv").read_bytes())
    with pytest.raises(InputError, match="holds another sweep"):
        sweep(moved / "sweep.yaml", workers=1, out=tmp_path / "a")


def test_failures_are_kept_and_tried_again_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = tmp_path / "mended"
    (tmp_path / "moody_queue.py").write_text(
        "import pathlib\nclass Moody:\n    def key(self, sequence, now):\n"
        f"        assert pathlib.Path({str(flag)!r}).exists(), 'not yet'\n        return (sequence.arrival,)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = {"scenario": SERVING, "vary": {"queue.policy": ["moody_queue:Moody", "fcfs"]}}
    first = sweep(spec, workers=1, out=tmp_path / "o")
    assert first.results["reason"][0] == "AssertionError: not yet"
    flag.touch()
    again = sweep(spec, workers=1, out=tmp_path / "o")
    assert (again.simulated, again.found) == (0, 2) and again.summary["failed"] == 1
    mended = sweep(spec, workers=1, out=tmp_path / "o", retry_failed=True)
    assert (mended.simulated, mended.found) == (1, 1) and mended.summary["failed"] == 0
    assert sweep(spec, workers=1, out=tmp_path / "o").summary["failed"] == 0


def test_figures_are_chosen_after_the_points_are_kept(tmp_path: Path) -> None:
    spec = {"scenario": SERVING, "vary": {"replicas": [1, 2, 4]}, "keep": ["latency_ms.ttft.*"]}
    with pytest.raises(InputError, match=r"unknown figure 'latency_ms.ttft.p9': did you mean"):
        sweep({**spec, "minimise": "latency_ms.ttft.p9"}, workers=1, out=tmp_path)
    found = sweep({**spec, "maximise": "latency_ms.ttft.p99"}, workers=1, out=tmp_path)
    assert found.simulated == 0
    assert all(name.startswith("latency_ms.ttft.") for name in found.results.columns[4:])
    best = found.best["latency_ms.ttft.p99"].tolist()
    assert best == sorted(best, reverse=True)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text(json.dumps({"scenario": SERVING, "vary": {"replicas": [1, 0]}}))
    arguments = ["sweep", str(tmp_path / "s.yaml"), "--workers", "1", "--json", str(tmp_path / "s.json")]
    assert main([*arguments, "--out", str(tmp_path / "o")]) == 0
    said = capsys.readouterr().out
    assert "2 points, 1 of them failed; 1 simulated now" in said and "replicas is 0" in said
    assert json.loads((tmp_path / "s.json").read_text())["simulated"] == 1
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["report.html", "results.parquet", "sweep.jsonl"]


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        ({"vary": {"max_num_seq": [1]}}, [], "unknown setting 'max_num_seq': did you mean"),
        ({"vary": {"batching.max_num_seq": [1]}}, [], "did you mean batching.max_num_seqs"),
        ({"vary": {"max_num_seqs": [1], "batching.max_num_seqs": [2]}}, [], "which are one field, would be set twice"),
        ({"vary": {"replicas": [1]}, "together": [{"replicas": [2]}]}, [], "replicas is given twice"),
        ({"vary": {"replicas": [1]}, "fixed": {"replicas": 2}}, [], "replicas would be set twice"),
        ({"vary": {"max_num_seqs": [8], "batching": [{}]}}, [], "give batching before it"),
        ({"vary": {"replicas": [0, -1]}}, [], "none of the 2 points is a valid scenario"),
        ({"scenario": "serving/chunked-prefil-8b", "vary": {"replicas": [1]}}, [], "serving/chunked-prefill-8b"),
        ({"scenario": "serving/accellm", "vary": {"replicas": [1]}}, [], "unknown kind of scenario in a sweep"),
        ({"vary": {"replicas": [1]}}, ["--workers", "0"], "--workers is 0"),
        ({"vary": {"replicas": [1]}}, ["--backend", "spark"], "choose one of dask, local, ray"),
        ({"vary": {"replicas": [1]}}, ["--cluster", "tcp://localhost:1"], "add --backend"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    values: dict[str, Any], options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(json.dumps({"scenario": SERVING, **values}))
    assert main(["sweep", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "o"), *options]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_shipped_sweeps_are_valid(path: Path) -> None:
    found = points(*read_sweep(path))
    assert len(found) > 20 and all(point.scenario is not None for point in found)


def test_a_summarised_kind_alone_and_as_a_point() -> None:
    alone = simulate(load_summarised(SCENARIOS / "models" / "resnet-50-a100.yaml", {"batch": 8})).summary
    assert swept({"batch": [8]}, "models/resnet-50-a100")["latency_ms"][0] == alone["latency_ms"]
