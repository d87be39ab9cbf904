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
from simulator.report.network_search import network_tables
from simulator.report.network_search_page import network_search_page
from simulator.report.rounds import rounds_tables
from simulator.report.rounds_page import rounds_page
from simulator.report.training_plan import training_plan_tables
from simulator.report.training_plan_page import training_plan_page


@dataclass(frozen=True, slots=True)
class Shown:
    """How a kind is shown: the titles and rows of its summary, and the page of its result."""

    tables: Callable[[dict[str, Any]], list[tuple[str, list[dict[str, str]]]]]
    page: Callable[[Any], str]


KINDS = {
    "rounds": Shown(rounds_tables, rounds_page),
    "federated": Shown(federation_tables, federated_page),
    "inference": Shown(inference_tables, inference_page),
    "network-search": Shown(network_tables, network_search_page),
    "training-plan": Shown(training_plan_tables, training_plan_page),
}


def print_summary(kind: str, summary: dict[str, Any]) -> None:
    """Print the headline figures of a run of this kind."""
    from simulator.report.table import print_rows

    for title, rows in KINDS[kind].tables(summary):
        print_rows(title, rows)


def write_page(path: Path, kind: str, result: Any) -> None:
    """Write the page of a result of this kind, whole or not at all; the same result gives the same bytes."""
    write_text(path, KINDS[kind].page(result))
