"""Operator graphs as users meet them: run, explain, compare and their files."""

import json

import pandas as pd
import pytest

from simulator.cli import main

SMALL = "kind: inference\nmodel: squeezenet-1.1\ndevice: nvidia-t4-16gb\nformat: fp16\nruntime: eager\n"
SEARCH = """
kind: network-search
scenario: {model: mobilenet-v2, device: nvidia-t4-16gb}
space: {options.width: [0.5, 1.0], options.resolution: [160, 224], format: [fp16, fp32]}
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "one.yaml").write_text(SMALL)
    (tmp_path / "two.yaml").write_text(SMALL + "batch: 8\n")
    (tmp_path / "search.yaml").write_text(SEARCH)
    return tmp_path


def test_a_run_writes_every_kernel_and_a_timeline_that_ends_with_the_last(files):
    assert main(["run", str(files / "one.yaml"), "--out", str(files / "out"), "--timeline", "-q"]) == 0
    summary = json.loads((files / "out" / "summary.json").read_text())
    kernels = pd.read_parquet(files / "out" / "operators.parquet")
    assert kernels["launches"].sum() == summary["kernels"]
    assert kernels["flops"].sum() == pytest.approx(summary["flops"])
    assert (kernels["start_s"] + kernels["seconds"]).max() * 1e3 == pytest.approx(summary["latency_ms"])
    events = json.loads((files / "out" / "timeline.json").read_text())["traceEvents"]
    ends = [e["ts"] + e["dur"] for e in events if e["ph"] == "X"]
    assert max(ends) == pytest.approx(summary["latency_ms"] * 1e3)
    assert len(ends) == len(kernels)


def test_explain_lists_the_kernels_of_a_scenario(files, capsys):
    answer = files / "answer.json"
    assert main(["explain", str(files / "one.yaml"), "--set", "batch=2", "--json", str(answer)]) == 0
    shown = capsys.readouterr().out
    parts = json.loads(answer.read_text())["parts"]
    assert shown.count("| Conv") == sum(p["type"] == "Conv" for p in parts) == 26


def test_compare_puts_figures_side_by_side(files, capsys):
    one, two = (str(files / name) for name in ("one.yaml", "two.yaml"))
    assert main(["compare", one, two, "--out", str(files / "out")]) == 0
    found = json.loads((files / "out" / "summary.json").read_text())
    assert found["figures"]["macs"][1] == 8 * found["figures"]["macs"][0]
    assert found["changes"][1] == {"batch": {"baseline": 1, "value": 8}}
    assert "(+700.0%)" in capsys.readouterr().out
    assert "two.yaml" in (files / "out" / "report.html").read_text()


def test_a_search_writes_all_candidates(files):
    assert main(["run", str(files / "search.yaml"), "--out", str(files / "out"), "-q"]) == 0
    table = pd.read_parquet(files / "out" / "candidates.parquet")
    assert len(table) == 8
    assert set(table["format"]) == {"fp16", "fp32"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "one.yaml", "search.yaml"], "cannot stand beside"),
        (["compare", "one.yaml"], "two scenarios or more"),
        (["explain", "search.yaml"], "kind inference"),
        (["explain"], "give a scenario of kind inference, or --model"),
        (["explain", "--model", "x", "--device", "y", "--set", "a=1"], "--set is of a scenario"),
        (["run", "search.yaml", "--timeline", "--out", "o"], "no timeline"),
        (["run", "one.yaml", "--set", "batch=0"], "batch"),
        (["run", "one.yaml", "--set", "format=fp33"], "fp33"),
        (["run", "one.yaml", "--set", "runtime=fast"], "unknown runtime"),
        (["run", "one.yaml", "--set", "model=squeezenet"], "unknown model"),
    ],
)
def test_wrong_input_is_one_line(files, arguments, said, capsys, monkeypatch):
    monkeypatch.chdir(files)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (files / "o").exists()
