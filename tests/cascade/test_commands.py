"""Cascades on the command line: files, comparison, and one line for what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from simulator.cli import main
from simulator.yaml_io import load_yaml

FILE = """kind: cascade
pools:
  small: {model: meta-llama/Llama-3.2-1B, device: nvidia-l4-24gb}
  large:
    model: meta-llama/Llama-3.1-8B
    device: nvidia-l4-24gb
    network: {round_trip_ms: 50}
    price_per_million_input_tokens: 1.0
    price_per_million_output_tokens: 4.0
plan: {policy: cascade, options: {escalate: 0.4}}
load:
  generator:
    arrivals: {process: poisson, rate: 2.0}
    prompt_tokens: 300
    output_tokens: 20
    requests: 60
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A cascade of two pools."""
    path = tmp_path / "cascade.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_run_writes_requests_calls_and_a_page(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["run", str(file), "--out", str(out), "--timeline", "--set", "pools.small.replicas=2"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    requests, calls = (pq.read_table(out / f"{name}.parquet").to_pandas() for name in ("requests", "calls"))
    assert len(requests) == summary["requests"]["finished"] == 60
    assert len(calls) == summary["calls"]["total"] == requests["calls"].sum()
    assert (requests["answered_by"] == "large").mean() == summary["pools"]["large"]["answered_share"]
    assert calls.groupby("pool")["prompt_tokens"].sum()["large"] == summary["pools"]["large"]["prompt_tokens"]
    large = summary["pools"]["large"]
    assert large["cost_usd"] == pytest.approx((large["prompt_tokens"] + 4 * large["output_tokens"]) / 1e6)
    assert summary["cost"]["total_usd"] == pytest.approx(large["cost_usd"] + summary["pools"]["small"]["cost_usd"])
    assert summary["deployment"]["devices"] == 3
    assert sum(pool["answered_share"] for pool in summary["pools"].values()) == pytest.approx(1.0)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "Calls by role" in page
    assert (out / "timeline-small.json").exists()
    printed = capsys.readouterr().out
    for pool in summary["pools"]:
        assert f"| {pool}" in printed


def test_the_page_says_how_to_run_it_again(file: Path, tmp_path: Path) -> None:
    import html
    import re

    assert main(["run", str(file), "--out", str(tmp_path / "one"), "-q"]) == 0
    found = re.search(r"<pre>(.*?)</pre>", (tmp_path / "one" / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    again = tmp_path / "again.yaml"
    again.write_text(html.unescape(found[1]), encoding="utf-8")
    assert main(["run", str(again), "--out", str(tmp_path / "two"), "-q"]) == 0
    one, two = ((tmp_path / name / "summary.json").read_text() for name in ("one", "two"))
    assert one == two


def test_compare_pairs_cascades_with_each_other_and_with_one_deployment(file: Path, tmp_path: Path) -> None:
    other, alone = tmp_path / "other.yaml", tmp_path / "alone.yaml"
    other.write_text(FILE.replace("escalate: 0.4", "escalate: 0.0"), encoding="utf-8")
    body = FILE.split("load:")[1]
    alone.write_text(f"model: meta-llama/Llama-3.1-8B\ndevice: nvidia-l4-24gb\nload:{body}", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["compare", str(file), str(other), str(alone), "--out", str(out), "-q"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["pairs"] == 60
    cost = summary["comparisons"][0]["run"]["cost.total_usd"]
    assert cost["scenario"] < cost["baseline"]
    assert (out / "report.html").exists()
    assert pq.read_table(out / "requests.parquet").num_rows == 180
    assert main(["compare", str(file), str(other), "--uncertainty", "3"]) == 2


BAD = {
    "unknown pool field": (
        "small: {model:",
        "small: {replica: 2, model:",
        ":3: unknown field 'pools.small.replica': did you mean pools.small.replicas",
    ),
    "nested": (
        "network: {round_trip_ms: 50}",
        "network: {round_trip_s: 50}",
        ":7: unknown field 'pools.large.network.round_trip_s': did you mean pools.large.network.round_trip_ms",
    ),
    "load of a pool": (
        "    network: {round_trip_ms: 50}\n",
        "    load: {generator: azure-conversation}\n",
        "pools.large: load is of the whole scenario: leave it out of the pool",
    ),
    "fine-tuning": (
        "small: {model:",
        "small: {finetuning: {}, model:",
        "pools.small: kind cascade beside finetuning is not modelled: leave one of the two out",
    ),
    "half a price": ("    price_per_million_input_tokens: 1.0\n", "", "pools.large: give both price_per_million_input"),
    "no pools": (FILE.split("plan:", maxsplit=1)[0], "kind: cascade\npools: {}\n", "pools"),
    "unknown plan": ("policy: cascade", "policy: casade", "unknown plan policy 'casade': did you mean cascade"),
    "unknown pool of the plan": (
        "{escalate: 0.4}",
        "{tiers: [small, larg]}",
        "unknown pool in the options of plan cascade 'larg': did you mean large",
    ),
    "unknown device": ("device: nvidia-l4-24gb}", "device: nvidia-l5}", "pool small: unknown device 'nvidia-l5'"),
    "does not fit": ("Llama-3.1-8B", "Llama-3.1-405B", "pool large: meta-llama/Llama-3.1-405B does not fit"),
    "group without pools": ("plan:", "groups: {gpu: {}}\nplan:", "unknown group (no pool is in it) 'gpu'"),
    "sessions": ("load:\n", "load:\n  sessions: wait\n", "load.sessions wait is not modelled in a cascade"),
    "document law": (
        "plan:",
        "attributes: {document_tokens: {law: gauss}}\nplan:",
        "unknown attributes.document_tokens.law 'gauss'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_cascades_get_one_line(name: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after, expected = BAD[name]
    assert before in FILE
    file.write_text(FILE.replace(before, after), encoding="utf-8")
    assert main(["run", str(file)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert error.startswith("error: ")


def test_settings_and_uncertainty_are_refused_where_there_is_nothing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(file), "--set", "pools.small.replica=2"]) == 2
    assert "did you mean pools.small.replicas" in capsys.readouterr().err
    assert main(["run", str(file), "--uncertainty", "4"]) == 2
    assert "--uncertainty is not modelled for kind cascade" in capsys.readouterr().err


def test_plans_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "policies"]) == 0
    assert "minions" in capsys.readouterr().out
    assert main(["show", "policy", "ensemble"]) == 0
    assert "MoE^2" in capsys.readouterr().out
    assert isinstance(load_yaml(Path(__file__).parents[2] / "simulator/scenarios/cascade/minions.yaml"), dict)
