"""The functions give what the commands write, to the byte, for every kind of scenario."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import simulator
from simulator.cli import main
from tests.api.scenarios import INFERENCE, KINDS, L4, LLAMA, PLAN, PUBLISHED, SERVING, TRAINING, TRAINING_PLAN


def written(folder: Path, name: str, values: dict[str, Any]) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_each_kind(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, kind, KINDS[kind])
    assert main(["run", str(path), "--out", str(tmp_path / "command"), "--quiet"]) == 0
    found = simulator.run(path)
    found.save(tmp_path / "function")
    assert found.kind == kind
    assert found.figures == json.loads((tmp_path / "command" / "summary.json").read_text())
    assert contents(tmp_path / "function") == contents(tmp_path / "command")


@pytest.mark.parametrize("kind", KINDS)
def test_its_scenario_gives_it_again(kind: str, tmp_path: Path) -> None:
    found = simulator.run(KINDS[kind])
    path = tmp_path / "scenario.yaml"
    path.write_text(found.scenario_yaml)
    assert found.again == "simulator run scenario.yaml"
    assert main(["run", str(path), "--json", str(tmp_path / "again.json"), "--quiet"]) == 0
    assert json.loads((tmp_path / "again.json").read_text()) == found.figures


def test_settings_and_intervals(tmp_path: Path) -> None:
    path, out = written(tmp_path, "serving", SERVING), tmp_path / "out"
    command = ["run", str(path), "--set", "max_num_seqs=4", "--set", "replicas=1", "--uncertainty", "4"]
    assert main([*command, "--out", str(out), "--timeline", "--quiet"]) == 0
    found = simulator.run(path, settings={"max_num_seqs": 4, "replicas": 1}, uncertainty=4)
    found.save(tmp_path / "function", timeline=True)
    assert contents(tmp_path / "function") == contents(out)
    assert found.figures == simulator.run(path, settings=["max_num_seqs=4", "replicas=1"], uncertainty=4).figures
    low, high = found.intervals.loc["latency_ms.e2e.p50"]
    assert [low, high] == found.figures["intervals"]["latency_ms"]["e2e"]["p50"]
    assert "90% interval" in found._repr_html_()


def test_metrics_over_time(tmp_path: Path) -> None:
    path, out = written(tmp_path, "serving", SERVING), tmp_path / "out"
    assert main(["run", str(path), "--out", str(out), "--metrics", "--quiet"]) == 0
    found = simulator.run(path, metrics=True)
    found.save(tmp_path / "function")
    assert contents(tmp_path / "function") == contents(out)
    begins = ["--metrics-interval", "2", "--metrics-start", "2026-02-01T00:00:00+00:00"]
    assert main(["run", str(path), "--out", str(out), "--metrics", *begins, "--quiet"]) == 0
    other = found.metrics(tmp_path / "metrics.txt", interval_s=2.0, start=begins[-1])
    assert other.read_bytes() == (out / "metrics.txt").read_bytes()
    assert other.read_bytes() != (tmp_path / "function" / "metrics.txt").read_bytes()


def test_a_replay(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,prompt_tokens,output_tokens\n0,200,20\n0.5,300,30\n0.9,100,10\n")
    arguments = ["--model", SERVING["model"], "--device", SERVING["device"], "--limit", "2", "--speed-up", "2"]
    assert main(["replay", str(trace), *arguments, "--json", str(tmp_path / "x.json"), "--quiet"]) == 0
    found = simulator.replay(trace, model=SERVING["model"], device=SERVING["device"], limit=2, speed_up=2.0)
    assert found.figures == json.loads((tmp_path / "x.json").read_text())
    assert found.requests.prompt_tokens.tolist() == [200, 300]
    assert found.requests.arrival_s.tolist() == [0.0, 0.25]


def test_training(tmp_path: Path) -> None:
    path, out = written(tmp_path, "step", TRAINING), tmp_path / "out"
    assert main(["train", str(path), "--set", "batch.micro=2", "--out", str(out), "--timeline", "--quiet"]) == 0
    found = simulator.train(path, settings={"batch.micro": 2})
    found.save(tmp_path / "function", timeline=True)
    assert contents(tmp_path / "function") == contents(out)
    without = {k: v for k, v in TRAINING.items() if k != "kind"}
    assert simulator.train(without, settings={"batch.micro": 2}).figures == found.figures


@pytest.mark.parametrize("spec", [PLAN, TRAINING_PLAN], ids=["planning", "training-plan"])
def test_a_plan(spec: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, "plan", spec)
    assert main(["plan", str(path), "--jobs", "1", "--out", str(tmp_path / "command"), "--quiet"]) == 0
    found = simulator.plan(path, jobs=1)
    found.save(tmp_path / "function")
    assert contents(tmp_path / "function") == contents(tmp_path / "command")
    (tmp_path / "again.yaml").write_text(found.scenario_yaml)
    again = simulator.plan(tmp_path / "again.yaml", jobs=1)
    assert again.figures | {"name": ""} == found.figures | {"name": ""}
    assert simulator.plan(spec, jobs=1).figures == found.figures


@pytest.mark.parametrize(
    ("values", "setting"),
    [(SERVING, "replicas=1"), (TRAINING, "batch.micro=2"), (INFERENCE, "batch=2")],
    ids=["serving", "training", "inference"],
)
def test_a_comparison(values: dict[str, Any], setting: str, tmp_path: Path) -> None:
    name, _, value = setting.partition("=")
    other = yaml.safe_load(yaml.safe_dump(values))
    inner = other
    for part in name.split(".")[:-1]:
        inner = inner[part]
    inner[name.rsplit(".", maxsplit=1)[-1]] = int(value)
    paths = [written(tmp_path, "base", values), written(tmp_path, "other", other)]
    assert main(["compare", *map(str, paths), "--out", str(tmp_path / "command"), "--quiet"]) == 0
    found = simulator.compare(paths)
    found.save(tmp_path / "function")
    assert contents(tmp_path / "function") == contents(tmp_path / "command")
    assert found.name == "other against base"
    assert len(found.differences)
    plain = simulator.compare([values, other])
    assert plain.table("differences").shape == found.differences.shape


@pytest.mark.parametrize("target", ["vllm", "sglang", "dynamo", "llm-d"])
def test_launch_lines(target: str, tmp_path: Path) -> None:
    path, out = written(tmp_path, "serving", SERVING), tmp_path / "out"
    command = ["export", str(path), "--format", target, "--set", "max_num_seqs=7", "--out", str(out), "--quiet"]
    assert main(command) == 0
    for given in (path, {**SERVING}, simulator.load_scenario(path)):
        found = simulator.export(given, format=target, settings={"max_num_seqs": 7})
        assert {name: text.encode() for name, text in found.items()} == contents(out)


def test_what_cannot_be_launched() -> None:
    for given, target, words in [(TRAINING, "vllm", "export"), (SERVING, "vlm", "vllm"), (SERVING, 3, "vllm")]:
        with pytest.raises(simulator.InputError, match=words):
            simulator.export(given, format=target)  # type: ignore[arg-type]


def test_a_published_system(tmp_path: Path) -> None:
    path = written(tmp_path, "published", PUBLISHED)
    command = ["run", str(path), "--out", str(tmp_path / "command"), "--json", str(tmp_path / "x.json"), "--quiet"]
    assert main(command) == 0
    found = simulator.run(path)
    assert found.figures == json.loads((tmp_path / "x.json").read_text())
    assert found.save(tmp_path / "function") == tmp_path / "function"
    assert contents(tmp_path / "function") == contents(tmp_path / "command")
    sides = found.table("sides")
    assert sides.loc["baseline", "latency_ms.e2e.mean"] == found.figures["baseline"]
    with pytest.raises(simulator.InputError, match="both of its sides"):
        simulator.run(path, settings={"replicas": 2})


def test_an_iteration_explained(tmp_path: Path) -> None:
    options = ["--model", LLAMA, "--device", L4, "--prefill-tokens", "64", "--decode-sequences", "16"]
    assert main(["explain", *options, "--json", str(tmp_path / "x.json"), "--quiet"]) == 0
    command = json.loads((tmp_path / "x.json").read_text())
    found = simulator.explain(model=LLAMA, device=L4, prefill_tokens=64, decode_sequences=16)
    assert found.rename(columns={"operator": "name", "calls": "count"}).to_dict("records") == command["parts"]
    assert found.seconds.sum() == pytest.approx(command["total_s"])


def test_what_explain_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "serving", SERVING)
    assert main(["explain", str(path)]) == 2
    assert "explain takes scenarios of kind inference, not serving" in capsys.readouterr().err
    assert main(["explain", "--model", LLAMA, "--device", L4, "--decode-sequences", "-1"]) == 2
    assert "--decode-sequences is -1" in capsys.readouterr().err
    with pytest.raises(simulator.InputError, match=r"^decode_sequences is -1"):
        simulator.explain(model=LLAMA, device=L4, decode_sequences=-1)
