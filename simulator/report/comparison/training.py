"""Training scenarios side by side as tables."""

from __future__ import annotations

from typing import Any

from simulator.comparison.training import TrainingComparison, ratio
from simulator.report.comparison.words import field_text, listed
from simulator.report.table import print_rows

NAMES = {
    "step_s": "step (s)",
    "tokens_per_s": "tokens a second",
    "tokens_per_s_and_device": "tokens a second and device",
    "mfu": "MFU",
    "hfu": "HFU",
    "bubble_share": "pipeline bubble",
    "energy_kwh": "energy (kWh a step)",
    "kwh_per_million_tokens": "kWh a million tokens",
    "cost_per_million_tokens_usd": "USD a million tokens",
    "memory_gb": "memory of the fullest device (GB)",
    "run.goodput": "effective training time (goodput)",
    "run.tokens_per_s": "tokens a second of the run",
    "sites.utilisation": "share of time computing at the sites",
    "sites.tokens_per_s": "tokens a second of all sites",
}
SHARES = ("mfu", "hfu", "bubble_share", "run.goodput", "sites.utilisation")
# Parts that account for a difference are named up to so many, the largest first.
MOST_PARTS = 3
# Differences of a smaller share of the first one's step are not told of.
LEAST_TOLD = 1e-4
# Figures below are what rounding leaves.
ROUNDING = 1e-9


def print_training_comparison(found: TrainingComparison) -> None:
    """The headline figures and the parts of a step, what differs from the first scenario, and which wins and why."""
    print_rows(f"against {found.labels[0]}", figure_rows(found))
    print_rows("what differs", change_rows(found))
    print_rows("which is best", best_rows(found))
    print_rows("why", [{"": sentence} for sentence in sentences(found)])


def figure_rows(found: TrainingComparison, *, parts: bool | None = None) -> list[dict[str, str]]:
    """One row a figure with every scenario's value, and how far the others are from the first.

    With `parts` only those of the step's parts, or only the others.
    """
    rows = []
    for name, values in found.figures.items():
        if parts is not None and parts != name.startswith("breakdown_s."):
            continue
        cells = {of: _cell(name, values, i) for i, of in enumerate(found.labels)}
        rows.append({"figure": _name(name)} | cells)
    return rows


def best_rows(found: TrainingComparison) -> list[dict[str, str]]:
    """One row a measure: the scenario that is best by it, its value, and how far it is from the first."""
    rows = []
    for name, labels in found.best.items():
        place = found.labels.index(labels[0])
        alike = len(labels) == len(found.labels)
        rows.append(
            {
                "by": _name(name),
                "best": "all alike" if alike else ", ".join(labels),
                f"value, against {found.labels[0]}": _cell(name, found.figures[name], place),
            }
        )
    return rows


def sentences(found: TrainingComparison) -> list[str]:
    """Which scenario is the quickest, and what parts of the step make the others differ from the first."""
    first = found.labels[0]
    said = [_quickest(found, name) for name in found.best if name.endswith("tokens_per_s")]
    served = [label for label, s in zip(found.labels, found.paced, strict=True) if "parameter_server" in s]
    if served:
        said.append(f"Steps, their parts and tokens a second of {', '.join(served)} are those with a parameter server.")
    for i, label in enumerate(found.labels[1:], 1):
        parts = found.parts(i)
        more, base = sum(p.more for p in parts), sum(p.baseline for p in parts)
        telling = [p for p in parts[:MOST_PARTS] if abs(p.more) > LEAST_TOLD * base]
        named = ", ".join(f"{p.name.replace('_', ' ')} {p.more:+,.3g} s" for p in telling)
        how = f"{abs(more):,.3g} s ({abs(more) / base:.1%}) {'more' if more > 0 else 'less'} than {first}"
        said.append(
            f"{label} takes {how} for as many tokens: {named}."
            if telling
            else f"{label} takes as long as {first} in every part of the step."
        )
    return said


def _quickest(found: TrainingComparison, measure: str) -> str:
    labels = found.best[measure]
    if len(labels) == len(found.labels):
        return f"All are equally quick by {NAMES[measure]}."
    counts = [r.summary["layout"]["devices"] for r in found.results]
    devices = "" if len(set(counts)) == 1 else f", on {listed(f'{n:,}' for n in counts)} devices"
    return f"{' and '.join(labels)} {'is' if len(labels) == 1 else 'are'} the quickest by {NAMES[measure]}{devices}."


def part_tables(found: TrainingComparison) -> list[tuple[str, list[dict[str, str]]]]:
    """Of every scenario after the first: seconds by part for the first one's tokens, the largest differences first."""
    first, tables = found.labels[0], []
    for i, label in enumerate(found.labels[1:], 1):
        parts = found.parts(i)
        base = sum(p.baseline for p in parts)
        rows = [
            {
                "part": p.name.replace("_", " "),
                "first (s)": f"{p.baseline:z,.4f}",
                "this one (s)": f"{p.own:z,.4f}",
                "more (s)": f"{p.more:+z,.4f}",
                "of the first one's step": f"{p.more / base:+z.1%}",
            }
            for p in parts
        ]
        tables.append((f"where {label} differs from {first}", rows))
    return tables


def change_rows(found: TrainingComparison) -> list[dict[str, str]]:
    """One row a field in which any scenario differs from the first."""
    fields = dict.fromkeys(field for changes in found.changes for field in changes)
    rows = []
    for field in fields:
        first = next(c[field][0] for c in found.changes if field in c)
        values = [c[field][1] if field in c else first for c in found.changes]
        rows.append({"field": field} | {of: _shown(v) for of, v in zip(found.labels, values, strict=True)})
    return rows


def _name(figure: str) -> str:
    return NAMES.get(figure) or f"{figure.partition('.')[2].replace('_', ' ')} (s)"


def named_value(measure: str, value: float) -> str:
    """A measure and its value."""
    return f"{NAMES[measure]}: {value:z.1%}" if measure in SHARES else f"{NAMES[measure]}: {_number(value)}"


def _cell(name: str, values: list[float | None], i: int) -> str:
    value, times = values[i], ratio(values, i)
    if value is None:
        return "-"
    text = f"{value:z.1%}" if name in SHARES else _number(value)
    return text if not i or times is None else f"{text} ({times - 1:+.1%})"


def _number(value: float) -> str:
    """Three decimals, or three digits of what is small; what rounding leaves of a difference is nothing."""
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:z.3f}" if abs(value) >= 0.01 or abs(value) < ROUNDING else f"{value:.3g}"


def _shown(value: Any) -> str:
    return "none" if value is None else field_text(value)
