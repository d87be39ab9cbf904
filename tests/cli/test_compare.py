"""`simulator compare` as a user runs it."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from simulator.cli import main

HEAD = "model: Qwen/Qwen2.5-0.5B\ndevice: nvidia-l4-24gb\n"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    trace = "arrival_s,prompt_tokens,output_tokens\n"
    (tmp_path / "t.csv").write_text(trace + "".join(f"{i * 0.05},{50 + 9 * i},{5 + i % 17}\n" for i in range(60)))
    load = "load: {trace: t.csv}\n"
    (tmp_path / "one.yaml").write_text(HEAD + load)
    (tmp_path / "two.yaml").write_text(HEAD + load + "batching: {policy: vllm-v0, max_num_seqs: 4}\n")
    (tmp_path / "short.yaml").write_text(HEAD + "load: {trace: t.csv, limit: 7}\n")
    return [str(tmp_path / name) for name in ("one.yaml", "two.yaml", "short.yaml")]


def test_all_that_is_promised(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, also = tmp_path / "out", tmp_path / "also.json"
    assert main(["compare", *files[:2], "--out", str(out), "--json", str(also), "--uncertainty", "2"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "requests.parquet", "summary.json"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary == json.loads(also.read_text())
    assert (summary["baseline"], summary["pairs"]) == ("one", 60)
    rows = pd.read_parquet(out / "requests.parquet")
    assert rows.groupby("scenario").size().to_dict() == {"one": 60, "two": 60}
    e2e = rows.groupby("scenario").e2e_s.mean() * 1e3
    found = summary["comparisons"][0]["requests"]["e2e"]["mean"]
    assert found["difference"] == pytest.approx(e2e["two"] - e2e["one"])
    shown = capsys.readouterr().out
    for words in ("two against one", "batching.policy vllm-v0", "TTFT P99", "model's own error", "who wins", "stalled"):
        assert words in shown


def test_same_bytes_twice(files: list[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(["compare", *files[:2], "-q", "--uncertainty", "2", "--out", str(tmp_path / name)]) == 0
    for file in ("summary.json", "requests.parquet", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_page_holds_the_scenarios_to_run_again(files: list[str], tmp_path: Path) -> None:
    assert main(["compare", *files[:2], "-q", "--out", str(tmp_path / "a"), "--set", "limit=30"]) == 0
    page = (tmp_path / "a" / "report.html").read_text()
    assert page.count("<svg") == 11
    (tmp_path / "again").mkdir()
    for name, text in zip(("one", "two"), re.findall("<pre>(.*?)</pre>", page, re.DOTALL), strict=True):
        (tmp_path / "again" / f"{name}.yaml").write_text(html.unescape(text))
    again = [str(tmp_path / "again" / f"{name}.yaml") for name in ("one", "two")]
    assert main(["compare", *again, "-q", "--out", str(tmp_path / "b")]) == 0
    for file in ("requests.parquet", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_settings_apply_to_all(files: list[str], tmp_path: Path) -> None:
    code = main(["compare", *files, "-q", "--set", "load.limit=9", "--json", str(tmp_path / "s.json")])
    assert code == 0
    summary = json.loads((tmp_path / "s.json").read_text())
    assert [s["summary"]["requests"]["finished"] for s in summary["scenarios"]] == [9, 9, 9]


def test_closed_loop(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files[:2], "--set", "concurrency=4"]) == 0
    assert "closed loop" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{one}"], "compare needs two scenarios or more"),
        ([], "Missing argument"),
        (["{one}", "nowhere.yaml"], "nowhere.yaml: cannot read the file"),
        (["{one}", "{short}"], "short: load.limit is 7 and that of one is none"),
        (["{one}", "{two}", "--set", "kv_cache.blocks=5"], "one: request 2 needs"),
        (["{one}", "{two}", "--set", "speed=2"], "unknown setting 'speed'"),
        (["{one}", "{two}", "--set", "load.trace=nowhere.csv"], "nowhere.csv"),
        (["{one}", "{two}", "--uncertainty", "1"], "uncertainty is 1: give 2 to"),
    ],
)
def test_bad_input_gets_one_line(
    arguments: list[str], expected: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, short = files
    assert main(["compare", *(a.format(one=one, two=two, short=short) for a in arguments)]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
