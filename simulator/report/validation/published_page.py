"""The page of published systems: the ratio that is predicted beside the one that the paper reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.calibrate.errors import Comparison
from simulator.report.sections import Section, sectioned_page
from simulator.report.validation.figures import validation_figures
from simulator.report.validation.page import validation_answer
from simulator.report.validation.rows import skipped_rows, worst_rows

Predictions = Mapping[str, Mapping[str, float | None]]


def published_rows(found: Predictions) -> list[dict[str, str]]:
    """One row a system: both sides, the predicted and the reported ratio, and the error."""
    return [_row(name, row) for name, row in found.items()]


def published_comparison(found: Predictions) -> Comparison:
    """Predicted against reported ratios; systems whose paper reports none are left out."""
    comparison = Comparison()
    for name, row in found.items():
        predicted, reported = row["predicted"], row["reported"]
        if not predicted or not reported:
            comparison.skip("no ratio is reported" if predicted else "the system achieves nothing")
            continue
        comparison.add({"kind": name.partition("/")[0], "system": name}, [predicted], [reported])
    return comparison


def published_page(found: Predictions, names: Sequence[str] = ()) -> str:
    """The page as text; the same predictions give the same bytes. `names` are the systems that were asked for."""
    comparison = published_comparison(found)
    some = bool(comparison.measured)
    return sectioned_page(
        "Published systems: predicted against reported",
        "How many times better a system is than its baseline, by simulation and by its paper",
        [
            Section("Charts", figures=validation_figures(comparison, "ratio") if some else []),
            Section("Systems", published_rows(found), "Errors are the predicted over the reported ratio, less 1."),
            Section("The worst", worst_rows(comparison, "ratio")),
            Section("What was left out of the errors", skipped_rows(comparison)),
            Section(
                "What the predictions rest on",
                sentences=[
                    "Each scenario names its paper, its assumptions and, where it misses, why: "
                    "simulator show scenario NAME. No speed is taken from a paper; the ratio follows from what both "
                    "sides do to batches, operators, bytes and queues."
                ],
            ),
            Section("To run this again", code=" ".join(["simulator validate scenarios", *names, "--out out/"])),
        ],
        validation_answer(comparison, "ratio"),
    )


def _row(name: str, row: Mapping[str, float | None]) -> dict[str, str]:
    baseline, system, predicted = (row[k] or 0.0 for k in ("baseline", "system", "predicted"))
    reported = row["reported"]
    return {
        "scenario": name,
        "baseline": f"{baseline:,.4g}",
        "system": f"{system:,.4g}",
        "predicted ratio": f"{predicted:.2f}",
        "reported": f"{reported:.2f}" if reported else "",
        "error": f"{predicted / reported - 1:+z.0%}" if reported else "",
    }
