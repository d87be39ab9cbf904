"""Run scenarios that are known by their summaries: training of all kinds, operator graphs, pipelines, searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.cli.options import made_folder, timeline_needs_out
from simulator.cli.results import Wanted, deliver
from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.kinds import Summarised
    from simulator.report.progress import Update
    from simulator.specs.part import Part

_UNITS = {"network-search": "networks", "training-plan": "layouts"}


def run_summarised(scenario: Part, wanted: Wanted) -> None:
    """Simulate a scenario that serves no requests, write what was asked for and print the headline figures."""
    from simulator.report.kinds import print_summary, refuse_untimed, shown
    from simulator.report.progress import progress

    kind = str(getattr(scenario, "kind", ""))
    for name, given in (("--uncertainty", wanted.uncertainty), ("--metrics", wanted.metrics)):
        if given:
            raise InputError(f"{name} is not modelled for kind {kind}: leave it out")
    timeline_needs_out(wanted.timeline, wanted.out)
    if wanted.timeline:
        refuse_untimed(scenario)
    made_folder(wanted.out)
    with progress("simulating", _UNITS.get(kind, "")) as update:
        result = _counted(scenario, update)
    summary = result.summary
    deliver(wanted, shown(kind).written, result, summary, lambda: print_summary(kind, summary))


def _counted(scenario: Part, update: Update | None) -> Summarised:
    """Simulate a scenario; searches tell how far they are."""
    from simulator.kinds import simulate
    from simulator.specs.network_search import NetworkSearch
    from simulator.specs.training_plan import TrainingPlan

    if isinstance(scenario, NetworkSearch):
        from simulator.planning.networks.search import search_networks

        return search_networks(scenario, on_count=update)
    if isinstance(scenario, TrainingPlan):
        from simulator.planning.training.plan import plan_training

        return plan_training(scenario, on_bound=update)
    return simulate(scenario)
