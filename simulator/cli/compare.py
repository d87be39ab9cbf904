"""`simulator compare`: scenarios on the same requests, each against the first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli import completion
from simulator.cli.options import Json, Out, Quiet, Settings, made_folder
from simulator.errors import InputError

Scenarios = Annotated[
    list[Path],
    typer.Argument(
        help="Scenario files in YAML; the first is the baseline.", autocompletion=completion.files(*completion.YAML)
    ),
]
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
    from simulator.comparison.compare import compare as run_all
    from simulator.kinds import is_summarised, is_training_step
    from simulator.report import files
    from simulator.report.progress import over_runs, progress

    trains = [is_summarised(path) for path in scenarios]
    if any(trains) and not all(trains):
        raise InputError("training and graphs cannot stand beside serving: compare scenarios of one kind")
    if any(trains) and not all(is_training_step(path) for path in scenarios):
        _compare_figures(scenarios, settings or [], uncertainty, out, json_file, quiet)
        return
    if any(trains):
        _compare_training(scenarios, settings or [], uncertainty, out, json_file, quiet)
        return
    folder = made_folder(out)
    with progress(f"comparing {len(scenarios)} scenarios", "requests") as update:
        comparison = run_all(scenarios, settings=settings or [], uncertainty=uncertainty, on_progress=over_runs(update))
    if folder is not None:
        from simulator.report.comparison_html import write_compared_requests, write_comparison

        write_compared_requests(folder / "requests.parquet", comparison)
        write_comparison(folder / "report.html", comparison)
        files.write_json(folder / "summary.json", comparison.summary)
    if json_file is not None:
        files.write_json(json_file, comparison.summary)
    if not quiet:
        from simulator.report.comparison_table import print_comparison

        print_comparison(comparison)


def _compare_figures(
    scenarios: list[Path], settings: list[str], uncertainty: int, out: Path | None, json_file: Path | None, quiet: bool
) -> None:
    """Scenarios of any other kind that has a summary, by its figures."""
    from simulator.comparison.figures import compare_figures
    from simulator.report import files
    from simulator.report.figure_comparison import figure_comparison_page, print_figure_comparison
    from simulator.report.progress import progress

    if uncertainty:
        raise InputError("--uncertainty is modelled for serving only: leave it out")
    with progress("comparing", "scenarios") as on_count:
        found = compare_figures(scenarios, settings, on_count=on_count)
    if out is not None:
        folder = files.output_folder(out)
        files.write_text(folder / "report.html", figure_comparison_page(found))
        files.write_json(folder / "summary.json", found.summary)
    if json_file is not None:
        files.write_json(json_file, found.summary)
    if not quiet:
        print_figure_comparison(found)


def _compare_training(
    scenarios: list[Path], settings: list[str], uncertainty: int, out: Path | None, json_file: Path | None, quiet: bool
) -> None:
    """Steps of training scenarios side by side."""
    from simulator.comparison.training import compare_training
    from simulator.report import files
    from simulator.report.progress import progress
    from simulator.report.training_comparison import print_training_comparison

    if uncertainty:
        raise InputError("--uncertainty is not modelled for kind training: leave it out")
    folder = made_folder(out)
    with progress(f"comparing {len(scenarios)} scenarios"):
        found = compare_training(scenarios, settings)
    if folder is not None:
        from simulator.report.training_comparison_page import write_training_comparison

        write_training_comparison(folder / "report.html", found)
        files.write_json(folder / "summary.json", found.summary)
    if json_file is not None:
        files.write_json(json_file, found.summary)
    if not quiet:
        print_training_comparison(found)
