"""The table of a sweep: a row a point with its settings, whether it ran, and its figures by dotted name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import unknown_name
from simulator.report.flat import leaves
from simulator.sweeping.points import Point
from simulator.sweeping.spec import SweepSpec

if TYPE_CHECKING:
    import pyarrow as pa

OWN = ("point", "status", "reason")


def sweep_table(spec: SweepSpec, points: list[Point], outcomes: Mapping[str, str]) -> pa.Table:
    """Columns `point` (from 0), the varied fields, `status` ("ok" or "failed"), `reason`, and figures as in summaries.

    Null stands for a figure that a point does not have. Lists, mappings and values of several types are JSON text. A
    figure with the name of a varied field is in "summary.NAME". Raises `InputError` for a figure in `keep`,
    `minimise` or `maximise` that no point has.
    """
    import pyarrow as pa

    parsed = {key: json.loads(line) for key, line in outcomes.items()}
    found = [parsed.get(point.key, {"reason": point.reason}) for point in points]
    settings = {name: [point.settings[name] for point in points] for name in points[0].settings}
    figures = _columns([dict(flattened(each.get("summary", {}), taken={*OWN, *settings})) for each in found])
    columns = {
        "point": list(range(len(points))),
        **settings,
        "status": ["failed" if "reason" in each else "ok" for each in found],
        "reason": [each.get("reason") for each in found],
        **{name: figures[name] for name in _kept(spec, figures)},
    }
    return pa.table({name: _array(values) for name, values in columns.items()})


def flattened(summary: Mapping[str, Any], *, taken: Iterable[str] = ()) -> Iterator[tuple[str, Any]]:
    """Figures of a summary by dotted name; lists as they are."""
    for name, value in leaves(summary):
        yield (f"summary.{name}" if name in taken else name), value


def write_sweep(path: Path, table: pa.Table) -> None:
    """`results.parquet`: the same bytes for the same table."""
    import pyarrow.parquet as pq

    from simulator.report.files import atomic

    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Columns in the order in which rows first have them."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _kept(spec: SweepSpec, figures: Mapping[str, Any]) -> list[str]:
    """The figures that are asked for, in the order of the summary."""
    patterns = [*spec.keep, *([spec.ranked_by] if spec.ranked_by else [])]
    if not figures:
        return []
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in figures):
            remedy = "(the points are kept: mend the name and run again)"
            raise unknown_name("figure", pattern, figures, remedy=remedy)
    return [name for name in figures if not spec.keep or any(fnmatchcase(name, pattern) for pattern in patterns)]


def _array(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return pa.array(values, pa.bool_() if kinds else pa.string())
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kinds <= {str}:
        return pa.array(values, pa.string())
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
