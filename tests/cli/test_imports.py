"""A run loads the modules of its own kind of scenario, and none of the others'."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from simulator.cli import main
assert main({arguments!r}) == 0
print(*(name for name in sys.modules if name.startswith("simulator.")))
"""


@pytest.mark.parametrize(
    ("arguments", "others"),
    [
        (
            ["run", "simulator/scenarios/models/resnet-50-a100.yaml", "-q"],
            ["simulator.experiment", "simulator.training", "simulator.pipelines", "simulator.planning"],
        ),
        (
            ["train", "simulator/scenarios/training/gpt-1t.yaml", "-q"],
            ["simulator.experiment", "simulator.pipelines", "simulator.cascade.run", "simulator.rounds"],
        ),
    ],
)
def test_a_run_loads_its_own_kind(arguments: list[str], others: list[str]) -> None:
    command = [sys.executable, "-c", RUN.format(arguments=arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "simulator.kinds" in loaded
    assert not loaded & set(others)
