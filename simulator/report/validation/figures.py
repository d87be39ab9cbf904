"""Drawings of predictions against measurements: parity, errors by group, their distribution, and coverage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.report.live import name_marks
from simulator.report.sections import Figure
from simulator.report.svg import INK, PALETTE, SHADES, WAITS, decades, drawing, legend_above, svg
from simulator.report.validation.rows import SHOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simulator.calibrate.errors import Comparison

# Marks of a parity plot: an even sample, and the rows that are farthest off.
MOST_MARKS, WORST_MARKS = 700, 30
# Up to so many marks are drawn large.
FEW_MARKS = 150
MOST_GROUPS = 24
# What groups are told apart by, the most telling first; a label may be any of a file's own columns.
TELLING = ("op", "metric", "kind", "mode", "family", "recompute", "device", "model", "runtime", "backend", "dtype")
POINTS = 100
# Axes that begin below this have powers of ten as such, others plain numbers.
SMALLEST_WRITTEN = 1e-3


def validation_figures(
    found: Comparison, unit: str = "seconds", *, most_marks: int = MOST_MARKS, most_keys: int = 2
) -> list[Figure]:
    """Title, explanation and SVG of each figure; values are in `unit`, errors by at most `most_keys` labels."""
    keys = telling_keys(found)
    by = colours(found)
    figures = [
        (
            f"Predicted against {SHOWN[unit][-1]}",
            "Full line: equal. Dashed: 10 % apart. Each mark says which row it is.",
            parity(found, by, unit, most_marks=most_marks),
        ),
        ("How far predictions are off", "Share of rows whose error is at most so large.", distribution(found, by)),
    ]  # fmt: skip
    for key in keys[:most_keys]:
        figures.append((f"Error by {key}", "Median of the absolute errors; lines reach to P90.", error_by(found, key)))
    if keys and "coverage_90" in found.overall():
        about = "Share of rows inside the interval that is to hold 90 % of them."
        figures.append(("Does the claimed interval hold", about, coverage_by(found, keys[0])))
    return figures


def telling_keys(found: Comparison) -> list[str]:
    """Labels by which rows fall into a few groups, the most telling first."""
    keys = dict.fromkeys(key for label in found.labels for key in label)
    few = [key for key in keys if 1 < len(values_of(found, key)) <= MOST_GROUPS and key != "statistic"]
    return sorted(few, key=lambda key: TELLING.index(key) if key in TELLING else len(TELLING))


def colours(found: Comparison) -> str | None:
    """The most telling label with no more values than there are colours."""
    return next((key for key in telling_keys(found) if len(values_of(found, key)) <= len(SHADES)), None)


def values_of(found: Comparison, key: str) -> list[str]:
    """Values of a label, in alphabetical order."""
    return sorted({label.get(key, "") for label in found.labels})


def parity(found: Comparison, by: str | None, unit: str, *, most_marks: int = MOST_MARKS) -> str:
    """Predicted over measured or reported values on logarithmic axes, a colour for each value of the label `by`."""
    figure, axes = drawing(height=4.2)
    rows = _sample(found, most_marks)
    size = 28 if len(rows) <= FEW_MARKS else 11
    names = values_of(found, by) if by is not None else [""]
    for name, colour in zip(names, SHADES, strict=False):
        own = [row for row in rows if by is None or row[0].get(by, "") == name]
        if own:
            marks = axes.scatter(
                [measured for *_, measured in own], [predicted for *_, predicted, _ in own], s=size, color=colour,
                alpha=0.75, linewidths=0, label=name.replace("_", " ") or None,
            )  # fmt: skip
            name_marks(marks, [_said(*row) for row in own])
    everything = [value for *_, predicted, measured in rows for value in (predicted, measured)] or [1.0]
    ends = np.array([min(everything) / 1.3, max(everything) * 1.3])
    axes.plot(ends, ends, color=INK, linewidth=0.9)
    for factor in (1.1, 1.0 / 1.1):
        axes.plot(ends, ends * factor, color=INK, linewidth=0.6, linestyle="--", alpha=0.6)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    if ends[0] >= SMALLEST_WRITTEN:
        decades(axes)
        decades(axes, "y")
    axes.set(xlabel=f"{SHOWN[unit][-1]} ({unit})", ylabel=f"predicted ({unit})")
    axes.set_axisbelow(True)
    if by is not None:
        legend_above(axes)
    return svg(figure, axes, legend=False)


def _said(label: dict[str, str], name: str, predicted: float, measured: float) -> str:
    what = ", ".join(part for part in (*label.values(), name) if part)
    return f"{what} ({predicted / measured - 1.0:+.1%})"


def _sample(found: Comparison, most: int) -> list[tuple[dict[str, str], str, float, float]]:
    """All of a few rows; of more an even sample and those that are farthest off."""
    rows = list(found.rows())
    if len(rows) <= most:
        return rows
    off = np.abs(np.log([predicted / measured for *_, predicted, measured in rows]))
    worst = set(np.argsort(-off, kind="stable")[:WORST_MARKS].tolist())
    even = set(np.linspace(0, len(rows) - 1, most - WORST_MARKS).astype(int).tolist())
    return [rows[i] for i in sorted(worst | even)]


def distribution(found: Comparison, by: str | None) -> str:
    """Distribution functions of the absolute errors, in per cent; the axis ends at P99 of all."""
    figure, axes = drawing()
    everything = np.concatenate([_off(p, m) for p, m in zip(found.predicted, found.measured, strict=True)])
    groups = [(name.replace("_", " "), found.where(by, name)) for name in values_of(found, by)] if by else []
    for (name, own), colour in zip(groups, SHADES, strict=False):
        errors = np.concatenate([_off(p, m) for p, m in zip(own.predicted, own.measured, strict=True)])
        _curve(axes, errors, name, colour, 1.2)
    _curve(axes, everything, "all", INK, 1.8)
    most = max(1e-3, float(np.quantile(everything, 0.99)))
    axes.set(xlabel="absolute error (per cent)", ylabel="share of rows", xlim=(0, most), ylim=(0, 1.02))
    if groups:
        legend_above(axes)
    return svg(figure, axes, legend=not groups, location="lower right")


def _curve(axes: Axes, errors: NDArray[np.float64], name: str, colour: str, width: float) -> None:
    rows = len(errors)
    ranks = np.unique(np.linspace(1, rows, min(POINTS, rows)).round().astype(int))
    steps, share = np.sort(errors)[ranks - 1], ranks / rows
    axes.step([0.0, *steps], [0.0, *share], where="post", color=colour, linewidth=width, label=name)


def _off(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute errors in per cent."""
    return np.asarray(100.0 * np.abs(predicted / measured - 1.0))


