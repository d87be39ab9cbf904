"""The page of a comparison: self-contained, no network and no scripts needed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from simulator.comparison.compare import Comparison
from simulator.comparison.phases import PHASES
from simulator.kinds import plain
from simulator.report import comparison_rows as rows
from simulator.report.comparison_figures import difference_figures, overall_figures
from simulator.report.files import atomic, write_text
from simulator.report.html import page_template
from simulator.report.requests import request_table
from simulator.report.table import overload


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the page to `path`, whole or not at all; the same comparison gives the same bytes."""
    write_text(path, comparison_page(comparison))


def comparison_page(comparison: Comparison) -> str:
    """The page as text. Everything that comes from the user is escaped."""
    first, *others = comparison.labels
    return page_template("comparison.html").render(
        title=f"{', '.join(others)} against {first}",
        subtitle=f"{len(comparison.pairs.index):,} requests, each served by every scenario",
        warnings=[
            f"{label}: {text}"
            for label, result in zip(comparison.labels, comparison.results, strict=True)
            if (text := overload(result.summary))
        ],
        notes=comparison.notes,
        method=rows.method_line(comparison),
        baseline=first,
        scenarios=rows.scenario_rows(comparison),
        parts=[_part(comparison, i) for i in range(1, len(comparison.labels))],
        winner_columns=rows.winner_columns(),
        time_columns=[*PHASES, *rows.KINDS],
        time_rows=rows.time_rows(comparison),
        figures=overall_figures(comparison),
        files=[(c.label, _yaml(plain(c.scenario))) for c in comparison.contenders],
        again=shlex.join(f"{label}.yaml" for label in comparison.labels),
        replications=comparison.replications,
    )


def _part(comparison: Comparison, i: int) -> dict[str, Any]:
    against = comparison.against[i - 1]
    found = [*rows.request_rows(against), *rows.run_rows(against)]
    return {
        "label": against.label,
        "verdicts": rows.verdict_rows(against),
        "requests": rows.request_rows(against),
        "run": rows.run_rows(against),
        "has_model": any(row.model for row in found),
        "winners": rows.winner_rows(comparison, against),
        "figures": difference_figures(comparison, i),
    }


def write_compared_requests(path: Path, comparison: Comparison) -> None:
    """`requests.parquet`: one row a finished request and scenario; times in seconds, TPOT null where undefined."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = []
    for label, result in zip(comparison.labels, comparison.results, strict=True):
        table = request_table(result)
        columns = {"scenario": pa.array([label] * len(table["index"]), pa.string())}
        for name, values in table.items():
            columns[name] = pa.array(values, mask=np.isnan(values) if values.dtype.kind == "f" else None)
        parts.append(pa.table(columns))
    with atomic(path) as temporary:
        pq.write_table(pa.concat_tables(parts, promote_options="default"), temporary, compression="zstd")


def _yaml(values: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
