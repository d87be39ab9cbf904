"""Tables and files of a pipeline: what became of items, stages, and what they share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.files import write_table

if TYPE_CHECKING:
    from simulator.pipelines import PipelineResult

Rows = list[dict[str, str]]


def pipeline_tables(summary: dict[str, Any]) -> list[tuple[str, Rows]]:
    """Titles and rows: items, sources where there are several, stages, and devices, links and stores."""
    tables = [("what became of the items", _items(summary))]
    if len(summary["sources"]) > 1:
        tables.append(("sources", _sources(summary)))
    tables.append(("stages, and where an item's time goes", _stages(summary)))
    if summary["resources"]:
        tables.append(("devices, links and stores", _resources(summary)))
    if summary["supplies"]:
        tables.append(("made ahead", _supplies(summary)))
    return tables


def write_pipeline_files(folder: Path, result: PipelineResult) -> None:
    """`items.parquet` and `visits.parquet`: every item, and every visit of one to a stage; times in seconds."""
    write_table(folder / "items.parquet", item_columns(result))
    write_table(folder / "visits.parquet", visit_columns(result))


def item_columns(result: PipelineResult) -> dict[str, Any]:
    """Columns of `items.parquet`: one row an item; seconds, NaN for what never came."""
    items, nan = result.outcome.items, float("nan")
    numbers = {
        "created_s": [i.created for i in items],
        "closed_s": [nan if i.closed is None else i.closed for i in items],
        "deadline_s": [i.deadline if i.deadline < float("inf") else nan for i in items],
    }
    table: dict[str, Any] = {"item": np.array([i.number for i in items])}
    table |= {"source": np.array([i.source for i in items]), "dropped_by": np.array([i.lost for i in items])}
    return table | {name: np.array(values, dtype=np.float64) for name, values in numbers.items()}


def visit_columns(result: PipelineResult) -> dict[str, Any]:
    """Columns of `visits.parquet`: one row a visit of an item to a stage; times in seconds."""
    visits = result.outcome.visits
    columns: dict[str, Any] = {
        "item": np.array([v.item for v in visits], dtype=np.int64),
        "stage": np.array([v.stage for v in visits], dtype=str),
        "batch": np.array([v.batch for v in visits], dtype=np.int64),
    }
    for name in ("entered", "started", "ended", "waited", "lag"):
        columns[f"{name}_s"] = np.array([getattr(v, name) for v in visits], dtype=np.float64)
    return columns


def _items(summary: dict[str, Any]) -> Rows:
    items = summary["items"]
    found = {name.replace("_", " "): f"{items[name]:,}" for name in ("created", "completed", "dropped", "in_flight")}
    found |= {f"dropped: {reason}": f"{count:,}" for reason, count in items["dropped_by"].items()}
    if items["deadline_misses"]:
        found["deadline misses"] = f"{items['deadline_misses']:,}"
    found |= {
        "throughput": f"{items['throughput_per_s']:,.4g} /s",
        "goodput": f"{items['goodput_per_s']:,.4g} /s",
    }
    found |= {f"latency, {name.replace('p', 'P')}": f"{value:,.3f} ms" for name, value in summary["latency_ms"].items()}
    if summary["energy_j"]:
        found["energy"] = f"{_joules(summary['energy_j'])} J"
        found["energy an item"] = f"{_joules(summary['energy_per_item_j'])} J"
    for name, source in summary["sources"].items():
        if "real_time_factor" in source:
            found[f"real-time factor, {name}"] = f"{source['real_time_factor']:.4f}"
    return [{"figure": name, "value": value} for name, value in found.items()]


def _sources(summary: dict[str, Any]) -> Rows:
    return [
        {"source": name, "items": f"{row['created']:,}"}
        | {f"{p.replace('p', 'P')} (ms)": f"{row['latency_ms'][p]:,.3f}" for p in ("mean", "p50", "p99")}
        for name, row in summary["sources"].items()
    ]


def _stages(summary: dict[str, Any]) -> Rows:
    nothing = {"queue": 0.0, "service": 0.0, "transfer": 0.0}
    return [
        {
            "stage": name,
            "visits": f"{row['visits']:,}",
            "dropped": f"{row['dropped']:,}",
            "busy": f"{row['utilisation']:.1%}",
            "batch": f"{row['mean_batch']:.1f}",
        }
        | {f"{part} (ms)": f"{ms:,.3f}" for part, ms in summary["breakdown_ms"].get(name, nothing).items()}
        for name, row in summary["stages"].items()
    ]


def _resources(summary: dict[str, Any]) -> Rows:
    return [
        {
            "name": name,
            "busy": f"{row['utilisation']:.1%}",
            "energy (J)": _joules(row["energy_j"]),
            "sent (MB)": f"{row['sent_bytes'] / 1e6:,.3f}" if "sent_bytes" in row else "",
        }
        for name, row in summary["resources"].items()
    ]


def _supplies(summary: dict[str, Any]) -> Rows:
    return [
        {
            "name": name,
            "made": f"{row['made']:,}",
            "thrown away": f"{row['expired']:,}",
            "items that found none": f"{row['missed']:,}",
            "kept on average": f"{row['kept_mean']:,.2f}",
        }
        for name, row in summary["supplies"].items()
    ]


def _joules(value: float) -> str:
    """Four digits, or whole joules where there are more."""
    return f"{value:,.0f}" if value >= 1e3 else f"{value:,.4g}"
