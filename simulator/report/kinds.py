"""Tables, pages and files of the kinds of scenario that serve no requests: training and operator graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError
from simulator.report.written import Written

if TYPE_CHECKING:
    from simulator.specs.part import Part
    from simulator.training import TrainingResult

Tables = list[tuple[str, list[dict[str, str]]]]


@dataclass(frozen=True, slots=True)
class Shown:
    """How a kind is shown: the titles and rows of its summary on a terminal, and what its results write.

    `refuse_untimed` raises `InputError` for scenarios of the kind that have no timeline, where some have one.
    """

    tables: Callable[[dict[str, Any]], Tables]
    written: Written
    refuse_untimed: Callable[[Any], None] | None = None


def shown(kind: str) -> Shown:
    """How a kind is shown, by its name; its modules are imported now."""
    return _KINDS[kind]()


def print_summary(kind: str, summary: dict[str, Any]) -> None:
    """Print the headline figures of a run of this kind."""
    from simulator.report.table import print_rows

    for title, rows in shown(kind).tables(summary):
        print_rows(title, rows)


def refuse_untimed(scenario: Part) -> None:
    """Raise `InputError` for a scenario whose run has no timeline."""
    kind = str(getattr(scenario, "kind", ""))
    found = shown(kind)
    if found.written.timeline is None:
        raise InputError(f"kind {kind} has no timeline: leave it out")
    if found.refuse_untimed is not None:
        found.refuse_untimed(scenario)


def _training() -> Shown:
    from simulator.report.training.page import training_report
    from simulator.report.training.tables import training_tables
    from simulator.report.training.timeline import refuse_untimed, write_step_timeline

    def timeline(path: Path, result: TrainingResult) -> None:
        refuse_untimed(result.scenario)
        write_step_timeline(path, result.step)

    return Shown(training_tables, Written(training_report, timeline=timeline), refuse_untimed)


def _training_plan() -> Shown:
    from simulator.report.planning.layouts import training_plan_tables
    from simulator.report.planning.layouts_page import training_plan_page

    return Shown(training_plan_tables, Written(training_plan_page))


def _rounds() -> Shown:
    from simulator.report.training.rounds import rounds_tables
    from simulator.report.training.rounds_page import rounds_page

    return Shown(rounds_tables, Written(rounds_page))


def _federated() -> Shown:
    from simulator.report.training.federated import federation_tables
    from simulator.report.training.federated_page import federated_page

    return Shown(federation_tables, Written(federated_page))


def _inference() -> Shown:
    from simulator.report.graphs.inference import inference_tables
    from simulator.report.graphs.inference_page import inference_page
    from simulator.report.graphs.operators import write_operator_timeline, write_operators

    return Shown(inference_tables, Written(inference_page, write_operators, write_operator_timeline))


def _network_search() -> Shown:
    from simulator.report.graphs.network_search import network_tables, write_candidates
    from simulator.report.graphs.network_search_page import network_search_page

    return Shown(network_tables, Written(network_search_page, write_candidates))


def _pipeline() -> Shown:
    from simulator.report.graphs.pipeline_page import pipeline_page
    from simulator.report.graphs.pipeline_tables import pipeline_tables, write_pipeline_files
    from simulator.report.graphs.pipeline_timeline import write_pipeline_timeline

    return Shown(pipeline_tables, Written(pipeline_page, write_pipeline_files, write_pipeline_timeline))


_KINDS: dict[str, Callable[[], Shown]] = {
    "training": _training,
    "training-plan": _training_plan,
    "rounds": _rounds,
    "federated": _federated,
    "inference": _inference,
    "network-search": _network_search,
    "pipeline": _pipeline,
}
