"""`simulator train`: the step of a training run, the run itself, rounds of workers, or a federation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.options import Json, Quiet, Settings, Timeline, file_argument
from simulator.cli.results import Wanted
from simulator.cli.summarised import run_summarised
from simulator.shipped import SCENARIOS


def train(
    scenario: Annotated[Path, file_argument("Training scenario in YAML.", SCENARIOS)],
    settings: Settings = None,
    timeline: Timeline = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for summary.json and report.html.")] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Step time, share of peak, memory and breakdown of a training run, and what failures and slow devices make of it.

    Scenarios of kind rounds (workers that straggle) and federated (clients and a server) run too.

    Example: simulator train simulator/scenarios/training/gpt-1t.yaml --set batch.micro=1
    """
    from simulator.kinds import load_training_kind

    run_summarised(load_training_kind(scenario, settings or []), Wanted(out, json_file, quiet, timeline))
