"""Figures of a search over networks: how many, how wide they spread, and the front of the best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.report.amounts import figure_text
from simulator.report.files import write_table

if TYPE_CHECKING:
    from simulator.planning.networks.search import NetworkResult


def summarise_networks(result: NetworkResult) -> dict[str, Any]:
    """Headline figures; `best` are rows of the front, at most as many as asked for, evenly from its ends."""
    from simulator.planning.networks.search import FIGURES

    table, wanted = result.table, result.scenario.best
    figures = [*FIGURES, *(["score"] if "score" in table else [])]
    shown = result.best if len(result.best) <= wanted else result.best[_even(len(result.best), wanted)]
    return {
        "space": result.size,
        "candidates": len(table),
        "front": len(result.best),
        "spread": {n: {q: float(table[n].quantile(p)) for q, p in QUANTILES.items()} for n in figures},
        "best": [
            {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
            for row in table.iloc[shown].to_dict("records")
        ],
    }


def write_candidates(folder: Path, result: NetworkResult) -> None:
    """`candidates.parquet`: one row a candidate, its values and its figures."""
    table = result.table.astype({n: str for n in result.table.columns if result.table[n].dtype == object})
    write_table(folder / "candidates.parquet", {str(n): table[n].to_numpy() for n in table.columns})


# What columns of a search are, with their units.
COLUMNS = {
    "latency_ms": "latency (ms)",
    "energy_mj": "energy (mJ)",
    "parameters": "parameters",
    "macs": "multiply-adds",
    "weights_mb": "weights (MB)",
    "peak_activation_mb": "peak of activations (MB)",
    "score": "score",
}
QUANTILES = {"least": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "most": 1.0}


def _even(count: int, wanted: int) -> list[int]:
    """Places spread evenly over a list, both ends included."""
    if wanted == 1:
        return [0]
    return [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]


def network_tables(summary: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """Titles and rows for the terminal and the page."""
    counts = [
        {"figure": "candidates in the space", "value": f"{summary['space']:,}"},
        {"figure": "timed", "value": f"{summary['candidates']:,}"},
        {"figure": "on the front", "value": f"{summary['front']:,}"},
    ]
    spread = [
        {"figure": COLUMNS.get(name, name), **{q.replace("p", "P"): figure_text(v) for q, v in row.items()}}
        for name, row in summary["spread"].items()
    ]
    best = [{short(name): _cell(value) for name, value in row.items()} for row in summary["best"]]
    return [("search", counts), ("spread over all candidates", spread), ("the front", best)]


def short(name: str) -> str:
    """A figure with its unit, or a field's name without the mapping that all of a model's options stand in."""
    return COLUMNS.get(name) or name.removeprefix("model.").removeprefix("options.")


def _cell(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
