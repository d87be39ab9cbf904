"""Summaries of several scenarios side by side, on the terminal and as a page."""

from __future__ import annotations

import shlex

from simulator.comparison.figures import FigureComparison
from simulator.report.sections import Section, scenario_text, sectioned_page


def figure_rows(found: FigureComparison) -> list[dict[str, str]]:
    """One row a figure with every scenario's value, and how far the others are from the first."""
    return [
        {"figure": name, **{label: _cell(values, i) for i, label in enumerate(found.labels)}}
        for name, values in found.figures.items()
    ]


def change_rows(found: FigureComparison) -> list[dict[str, str]]:
    """One row a field that differs from the first scenario's, with both values."""
    return [
        {"scenario": label, "field": name, found.labels[0]: str(own), "its own": str(other)}
        for label, changes in zip(found.labels[1:], found.changes[1:], strict=True)
        for name, (own, other) in changes.items()
    ]


def print_figure_comparison(found: FigureComparison) -> None:
    """All figures, and what differs from the first scenario."""
    from simulator.report.table import print_rows

    print_rows(f"against {found.labels[0]}", figure_rows(found))
    print_rows("what differs", change_rows(found))


def figure_comparison_page(found: FigureComparison) -> str:
    """The page as text; the same comparison gives the same bytes."""
    first, *others = found.labels
    files = shlex.join(f"{label}.yaml" for label in found.labels)
    return sectioned_page(
        f"{', '.join(others)} against {first}",
        str(getattr(found.scenarios[0], "kind", "")),
        [
            Section("What differs", change_rows(found)),
            Section("Side by side", figure_rows(found), f"In brackets the difference from {first}."),
            Section("To run this again", sentences=[f"Save each as a file, then simulator compare {files} --out out/"]),
            *(
                Section(f"{label}.yaml", code=scenario_text(scenario))
                for label, scenario in zip(found.labels, found.scenarios, strict=True)
            ),
        ],
    )


def _cell(values: list[float | None], i: int) -> str:
    value, first = values[i], values[0]
    if value is None:
        return ""
    shown = f"{value:,.4g}"
    return shown if i == 0 or not first else f"{shown} ({value / first - 1.0:+.1%})"
