"""Summaries of several scenarios side by side, on the terminal and as a page."""

from __future__ import annotations

import shlex

from simulator.comparison.figures import FigureComparison
from simulator.report.amounts import figure_text
from simulator.report.comparison.words import against, field_text
from simulator.report.sections import Answer, KeyFigure, Section, scenario_text, sectioned_page
from simulator.report.training.answer import large

# Figures that decide, by the names of summaries: what they are, their units, and whether the least is best.
DECISIVE = {
    "latency_ms": ("Least latency", "ms", True),
    "latency_ms.p99": ("Least P99 latency", "ms", True),
    "throughput_per_s": ("Most throughput", "/s", False),
    "items.throughput_per_s": ("Most throughput", "items/s", False),
    "energy_mj": ("Least energy", "mJ", True),
    "energy_per_item_j": ("Least energy an item", "J", True),
    "peak_activation_mb": ("Least memory of activations", "MB", True),
    "weights_mb": ("Smallest weights", "MB", True),
    "round_s.mean": ("Shortest round", "s", True),
    "waiting_share": ("Least waiting", "of the time", True),
    "model_updates_per_hour": ("Most updates of the model", "an hour", False),
    "step_s": ("Shortest step", "s", True),
}


def figure_rows(found: FigureComparison, *, equal: bool = False) -> list[dict[str, str]]:
    """One row a figure in which scenarios differ, or that all have `equal`, with every scenario's value.

    How far the others are from the first stands behind; those that differ most come first.
    """
    names = [name for name, values in found.figures.items() if _alike(values) == equal]
    return [
        {"figure": name, **{label: _cell(found.figures[name], i) for i, label in enumerate(found.labels)}}
        for name in sorted(names, key=lambda name: -_apart(found.figures[name]))
    ]


def change_rows(found: FigureComparison) -> list[dict[str, str]]:
    """One row a field that differs from the first scenario's, with both values."""
    return [
        {"scenario": label, "field": name, found.labels[0]: field_text(own), "its own": field_text(other)}
        for label, changes in zip(found.labels[1:], found.changes[1:], strict=True)
        for name, (own, other) in changes.items()
    ]


def print_figure_comparison(found: FigureComparison) -> None:
    """The figures that differ, how many do not, and what differs from the first scenario."""
    from simulator.report.table import print_rows

    print_rows(f"against {found.labels[0]}", figure_rows(found))
    alike = len(figure_rows(found, equal=True))
    if alike:
        print(f"{alike} other figures are equal")
    print_rows("what differs", change_rows(found))


def figure_comparison_page(found: FigureComparison) -> str:
    """The page as text; the same comparison gives the same bytes."""
    first = found.labels[0]
    files = shlex.join(f"{label}.yaml" for label in found.labels)
    return sectioned_page(
        against(found.labels),
        str(getattr(found.scenarios[0], "kind", "")),
        [
            Section("What differs in the scenarios", change_rows(found)),
            Section("Figures that differ", figure_rows(found), f"In brackets the difference from {first}."),
            Section("Figures that are equal", figure_rows(found, equal=True), folded=True),
            Section("To run this again", sentences=[f"Save each as a file, then simulator compare {files} --out out/"]),
            *(
                Section(f"{label}.yaml", code=scenario_text(scenario))
                for label, scenario in zip(found.labels, found.scenarios, strict=True)
            ),
        ],
        _answer(found),
    )


def _answer(found: FigureComparison) -> Answer:
    """The figures by which scenarios of the kind are judged, of the scenario in which each is best.

    A figure that should be small and is nothing somewhere, such as energy where no power is known, decides nothing.
    """
    figures = []
    for name, (title, unit, lowest) in DECISIVE.items():
        values = found.figures.get(name)
        if values is None or None in values or (lowest and 0.0 in values):
            continue
        known = [value for value in values if value is not None]
        place = known.index(min(known) if lowest else max(known))
        own = "" if not place or not known[0] else f" ({known[place] / known[0] - 1.0:+.1%})"
        told = "all alike" if _alike(values) else f"{found.labels[place]}{own}"
        figures.append(KeyFigure(title, *large(known[place], unit), told))
    differ, alike = (len(figure_rows(found, equal=equal)) for equal in (False, True))
    return Answer(figures, [f"{differ} figures differ and {alike} are equal; differences are from {found.labels[0]}."])


def _alike(values: list[float | None]) -> bool:
    return len(set(values)) == 1


def _apart(values: list[float | None]) -> float:
    """The largest difference from the first, as a share of the larger of the two; below 0 where some have no value."""
    first = values[0]
    if None in values or first is None:
        return -1.0
    return max(abs(v - first) / (max(abs(v), abs(first)) or 1.0) for v in values if v is not None)


def _cell(values: list[float | None], i: int) -> str:
    value, first = values[i], values[0]
    if value is None:
        return ""
    shown = figure_text(value)
    return shown if i == 0 or not first else f"{shown} ({value / first - 1.0:+,.1%})"
