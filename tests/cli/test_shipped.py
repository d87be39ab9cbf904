"""Files that come with the package are taken by name wherever a file is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.shipped import PLANS, SCENARIOS, SWEEPS, file_of, shipped


def test_a_name_runs_as_its_file_does(tmp_path: Path) -> None:
    found = []
    for given in ("models/resnet-50-a100", str(SCENARIOS / "models" / "resnet-50-a100.yaml")):
        assert main(["run", given, "-q", "--json", str(tmp_path / "summary.json")]) == 0
        found.append(json.loads((tmp_path / "summary.json").read_text()))
    assert found[0] == found[1]


@pytest.mark.parametrize("command", ["run", "train", "compare", "plan", "sweep", "export", "explain"])
def test_a_misspelt_name_gets_the_nearest(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = {"plan": PLANS, "sweep": SWEEPS}.get(command, SCENARIOS)
    name = sorted(shipped(folder))[0]
    assert main([command, name[:-1]]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1


def test_every_shipped_file_is_found_by_its_name() -> None:
    for folder in (SCENARIOS, PLANS, SWEEPS):
        for name, path in shipped(folder).items():
            assert file_of(name, folder) == path
            assert path.is_file()
