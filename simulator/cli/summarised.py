"""Run scenarios that are known by their summaries: training of all kinds, operator graphs, pipelines, searches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import refuse_beside

if TYPE_CHECKING:
    from simulator.kinds import Summarised
    from simulator.report.progress import Update
    from simulator.specs.part import Part
    from simulator.specs.training import TrainingScenario

_UNITS = {"network-search": "networks", "training-plan": "layouts"}


def run_summarised(scenario: Part, *, out: Path | None, json_file: Path | None, timeline: bool, quiet: bool) -> None:
    """Simulate a scenario that serves no requests, write what was asked for and print the headline figures."""
    from simulator.cli.options import made_folder, timeline_needs_out
    from simulator.specs.training import TrainingScenario

    timeline_needs_out(timeline, out)
    if isinstance(scenario, TrainingScenario):
        _run_step(scenario, out=out, json_file=json_file, timeline=timeline, quiet=quiet)
        return
    from simulator.report.files import write_json
    from simulator.report.kinds import has_timeline, print_summary, write_more, write_page
    from simulator.report.progress import progress

    kind = str(getattr(scenario, "kind", ""))
    refuse_beside("a timeline", {f"kind {kind}": timeline and not has_timeline(kind)})
    folder = made_folder(out)
    with progress("simulating", _UNITS.get(kind, "")) as update:
        result = _counted(scenario, update)
    summary = result.summary
    if folder is not None:
        write_page(folder / "report.html", kind, result)
        write_more(folder, kind, result, timeline=timeline)
    for file in [json_file, None if folder is None else folder / "summary.json"]:
        if file is not None:
            write_json(file, summary)
    if not quiet:
        print_summary(kind, summary)


def _counted(scenario: Part, update: Update | None) -> Summarised:
    """Simulate a scenario; searches tell how far they are."""
    from simulator.kinds import simulate
    from simulator.planning.networks.search import search_networks
    from simulator.planning.training.plan import plan_training
    from simulator.specs.network_search import NetworkSearch
    from simulator.specs.training_plan import TrainingPlan

    if isinstance(scenario, NetworkSearch):
        return search_networks(scenario, on_count=update)
    if isinstance(scenario, TrainingPlan):
        return plan_training(scenario, on_bound=update)
    return simulate(scenario)


def _run_step(
    scenario: TrainingScenario, *, out: Path | None, json_file: Path | None, timeline: bool, quiet: bool
) -> None:
    """Simulate a step, write what was asked for and print the headline figures."""
    from simulator.cli.options import made_folder
    from simulator.report.files import write_json
    from simulator.report.progress import progress
    from simulator.report.training_tables import print_training
    from simulator.training import train as run

    if timeline:
        from simulator.report.training_timeline import refuse_untimed

        refuse_untimed(scenario)
    folder = made_folder(out)
    with progress("simulating"):
        result = run(scenario)
    summary = result.summary
    if folder is not None:
        if timeline:
            from simulator.report.training_timeline import write_step_timeline

            write_step_timeline(folder / "timeline.json", result.step)
        from simulator.report.training_html import write_training_report

        write_training_report(folder / "report.html", result)
        write_json(folder / "summary.json", summary)
    if json_file is not None:
        write_json(json_file, summary)
    if not quiet:
        print_training(summary)
