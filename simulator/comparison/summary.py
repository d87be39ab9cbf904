"""A comparison as plain data, for `summary.json` and the pages made from it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from simulator.comparison.intervals import SECTIONS, Interval
from simulator.comparison.metrics import REQUEST_METRICS, RUN_FIGURES
from simulator.comparison.phases import phases
from simulator.comparison.verdict import Difference
from simulator.report.serving.series import time_shares
from simulator.report.table import deployment_title
from simulator.uncertainty import LEVEL

if TYPE_CHECKING:
    from simulator.comparison.compare import Against, Comparison


def summarise(comparison: Comparison) -> dict[str, Any]:
    """The summary: what was compared, the differences of each scenario from the baseline, and its own figures."""
    return {
        "baseline": comparison.labels[0],
        "pairs": len(comparison.pairs.index),
        "notes": list(comparison.notes),
        "method": method(comparison),
        "scenarios": [_scenario(comparison, i) for i in range(len(comparison.labels))],
        "comparisons": [_against(a) for a in comparison.against],
    }


def method(comparison: Comparison) -> dict[str, Any]:
    """How the intervals were made."""
    return {
        "level": LEVEL,
        "sampling": f"sectioning: batch means and section percentiles of up to {SECTIONS} runs of successive "
        "requests, Student's t, widened where these correlate",
        "model": f"{comparison.replications} replications with common kernel factors"
        if comparison.replications
        else None,
    }


def _scenario(comparison: Comparison, i: int) -> dict[str, Any]:
    contender, result = comparison.contenders[i], comparison.results[i]
    return {
        "label": contender.label,
        "name": contender.scenario.name,
        "deployment": deployment_title(result.summary["deployment"]),
        "changes": {name: {"baseline": a, "scenario": b} for name, (a, b) in contender.changes.items()},
        "request_time_ms": {name: float(seconds.mean()) * 1e3 for name, seconds in phases(result).items()},
        "time_shares": time_shares(result),
        "summary": result.summary,
    }


def _against(against: Against) -> dict[str, Any]:
    requests: dict[str, Any] = {}
    for metric in REQUEST_METRICS:
        if (metric.name, "mean") not in against.differences:
            continue
        requests[metric.name] = {
            "unit": metric.unit,
            "verdict": against.verdict(metric),
            **{name: _difference(against.differences[metric.name, name], metric.scale) for name in metric.statistics},
            "requests": asdict(against.shares[metric.name]),
            "groups": [
                asdict(g) | {"baseline": g.baseline * metric.scale, "scenario": g.scenario * metric.scale}
                for g in against.groups[metric.name]
            ],
        }
    figures = {
        ".".join(f.path): {
            "label": f.label,
            "unit": f.unit,
            "verdict": against.differences[f.path].words(f.unit, f.scale),
            **_difference(against.differences[f.path], f.scale),
        }
        for f in RUN_FIGURES
        if f.path in against.differences
    }
    return {"scenario": against.label, "requests": requests, "run": figures}


def _difference(d: Difference, scale: float) -> dict[str, Any]:
    return {
        "baseline": d.baseline * scale,
        "scenario": d.scenario * scale,
        "difference": d.value * scale,
        "relative": d.relative,
        "interval": _scaled(d.sampling, scale),
        "model_interval": _scaled(d.model, scale),
        "outcome": d.outcome,
    }


def _scaled(interval: Interval | None, scale: float) -> list[float] | None:
    return None if interval is None else [interval[0] * scale, interval[1] * scale]
