"""The page of a sweep: its best point, what each field does to the figures, all points, and why some failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulator.report.live import name_marks
from simulator.report.sections import Answer, Figure, KeyFigure, Section, again, sectioned_page
from simulator.report.svg import INK, PALETTE, SHADES, WAITS, drawing, legend_above, svg
from simulator.report.sweeps.table import figures, shown

if TYPE_CHECKING:
    import pandas as pd

    from simulator.sweeping import Swept

# Rows of the table and marks of a scatter, the best of more.
MOST_ROWS, MOST_MARKS = 200, 600
# A field of more values is shown by as many groups of alike size.
MOST_GROUPS = 12
MOST_FIELDS = 6


def sweep_page(swept: Swept) -> str:
    """The page as text; the same sweep gives the same bytes, however and how often it was run."""
    spec, summary, names = swept.spec, swept.summary, _numbers(swept)
    columns = ["point", *swept.settings, *figures(swept)]
    shown_points = swept.best[columns].head(MOST_ROWS).itertuples(index=False)
    rows = [dict(zip(columns, map(_cell, point), strict=True)) for point in shown_points]
    varied = ", ".join(swept.settings)
    return sectioned_page(
        spec.name or "Sweep",
        f"{summary['points']:,} points over {varied}",
        [
            Section("Charts", figures=[*_effects(swept, names), *_scatter(swept, names)]),
            Section("Points", rows, _order(swept, len(rows))),
            Section("Why points failed", [{"points": f"{n:,}", "reason": r} for r, n in summary["reasons"].items()]),
            again(spec, "simulator sweep sweep.yaml --out out/"),
        ],
        _answer(swept, names),
    )


def _numbers(swept: Swept) -> list[str]:
    """The figures with room in a small table that are numbers and differ between points."""
    return [name for name in figures(swept) if swept.best[name].dtype.kind in "if" and swept.best[name].nunique() > 1]


def _answer(swept: Swept, names: Sequence[str]) -> Answer:
    """The best point and its figures, or how far the figures reach where nothing ranks them."""
    summary, ranked = swept.summary, swept.spec.ranked_by
    failed = f"{summary['failed']:,} failed" if summary["failed"] else ""
    points = KeyFigure("Points", f"{summary['points']:,}", "", failed)
    if swept.best.empty:
        return Answer([points], ["No point could be simulated; the reasons are below."])
    if ranked is None or ranked not in swept.best:
        spans = [(name, float(swept.best[name].min()), float(swept.best[name].max())) for name in names]
        return Answer([KeyFigure(n, f"{low:,.4g} – {high:,.4g}") for n, low, high in spans] + [points])
    best = swept.best.iloc[0]
    where = ", ".join(f"{name} {shown(best[name])}" for name in swept.settings)
    way = "Least" if swept.spec.minimise else "Most"
    reach = f"{float(swept.best[ranked].min()):,.4g} – {float(swept.best[ranked].max()):,.4g} over all points"
    return Answer(
        [
            KeyFigure(f"{way} {ranked}", _cell(best[ranked]), "", reach),
            *(KeyFigure(f"its {name}", _cell(best[name])) for name in names if name != ranked),
            points,
        ],
        [f"The best point: {where}."],
    )


def _effects(swept: Swept, names: Sequence[str]) -> list[Figure]:
    """For each varied field, the mean of the first figure at each of its values, all others as they come."""
    if not names:
        return []
    about = "Mean over all points with a value; the lines reach from P10 to P90."
    varied = [name for name in swept.settings if swept.best[name].astype(str).nunique() > 1][:MOST_FIELDS]
    return [(f"{names[0]} by {field}", about, effect(swept.best, field, names[0])) for field in varied]


def effect(points: pd.DataFrame, field: str, figure_name: str) -> str:
    """Mean of a figure at each value of a field, and P10 to P90 of the points that share it."""
    figure, axes = drawing()
    groups = _groups(points, field)
    values = [points.loc[rows, figure_name].dropna().to_numpy(dtype=np.float64) for _, rows in groups]
    labels = [label for (label, _), own in zip(groups, values, strict=True) if len(own)]
    values = [own for own in values if len(own)]
    for place, own in enumerate(values):
        low, high = np.percentile(own, [10, 90])
        axes.plot([place, place], [low, high], color=WAITS, linewidth=1.6)
    means = [float(own.mean()) for own in values]
    axes.plot(range(len(means)), means, color=PALETTE[0], linewidth=1.2)
    marks = axes.scatter(range(len(means)), means, color=PALETTE[0], s=24, zorder=3, linewidths=0)
    name_marks(marks, [f"{field} {label}, {len(own):,} points" for label, own in zip(labels, values, strict=True)])
    axes.set_xticks(range(len(labels)), labels, rotation=0 if len(labels) <= 6 else 30)
    axes.set(xlabel=field, ylabel=figure_name)
    return svg(figure, axes, legend=False)


def _groups(points: pd.DataFrame, field: str) -> list[tuple[str, pd.Index[int]]]:
    """Rows by the value of a field, in order; numbers of many values in groups of alike size."""
    import pandas as pd

    column = points[field]
    if column.dtype.kind in "if" and column.nunique() > MOST_GROUPS:
        cut = pd.qcut(column, min(MOST_GROUPS, column.nunique()), duplicates="drop")
        return [
            (f"{float(column[rows].mean()):,.3g}", rows) for rows in column.groupby(cut, observed=True).groups.values()
        ]
    ordered = sorted(column.groupby(column, sort=True).groups.items())
    return [(shown(value), rows) for value, rows in ordered[: 2 * MOST_GROUPS]]


def _scatter(swept: Swept, names: Sequence[str]) -> list[Figure]:
    """Every pair of the first figures: a mark a point, the best one apart."""
    pairs = [(names[0], other) for other in names[1:]]
    about = "Each mark is a point and says which."
    return [(f"{y} against {x}", about, scatter(swept, x, y)) for x, y in pairs]


def scatter(swept: Swept, x: str, y: str) -> str:
    """Points by two figures; at most so many, evenly thinned, in colours of the first field where it has few values."""
    best = swept.best.dropna(subset=[x, y])
    thin = best.iloc[np.unique(np.linspace(0, len(best) - 1, min(MOST_MARKS, len(best))).astype(int))]
    field = swept.settings[0]
    groups = _groups(thin, field)
    figure, axes = drawing(height=3.4)
    for (label, rows), colour in zip(groups[: len(SHADES)], SHADES, strict=False):
        own = thin.loc[rows]
        marks = axes.scatter(own[x], own[y], s=20, color=colour, alpha=0.8, linewidths=0, label=f"{field} {label}")
        name_marks(marks, _points(swept, own))
    if swept.spec.ranked_by is not None and len(best):
        first = best.iloc[:1]
        ring = axes.scatter(first[x], first[y], s=90, facecolors="none", edgecolors=INK, linewidths=1.2, label="best")
        name_marks(ring, _points(swept, first))
    axes.set(xlabel=x, ylabel=y)
    axes.set_axisbelow(True)
    legend_above(axes)
    return svg(figure, axes, legend=False)


def _points(swept: Swept, rows: pd.DataFrame) -> list[str]:
    """What each point is: its number and its settings."""
    columns = [(name, rows[name].tolist()) for name in swept.settings]
    said = [[f"{name} {shown(values[i])}" for name, values in columns] for i in range(len(rows))]
    return [", ".join([f"point {n}", *own]) for n, own in zip(rows["point"], said, strict=True)]


def _order(swept: Swept, count: int) -> str:
    ran, ranked = len(swept.best), swept.spec.ranked_by
    some = f"The first {count:,} of {ran:,}" if ran > count else f"All {ran:,}"
    by = "" if ranked is None else f", by {'least' if swept.spec.minimise else 'most'} {ranked}"
    return f"{some} that ran{by}; results.parquet has all points and figures."


def _cell(value: object) -> str:
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else shown(value)
