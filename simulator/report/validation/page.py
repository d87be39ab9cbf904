"""Pages of predictions against measurements: how far off, where most, how sure, and what was left out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.report.files import write_json, write_text
from simulator.report.sections import Answer, KeyFigure, Section, sectioned_page
from simulator.report.validation.figures import colours, parity, telling_keys, validation_figures, values_of
from simulator.report.validation.rows import SHOWN, error_cells, group_rows, skipped_rows, worst_rows

if TYPE_CHECKING:
    from simulator.calibrate.errors import Comparison

HOW = "Errors are |predicted / measured - 1|; the bias is the mean of predicted / measured - 1, above 0 where too long."
# Marks of each set on a page of several sets.
MARKS_OF_A_SET = 60


def write_validation(folder: Path, found: Comparison, kind: str, given: Sequence[str]) -> None:
    """`report.html`, `errors.json` and `parity.svg`; `given` is what followed the kind on the command line."""
    write_json(folder / "errors.json", found.summary())
    if found.measured:
        write_text(folder / "parity.svg", parity(found, colours(found), "seconds"))
    write_text(folder / "report.html", validation_page(found, kind, given))


def validation_page(found: Comparison, kind: str, given: Sequence[str]) -> str:
    """The page of one set of measurements; the same comparison gives the same bytes."""
    name = kind.replace("-", " ").capitalize()
    return sectioned_page(
        f"{name}: predicted against measured",
        " ".join(given) or "measured here",
        [
            Section("Charts", figures=validation_figures(found) if found.measured else []),
            Section("By group", group_rows(found), HOW),
            Section("The worst rows", worst_rows(found), "By how many times the larger value is the smaller."),
            Section("What was left out", skipped_rows(found)),
            sources_section(found.sources),
            Section("To run this again", code=shlex.join(["simulator", "validate", kind, *given, "--out", "out/"])),
        ],
        validation_answer(found),
    )


def validation_sets_page(sets: Mapping[str, Comparison]) -> str:
    """The page of several sets of measurements by name: a figure each at the head, charts and errors of each."""
    sources = {name: source for found in sets.values() for name, source in found.sources.items()}
    return sectioned_page(
        "Accuracy: predicted against measured",
        f"{sum(found.overall()['n'] for found in sets.values()):,} rows of {len(sets)} sets of measurements",
        [
            *(section for name, found in sets.items() for section in _sections_of(name, found)),
            sources_section(sources),
            Section("To run this again", code="simulator validate all DIR --out accuracy.md --report accuracy.html"),
        ],
        Answer(
            [
                KeyFigure(
                    name, f"{found.overall()['median_ape']:.1%}", between=f"median of {found.overall()['n']:,} rows"
                )
                for name, found in sets.items()
            ],
            ["Half of the predictions of each set are nearer to what was measured than its figure."],
        ),
    )


def _sections_of(name: str, found: Comparison) -> list[Section]:
    shown = telling_keys(found)[:1]
    rows = [
        {key: value or "-"} | error_cells(found.where(key, value).overall())
        for key in shown
        for value in values_of(found, key)
    ]
    return [
        Section(name, [*rows, dict.fromkeys(shown, "all") | error_cells(found.overall())], HOW),
        Section(f"{name}: charts", figures=validation_figures(found, most_marks=MARKS_OF_A_SET, most_keys=1)),
        Section(f"{name}: the worst rows", worst_rows(found)),
        Section(f"{name}: what was left out", skipped_rows(found)),
    ]


def sources_section(sources: Mapping[str, str]) -> Section:
    """Which calibrations time the rows, and where their figures are from."""
    return Section(
        "What the predictions rest on",
        sentences=[f"{name}. {source}" for name, source in sorted(sources.items())],
    )


def validation_answer(found: Comparison, unit: str = "seconds") -> Answer:
    """The head of the page: errors of all rows, and what they mean; values are in `unit`."""
    overall, left_out = found.overall(), sum(found.skipped.values())
    without = f"{left_out:,} left out" if left_out else ""
    if not overall["n"]:
        return Answer([KeyFigure("Rows", "0", between=without)], ["No row could be compared; the reasons are below."])
    figures = [
        KeyFigure("Median error", f"{overall['median_ape']:.1%}", between=_range(found)),
        KeyFigure("Mean error", f"{overall['mape']:.1%}"),
        KeyFigure("P90 of errors", f"{overall['p90_ape']:.1%}"),
        KeyFigure("Bias", f"{overall['bias']:+.1%}", between="mean of signed errors"),
        KeyFigure("Rows", f"{overall['n']:,}", between=without),
    ]
    if "coverage_90" in overall:
        figures.insert(4, KeyFigure("In the 90 % interval", f"{overall['coverage_90']:.0%}", between="claimed: 90 %"))
    way = "high" if overall["bias"] > 0 else "low"
    said = (
        f"Half of the predictions are within {overall['median_ape']:.1%} of what was {SHOWN[unit][-1]} and nine of ten "
        f"within {overall['p90_ape']:.1%}; on average they are {abs(overall['bias']):.1%} too {way}."
    )
    return Answer(figures, [said])


def _range(found: Comparison) -> str:
    """The least and the most median among the groups by the most telling label."""
    keys = telling_keys(found)
    if not keys:
        return ""
    medians = {name: found.where(keys[0], name).overall()["median_ape"] for name in values_of(found, keys[0])}
    least, most = min(medians, key=lambda n: medians[n]), max(medians, key=lambda n: medians[n])
    shown = (f"{name.replace('_', ' ') or '-'} {medians[name]:.1%}" for name in (least, most))
    return " to ".join(shown)
