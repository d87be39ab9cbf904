"""The page of a comparison: self-contained, no network and no scripts needed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from simulator.comparison.compare import Comparison
from simulator.comparison.phases import PHASES
from simulator.report.comparison import rows
from simulator.report.comparison.answer import comparison_answer
from simulator.report.comparison.figures import difference_figures, overall_figures
from simulator.report.comparison.words import against
from simulator.report.files import atomic
from simulator.report.sections import Rows, Section, scenario_text, sectioned_page
from simulator.report.serving.assumptions import NOT_MODELLED, provenance
from simulator.report.serving.requests import request_table


def comparison_page(comparison: Comparison) -> str:
    """The page as text. Everything that comes from the user is escaped."""
    time_columns = ("", *(f"{name} (ms)" for name in PHASES), *rows.KINDS)
    return sectioned_page(
        against(comparison.labels),
        f"{len(comparison.pairs.index):,} requests, each served by every scenario",
        [
            Section(
                "What is compared",
                _table(("scenario", "what is deployed", "differs in"), rows.scenario_rows(comparison)),
                sentences=[f"{note[0].upper()}{note[1:]}." for note in comparison.notes],
            ),
            Section(
                "All scenarios",
                about="A name in a legend switches its scenario off and on in all charts.",
                figures=overall_figures(comparison),
            ),
            *(section for i in range(1, len(comparison.labels)) for section in _part(comparison, i)),
            Section(
                "Where the time went",
                _table(time_columns, rows.time_rows(comparison)),
                "Milliseconds of a request on average by phase, and shares of the replicas' time by kind of iteration.",
            ),
            Section("What the times rest on", sentences=[*_provenance(comparison), NOT_MODELLED]),
            *_again(comparison),
        ],
        comparison_answer(comparison),
    )


def _part(comparison: Comparison, i: int) -> list[Section]:
    """One scenario against the baseline."""
    one, name = comparison.against[i - 1], f"{comparison.labels[i]} against {comparison.labels[0]}"
    return [
        Section(
            f"{name}: requests, paired",
            _differences(rows.request_rows(one)),
            rows.method_line(comparison),
            figures=difference_figures(comparison, i),
            verdicts="verdict",
        ),
        Section(
            f"{name}: who wins and who loses",
            _table(rows.winner_columns(), rows.winner_rows(comparison, one)),
            "Quarters of the requests; changes are of the mean, the rest of the requests tie.",
        ),
        Section(f"{name}: the runs as a whole", _differences(rows.run_rows(one)), verdicts="verdict"),
    ]


def _differences(found: Sequence[rows.DifferenceRow]) -> Rows:
    """Figures of both, their difference with its interval under it, and what that amounts to."""
    model = any(row.model for row in found)
    return [
        {
            "figure": row.name,
            "unit": row.unit,
            "baseline": row.baseline,
            "scenario": row.scenario,
            "difference": f"{row.difference}\n{row.sampling}" if row.sampling else row.difference,
            **({"model's own error": row.model} if model else {}),
            "verdict": row.verdict,
        }
        for row in found
    ]


def _table(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> Rows:
    return [dict(zip(columns, row, strict=True)) for row in cells]


def _provenance(comparison: Comparison) -> list[str]:
    """Where the curves of every deployment come from, each said once."""
    runs = [
        run for r in comparison.results for run in ([r] if r.calls is None else r.calls.pools.values())
    ]  # fmt: skip
    return list(dict.fromkeys(provenance(pool.deployment) for run in runs for pool in run.pools))


def _again(comparison: Comparison) -> list[Section]:
    """The command and the scenarios that give the page again."""
    files = shlex.join(f"{label}.yaml" for label in comparison.labels)
    more = f" --uncertainty {comparison.replications}" if comparison.replications else ""
    return [
        Section(
            "To run this again",
            sentences=[f"Save each as a file, then simulator compare {files} --out out/{more}"],
        ),
        *(Section(f"{c.label}.yaml", code=scenario_text(c.scenario)) for c in comparison.contenders),
    ]


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
