"""Predictions against measurements as tables, the same on a terminal and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.calibrate.errors import Comparison

Rows = list[dict[str, str]]
WORST = 20
# How values of a unit are shown: the factor, the unit, the decimals, and what they are beside predictions.
SHOWN = {"seconds": (1e3, " (ms)", ",.2f", "measured"), "ratio": (1.0, "", ",.3g", "reported")}


def group_rows(found: Comparison, unit: str = "seconds") -> Rows:
    """One row a group: both values where every group is one row, else its errors."""
    names = list(dict.fromkeys(name for label in found.labels for name in label))
    labels = [{name: label.get(name, "") for name in names} for label in found.labels]
    if all(len(measured) == 1 for measured in found.measured):
        return [
            label | pair_cells(float(predicted[0]), float(measured[0]), unit)
            for label, predicted, measured in zip(labels, found.predicted, found.measured, strict=True)
        ]
    groups = found.summary()["groups"]
    return [label | error_cells(group) for label, group in zip(labels, groups, strict=True)]


def pair_cells(predicted: float, measured: float, unit: str = "seconds") -> dict[str, str]:
    """Predicted and measured or reported value, and the error."""
    factor, name, digits, true = SHOWN[unit]
    return {
        f"predicted{name}": f"{predicted * factor:{digits}}",
        f"{true}{name}": f"{measured * factor:{digits}}",
        "error": f"{predicted / measured - 1:+z.1%}",
    }


def error_cells(found: dict[str, float]) -> dict[str, str]:
    """Errors of a group of rows."""
    return {
        "rows": f"{found['n']:,.0f}",
        "median": f"{found['median_ape']:.1%}",
        "mean": f"{found['mape']:.1%}",
        "P90": f"{found['p90_ape']:.1%}",
        "bias": f"{found['bias']:+.1%}",
        "in 90 % interval": f"{found['coverage_90']:.0%}" if "coverage_90" in found else "",
    }


def worst_rows(found: Comparison, unit: str = "seconds") -> Rows:
    """The rows whose predictions are farthest off, by the larger of the two values over the smaller.

    None where there are so few rows that the groups show them all.
    """
    rows = sorted(found.rows(), key=lambda row: -max(row[2] / row[3], row[3] / row[2]))
    if len(rows) <= WORST and len(rows) == len(found.labels):
        return []
    rows = rows[:WORST]
    names = list(dict.fromkeys(name for label, *_ in rows for name in label))
    several = any(name for _, name, *_ in rows)
    return [
        {key: label.get(key, "") for key in names}
        | ({"row": name} if several else {})
        | pair_cells(predicted, measured, unit)
        for label, name, predicted, measured in rows
    ]


def skipped_rows(found: Comparison) -> Rows:
    """Why rows were left out, the most frequent reason first."""
    reasons = sorted(found.skipped.items(), key=lambda item: (-item[1], item[0]))
    return [{"rows": f"{count:,}", "left out because": reason} for reason, count in reasons]


def print_validation(found: Comparison, title: str) -> None:
    """Errors by group and of all together, and what was left out."""
    from simulator.report.table import print_rows
    from simulator.report.terminal import say

    print_rows(f"{title}: predicted against measured", group_rows(found))
    overall = found.overall()
    if overall["n"]:
        print_rows("all together", [error_cells(overall)])
    for reason, count in sorted(found.skipped.items()):
        say(f"skipped {count:,}: {reason}")
