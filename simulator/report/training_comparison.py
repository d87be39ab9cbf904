"""Training scenarios side by side as tables."""

from __future__ import annotations

from typing import Any

from simulator.comparison.training import TrainingComparison, ratio
from simulator.report.table import print_rows

NAMES = {
    "step_s": "step (s)",
    "tokens_per_s": "tokens a second",
    "tokens_per_s_and_device": "tokens a second and device",
    "mfu": "MFU",
    "hfu": "HFU",
    "bubble_share": "pipeline bubble",
    "energy_kwh": "energy (kWh a step)",
    "cost_per_million_tokens_usd": "USD a million tokens",
    "memory_gb": "memory of the fullest device (GB)",
}
SHARES = ("mfu", "hfu", "bubble_share")


def print_training_comparison(found: TrainingComparison) -> None:
    """The headline figures and the parts of a step, and what differs from the first scenario."""
    print_rows(f"against {found.labels[0]}", figure_rows(found))
    print_rows("what differs", change_rows(found))


def figure_rows(found: TrainingComparison) -> list[dict[str, str]]:
    """One row a figure with every scenario's value, and how far the others are from the first."""
    rows = []
    for name, values in found.figures.items():
        label = NAMES.get(name) or f"{name.partition('.')[2].replace('_', ' ')} (s)"
        cells = {of: _cell(name, values, i) for i, of in enumerate(found.labels)}
        rows.append({"figure": label} | cells)
    return rows


def change_rows(found: TrainingComparison) -> list[dict[str, str]]:
    """One row a field in which any scenario differs from the first."""
    fields = dict.fromkeys(field for changes in found.changes for field in changes)
    rows = []
    for field in fields:
        first = next(c[field][0] for c in found.changes if field in c)
        values = [c[field][1] if field in c else first for c in found.changes]
        rows.append({"field": field} | {of: _shown(v) for of, v in zip(found.labels, values, strict=True)})
    return rows


def _cell(name: str, values: list[float | None], i: int) -> str:
    value, times = values[i], ratio(values, i)
    if value is None:
        return "-"
    text = f"{value:.1%}" if name in SHARES else f"{value:,.3f}"
    return text if not i or times is None else f"{text} ({times - 1:+.1%})"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