def error_by(found: Comparison, key: str) -> str:
    """A bar a value of a label: the median error, and a line from it to P90."""
    groups = [(name, found.where(key, name).overall()) for name in values_of(found, key)]
    groups.sort(key=lambda group: float(group[1]["median_ape"]))
    names, medians, tails = _columns(groups)
    figure, axes = drawing(height=1.0 + 0.27 * len(groups))
    axes.barh(names, medians, color=PALETTE[0], height=0.65)
    for place, (median, tail) in enumerate(zip(medians, tails, strict=True)):
        axes.plot([median, tail], [place, place], color=WAITS, linewidth=1.6)
    axes.set_axisbelow(True)
    axes.invert_yaxis()
    axes.set(xlabel="absolute error (per cent)", xlim=(0, 1.05 * max(*tails, 1e-3)))
    return svg(figure, axes, legend=False)


def _columns(groups: Sequence[tuple[str, dict[str, float]]]) -> tuple[list[str], list[float], list[float]]:
    names = [f"{_short(name)} ({found['n']:,})" for name, found in groups]
    medians, tails = ([100.0 * found[k] for _, found in groups] for k in ("median_ape", "p90_ape"))
    return names, medians, tails


def coverage_by(found: Comparison, key: str) -> str:
    """A bar a value of a label: the share of its rows inside the interval, which is to be 90 %."""
    shares = dict(_covered(found, key))
    figure, axes = drawing(height=1.0 + 0.27 * len(shares))
    axes.barh([_short(name) for name in shares], list(shares.values()), color=PALETTE[2], height=0.65)
    axes.axvline(90.0, color=INK, linewidth=1.0, linestyle="--")
    axes.set_axisbelow(True)
    axes.invert_yaxis()
    axes.set(xlabel="per cent of rows", xlim=(0, 100))
    return svg(figure, axes, legend=False)


def _covered(found: Comparison, key: str) -> Iterator[tuple[str, float]]:
    for name in values_of(found, key):
        known = found.where(key, name).overall()
        if "coverage_90" in known:
            yield name, 100.0 * known["coverage_90"]


def _short(name: str) -> str:
    text = name.replace("_", " ") or "-"
    return text if len(text) <= 30 else f"{text[:29]}…"
