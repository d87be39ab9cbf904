"""A sweep on the terminal: its best points, and how many ran, failed and were found finished."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from simulator.report.terminal import console as terminal
from simulator.report.terminal import table as terminal_table

if TYPE_CHECKING:
    from simulator.sweeping import Swept

ROWS = 10
FIGURES = 4
REASONS = 5


def print_sweep(swept: Swept) -> None:
    """The best points of a sweep, or its first where nothing ranks them, and a sentence on the rest."""
    console = terminal()
    if len(swept.best):
        columns = ["point", *swept.settings, *figures(swept)]
        heading = swept.spec.name or "sweep"
        table = terminal_table(console, f"{heading}: {_order(swept)}", *((name, "right") for name in columns))
        for column in table.columns:
            column.overflow = "fold"  # a name that is cut says nothing
        for row in swept.best.head(ROWS)[columns].itertuples(index=False):
            table.add_row(*map(shown, row))
        console.print(table)
    for line in sentences(swept):
        console.print(line, markup=False, highlight=False)


def figures(swept: Swept) -> list[str]:
    """The figures that a small table has room for: the ranking one, then those that the sweep keeps, or usual ones."""
    wanted = [swept.spec.ranked_by or "", *(swept.spec.keep or ["*throughput*", "*.p99", "*step_s", "*latency_ms*"])]
    names = [str(n) for n in swept.results.columns if n not in {"point", "status", "reason", *swept.settings}]
    ordered = dict.fromkeys(name for pattern in wanted for name in names if fnmatchcase(name, pattern))
    return list(ordered)[:FIGURES]


def shown(value: Any) -> str:
    """A value in a cell."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.5g}"


def sentences(swept: Swept) -> list[str]:
    """How many points there are, how many failed and the commonest reasons."""
    summary = swept.summary
    done = f"{summary['simulated']:,} simulated now"
    if summary["found_finished"]:
        done += f", {summary['found_finished']:,} found finished"
    found = [f"{summary['points']:,} points, {summary['failed']:,} of them failed; {done}"]
    reasons = list(summary["reasons"].items())
    found += [f"failed, {count:,} times: {reason}" for reason, count in reasons[:REASONS]]
    if len(reasons) > REASONS:
        found.append(f"and for {len(reasons) - REASONS:,} other reasons, in the column reason of the results")
    return found


def _order(swept: Swept) -> str:
    spec, count = swept.spec, len(swept.best)
    first = f"the first {ROWS} of {count:,} points that ran" if count > ROWS else f"{count:,} points that ran"
    if spec.ranked_by is None:
        return first
    return f"{first}, by {'least' if spec.minimise else 'most'} {spec.ranked_by}"
