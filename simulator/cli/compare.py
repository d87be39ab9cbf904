"""`simulator compare`: scenarios on the same requests, each against the first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.options import Json, Out, Quiet, Settings, file_argument, made_folder
from simulator.cli.results import Wanted, deliver
from simulator.errors import InputError
from simulator.shipped import SCENARIOS

Scenarios = Annotated[list[Path], file_argument("Scenario files in YAML; the first is the baseline.", SCENARIOS)]
Uncertainty = Annotated[
    int,
    typer.Option(metavar="N", help="Also give the model's own error, from N replications of every scenario."),
]


def compare(
    scenarios: Scenarios,
    settings: Settings = None,
    uncertainty: Uncertainty = 0,
    out: Out = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Compare scenarios on the same load and seed: paired differences, who wins, and how sure it is.

    The first one's load, seed and objectives count for all; --set applies to all. Of training scenarios the steps are
    put side by side, and the parts of a step that make the difference are named.

    Example: simulator compare simulator/scenarios/serving/chunked-prefill-8b.yaml
    simulator/scenarios/serving/prefill-first-8b.yaml --out out/
    """
    from simulator.kinds import is_summarised, is_training_step

    wanted, given = Wanted(out, json_file, quiet, uncertainty=uncertainty), settings or []
    trains = [is_summarised(path) for path in scenarios]
    if any(trains) and not all(trains):
        raise InputError("training and graphs cannot stand beside serving: compare scenarios of one kind")
    if any(trains) and uncertainty:
        raise InputError("--uncertainty is modelled for serving only: leave it out")
    made_folder(out)
    if not any(trains):
        _compare_requests(scenarios, given, wanted)
    elif all(is_training_step(path) for path in scenarios):
        _compare_steps(scenarios, given, wanted)
    else:
        _compare_figures(scenarios, given, wanted)


def _compare_requests(scenarios: list[Path], settings: list[str], wanted: Wanted) -> None:
    """Scenarios that serve requests, paired request by request."""
    from simulator.comparison.compare import compare as run_all
    from simulator.report.comparison.table import print_comparison
    from simulator.report.progress import over_runs, progress
    from simulator.report.results import comparison

    with progress(f"comparing {len(scenarios)} scenarios", "requests") as update:
        found = run_all(scenarios, settings=settings, uncertainty=wanted.uncertainty, on_progress=over_runs(update))
    deliver(wanted, comparison(), found, found.summary, lambda: print_comparison(found))


def _compare_steps(scenarios: list[Path], settings: list[str], wanted: Wanted) -> None:
    """Steps of training scenarios side by side."""
    from simulator.comparison.training import compare_training
    from simulator.report.comparison.training import print_training_comparison
    from simulator.report.progress import progress
    from simulator.report.results import step_comparison

    with progress(f"comparing {len(scenarios)} scenarios"):
        found = compare_training(scenarios, settings)
    deliver(wanted, step_comparison(), found, found.summary, lambda: print_training_comparison(found))


def _compare_figures(scenarios: list[Path], settings: list[str], wanted: Wanted) -> None:
    """Scenarios of any other kind that has a summary, by its figures."""
    from simulator.comparison.figures import compare_figures
    from simulator.report.comparison.figure_comparison import print_figure_comparison
    from simulator.report.progress import progress
    from simulator.report.results import figure_comparison

    with progress("comparing", "scenarios") as on_count:
        found = compare_figures(scenarios, settings, on_count=on_count)
    deliver(wanted, figure_comparison(), found, found.summary, lambda: print_figure_comparison(found))
