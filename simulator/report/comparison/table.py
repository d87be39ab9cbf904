"""A comparison on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.comparison.compare import Against, Comparison
from simulator.comparison.phases import PHASES
from simulator.report.comparison import rows
from simulator.report.terminal import console as terminal
from simulator.report.terminal import table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STYLES = {"better": "green", "worse": "red"}


def print_comparison(comparison: Comparison) -> None:
    """The scenarios, each one against the baseline, who wins, and where the time went."""
    console = terminal()
    pairs = f"{len(comparison.pairs.index):,} requests in {len(comparison.labels)} scenarios"
    scenarios = table(console, pairs, ("", "left"), ("what is deployed", "left"), ("differs in", "left"))
    for row in rows.scenario_rows(comparison):
        scenarios.add_row(*row)
    console.print(scenarios)
    for against in comparison.against:
        title = f"{against.label} against {comparison.labels[0]}"
        console.print(_differences(console, title, [*rows.request_rows(against), *rows.run_rows(against)]))
        console.print(_winners(console, comparison, against))
    console.print(_time(console, comparison))
    for note in (*comparison.notes, rows.method_line(comparison)):
        console.print(note, style="dim", markup=False)


def _differences(console: Console, title: str, found: list[rows.DifferenceRow]) -> Table:
    model = any(row.model for row in found)
    headings = ["baseline", "scenario", "difference", "90% interval", *(["model's own error"] if model else [])]
    made = table(console, title, ("", "left"), ("", "left"), *((h, "right") for h in headings), ("verdict", "left"))
    for row in found:
        cells = [row.name, row.unit, row.baseline, row.scenario, row.difference, row.sampling]
        made.add_row(*cells, *([row.model] if model else []), row.verdict, style=STYLES.get(row.outcome))
    return made


def _winners(console: Console, comparison: Comparison, against: Against) -> Table:
    first, second, *numbers = rows.winner_columns()
    title = f"who wins with {against.label}: change of the mean, shares better and worse off"
    made = table(console, title, (first, "left"), (second, "left"), *((n, "right") for n in numbers))
    for row in rows.winner_rows(comparison, against):
        made.add_row(*row)
    return made


def _time(console: Console, comparison: Comparison) -> Table:
    headings = [*(f"{name} (ms)" for name in PHASES), *(f"{kind} steps" for kind in rows.KINDS)]
    title = "where the time went: of a request on average, and of the replicas"
    made = table(console, title, ("", "left"), *((h, "right") for h in headings))
    for row in rows.time_rows(comparison):
        made.add_row(*row)
    return made
