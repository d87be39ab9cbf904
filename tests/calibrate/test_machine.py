"""This machine measured and fitted in small, from Python."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

import simulator
from simulator.calibrate import microbench, numpy_bench, this_cpu
from simulator.calibrate.microbench import chosen
from simulator.calibrate.suite import suite
from simulator.cli import main


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_bench, "COLD_BYTES", 1e6)
    monkeypatch.setattr(microbench, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(this_cpu, "TRIAD_BYTES", 4_000_000)


def test_what_was_measured_is_what_scenarios_take(tmp_path: Path) -> None:
    machine = simulator.calibrate_machine(tmp_path / "cpu.yaml", operators=["gemm"], most=30, seed=3)
    stored = pd.read_parquet(tmp_path / "cpu.parquet")
    assert set(stored.op) == {"gemm"} and len(stored) == 30
    assert (stored.latency_us > 0).all() and (stored.latency_us == machine.measurements.latency_us).all()
    fitted = yaml.safe_load((tmp_path / "cpu.yaml").read_text())
    assert list(fitted["curves"]) == ["gemm"]
    row = machine.errors.set_index("family").loc["gemm"]
    assert row["median"] == fitted["residuals"]["gemm"]["fp32"]["median"]
    times = [
        simulator.explain(
            model="facebook/opt-125m", device=machine.device, calibration=known, weights="fp32", prefill_tokens=64
        ).seconds.sum()
        for known in (machine.calibration, None)
    ]
    assert times[0] > times[1] > 0  # no library reaches every peak of a datasheet


def test_a_seed_draws_other_shapes_of_the_same_operators() -> None:
    one, same, other = (chosen(suite(quick=True, seed=s), ["gemm", "copy"], 5) for s in (0, 0, 1))
    assert one == same != other
    assert [case["op"] for case in other] == ["gemm"] * 5 + ["copy"] * 5
    assert chosen(suite(quick=True), None, None) == list(suite(quick=True))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"operators": ["gem"]}, "did you mean gemm"),
        ({"operators": []}, "operators is empty"),
        ({"most": 0}, "most is 0"),
        ({"backend": "onnxruntim"}, "onnxruntime"),
        ({"device": "no-such"}, "unknown device"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_measured(
    tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(simulator.InputError, match=message):
        simulator.calibrate_machine(tmp_path / "cpu.yaml", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "cpu.yaml").exists() and not (tmp_path / "cpu.parquet").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(simulator.InputError, match="make it first"):
        simulator.calibrate_machine(tmp_path / "none" / "cpu.yaml")


def test_the_command_writes_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(microbench, "suite", lambda **given: chosen(suite(**given), ["gemm"], 30))
    monkeypatch.setattr(microbench, "_between_processes", lambda *a, **k: [])
    assert main(["calibrate", "--out", str(tmp_path / "cpu.yaml"), "--json", str(tmp_path / "it.json")]) == 0
    written = json.loads((tmp_path / "it.json").read_text())["written"]
    assert [Path(name).name for name in written] == ["cpu.yaml", "cpu.parquet", "this-cpu.device.yaml"]
    assert all(Path(name).exists() for name in written)
