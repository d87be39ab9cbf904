"""`simulator train`: the step of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    scenario: Annotated[Path, typer.Argument(help="Training scenario in YAML.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the scenario.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for summary.json.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write JSON to FILE.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False,
) -> None:
    """Step time, share of peak, memory and breakdown of a training run.

    Example: simulator train simulator/scenarios/training/gpt-1t.yaml --set batch.micro=1
    """
    from simulator.report.files import output_folder, write_json
    from simulator.report.training import print_training
    from simulator.training import load_training
    from simulator.training import train as run

    folder = None if out is None else output_folder(out)
    summary = run(load_training(scenario, settings or [])).summary
    if folder is not None:
        write_json(folder / "summary.json", summary)
    if json_file is not None:
        write_json(json_file, summary)
    if not quiet:
        print_training(summary)
