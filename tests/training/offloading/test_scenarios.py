"""Offloading from a scenario's file to its summary and table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.errors import InputError
from simulator.training import load_training, train

EXAMPLE = Path(__file__).parents[3] / "simulator" / "scenarios" / "training" / "offload-13b-rtx-4090.yaml"


def test_the_summary_names_links_places_and_what_bounds_the_step() -> None:
    summary = train(load_training(EXAMPLE)).summary
    offload = summary["offload"]
    assert sum(summary["breakdown_s"].values()) == pytest.approx(summary["step_s"])
    assert offload["passes_s"] + offload["after_passes_s"] == pytest.approx(summary["step_s"])
    assert all(0.0 <= share <= 1.0 + 1e-9 for share in offload["busy_share"].values())
    assert "arithmetic" in offload["bound"]
    # Adam keeps 12 bytes a parameter and the weights 2, all on the drives, besides swapped activations.
    assert offload["memory_gb"]["nvme"]["peak"] > 14e-9 * summary["model"]["parameters"]
    assert summary["memory_gb"][0]["total"] == pytest.approx(offload["memory_gb"]["device"]["peak"])
    assert summary["mfu"] < summary["hfu"] < 1.0


def test_a_host_of_the_scenarios_own() -> None:
    few, many = (train(load_training(EXAMPLE, [f"offload.host.drives={n}"])).summary for n in (1, 12))
    assert few["step_s"] > many["step_s"]
    assert "drives" in few["offload"]["bound"]
    with pytest.raises(InputError, match="more drives"):
        train(load_training(EXAMPLE, ["offload.host.drives=1", "offload.host.drive_tb=0.1"]))


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(EXAMPLE), "--json", str(tmp_path / "s.json")]) == 0
    printed = capsys.readouterr().out
    assert "what a step moves for one device" in printed
    assert "what bounds the step" in printed
    assert json.loads((tmp_path / "s.json").read_text())["offload"]["plan"]["optimizer"] == "nvme"


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(InputError, match="did you mean zero-infinity"):
        train(load_training(EXAMPLE, ["offload.policy=zero-infinty"]))
