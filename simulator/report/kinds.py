"""Tables and pages of the kinds of scenario that neither serve requests nor train a step of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.report.federated import federation_tables
from simulator.report.federated_page import federated_page
from simulator.report.files import write_text
from simulator.report.inference import inference_tables
from simulator.report.inference_page import inference_page
from simulator.report.network_search import network_tables, write_candidates
from simulator.report.network_search_page import network_search_page
from simulator.report.operators import write_operator_timeline, write_operators
from simulator.report.pipeline_page import pipeline_page
from simulator.report.pipeline_tables import pipeline_tables, write_pipeline_files
from simulator.report.pipeline_timeline import write_pipeline_timeline
from simulator.report.rounds import rounds_tables
from simulator.report.rounds_page import rounds_page
from simulator.report.training_plan import training_plan_tables
from simulator.report.training_plan_page import training_plan_page


@dataclass(frozen=True, slots=True)
class Shown:
    """How a kind is shown: the titles and rows of its summary, and the page of its result.

    `more` writes further files into a folder, `timeline` a Chrome trace to a path, where a kind has them.
    """

    tables: Callable[[dict[str, Any]], list[tuple[str, list[dict[str, str]]]]]
    page: Callable[[Any], str]
    more: Callable[[Path, Any], None] | None = None
    timeline: Callable[[Path, Any], None] | None = None


KINDS = {
    "rounds": Shown(rounds_tables, rounds_page),
    "federated": Shown(federation_tables, federated_page),
    "inference": Shown(inference_tables, inference_page, write_operators, write_operator_timeline),
    "network-search": Shown(network_tables, network_search_page, write_candidates),
    "pipeline": Shown(pipeline_tables, pipeline_page, write_pipeline_files, write_pipeline_timeline),
    "training-plan": Shown(training_plan_tables, training_plan_page),
}


def print_summary(kind: str, summary: dict[str, Any]) -> None:
    """Print the headline figures of a run of this kind."""
    from simulator.report.table import print_rows

    for title, rows in KINDS[kind].tables(summary):
        print_rows(title, rows)


def has_timeline(kind: str) -> bool:
    """Whether a run of this kind can write a timeline."""
    return KINDS[kind].timeline is not None


def write_more(folder: Path, kind: str, result: Any, *, timeline: bool) -> None:
    """Write what a kind has besides summary and page, and its timeline if that is wanted."""
    shown = KINDS[kind]
    if shown.more is not None:
        shown.more(folder, result)
    if timeline and shown.timeline is not None:
        shown.timeline(folder / "timeline.json", result)


def write_page(path: Path, kind: str, result: Any) -> None:
    """Write the page of a result of this kind, whole or not at all; the same result gives the same bytes."""
    write_text(path, KINDS[kind].page(result))
