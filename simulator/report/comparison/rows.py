"""The rows of a comparison's tables as texts, for the terminal and the page."""

from __future__ import annotations

from typing import NamedTuple

from simulator.comparison.compare import Against, Comparison
from simulator.comparison.intervals import Interval
from simulator.comparison.metrics import REQUEST_METRICS, RUN_FIGURES
from simulator.comparison.phases import PHASES
from simulator.comparison.verdict import Difference
from simulator.report.comparison.words import field_text
from simulator.report.table import deployment_title
from simulator.uncertainty import LEVEL

SHOWN = {"mean": "mean", "p50": "P50", "p90": "P90", "p99": "P99"}
GROUPED = ("ttft", "tpot", "e2e")
KINDS = ("prefill", "mixed", "decode", "idle")


class DifferenceRow(NamedTuple):
    """A figure of two scenarios; `sampling` and `model` are empty where there is no interval."""

    name: str
    unit: str
    baseline: str
    scenario: str
    difference: str
    sampling: str
    model: str
    verdict: str
    outcome: str


def scenario_rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Label, what is deployed, and in what it differs from the baseline."""
    found = []
    for i, (contender, result) in enumerate(zip(comparison.contenders, comparison.results, strict=True)):
        changes = ", ".join(
            f"{name} {field_text(b)} (not {field_text(a)})" for name, (a, b) in contender.changes.items()
        )
        role = changes or ("nothing" if i else "the baseline")
        found.append((contender.label, deployment_title(result.summary["deployment"]), role))
    return found


def request_rows(against: Against) -> list[DifferenceRow]:
    """Latencies in milliseconds by statistic, and the share of requests that meet the objectives."""
    return [
        _row(f"{m.label} {SHOWN[name]}" if len(m.statistics) > 1 else m.label, m.unit, m.scale, found)
        for m in REQUEST_METRICS
        for name in SHOWN
        if (found := against.differences.get((m.name, name))) is not None
    ]


def run_rows(against: Against) -> list[DifferenceRow]:
    """Throughput, cost, energy and utilisation."""
    return [
        _row(f.label, f.unit, f.scale, found)
        for f in RUN_FIGURES
        if (found := against.differences.get(f.path)) is not None
    ]


def winner_columns() -> list[str]:
    """Headings of `winner_rows`."""
    labels = [m.label for m in REQUEST_METRICS if m.name in GROUPED]
    return ["requests by", "", "number", *(h for m in labels for h in (f"{m} (ms)", f"{m} wins", f"{m} loses"))]


def winner_rows(comparison: Comparison, against: Against) -> list[tuple[str, ...]]:
    """Groups of requests: the change of each mean in milliseconds, and the shares that are better and worse off."""
    cells: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {("all", ""): {}}
    sizes = {("all", ""): len(comparison.pairs.index)}
    for name in GROUPED:
        if name not in against.groups:
            continue
        who, change = against.shares[name], against.differences[name, "mean"].value
        cells["all", ""][name] = _change(change, who.wins, who.loses)
        for g in against.groups[name]:
            key = g.by, g.label
            sizes[key] = max(sizes.get(key, 0), g.requests)
            cells.setdefault(key, {})[name] = _change(g.scenario - g.baseline, g.shares.wins, g.shares.loses)
    return [
        (by, label, f"{sizes[by, label]:,}", *(cell for name in GROUPED for cell in found.get(name, ("", "", ""))))
        for (by, label), found in cells.items()
    ]


def time_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Label, mean milliseconds of a request in each of `PHASES`, and shares of the replicas' time by `KINDS`."""
    return [
        (
            s["label"],
            *(f"{s['request_time_ms'][name]:,.1f}" for name in PHASES),
            *(f"{s['time_shares'][kind]:.1%}" for kind in KINDS),
        )
        for s in comparison.summary["scenarios"]
    ]


def method_line(comparison: Comparison) -> str:
    """How to read the intervals."""
    line = (
        f"{LEVEL:.0%} intervals of the difference, each on its own, by sectioning: successive requests share a queue, "
        "so the spread is that of stretches of requests. They say what another load of the same kind may change, "
        "and a difference is noise where they hold zero"
    )
    if comparison.replications:
        return (
            f"{line}; the model's own error is that of {comparison.replications} replications with kernel times "
            "redrawn alike for all scenarios."
        )
    return f"{line}. The model's own error is not in them: --uncertainty 20 adds it. A run's totals have no interval."


def _row(name: str, unit: str, scale: float, d: Difference) -> DifferenceRow:
    change = f"{d.value * scale:+,.{_digits(d, scale)}f}" if d.outcome != "same" else "0"
    digits = _digits(d, scale)
    return DifferenceRow(
        name,
        unit,
        f"{d.baseline * scale:,.{digits}f}",
        f"{d.scenario * scale:,.{digits}f}",
        change,
        _between(d.sampling, scale, digits),
        _between(d.model, scale, digits),
        d.words(unit, scale),
        d.outcome,
    )


def _digits(d: Difference, scale: float) -> int:
    """Decimals that show a value of this size to three figures or more."""
    size = max(abs(d.baseline), abs(d.scenario)) * scale
    return 4 if size < 1 else 2 if size < 10_000 else 0


def _between(interval: Interval | None, scale: float, digits: int) -> str:
    return "" if interval is None else " to ".join(f"{end * scale:+,.{digits}f}" for end in interval)


def _change(seconds: float, wins: float, loses: float) -> tuple[str, ...]:
    return f"{seconds * 1e3:+,.2f}", f"{wins:.0%}", f"{loses:.0%}"
