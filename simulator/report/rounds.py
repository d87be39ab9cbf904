"""Figures of rounds of gradients: their times, what they used, and what was computed for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from simulator.rounds import RoundsResult


def summarise_rounds(result: RoundsResult) -> dict[str, Any]:
    """Plain data. `work_ratio` is what all workers compute a round over a batch, `late_share` that of late answers."""
    outcome, workers = result.outcome, result.scenario.workers
    seconds = outcome.seconds
    late = outcome.answers > seconds[:, None]
    return {
        "workers": workers,
        "rule": result.scenario.rule.policy,
        "rounds": int(seconds.size),
        "seconds": float(seconds.sum()),
        "round_s": {
            "mean": float(seconds.mean()),
            "p50": float(np.percentile(seconds, 50)),
            "p99": float(np.percentile(seconds, 99)),
        },
        "load_of_a_worker": outcome.load,
        "work_ratio": outcome.load * workers,
        "gradients_used": float(outcome.used.mean()),
        "late_share": float(late.mean()),
        "gap": outcome.progress.gap if result.scenario.progress else None,
    }


def print_rounds(summary: dict[str, Any]) -> None:
    """Headline figures."""
    from simulator.report.table import print_rows

    rows = [
        {"figure": "time", "value": f"{summary['seconds']:,.2f} s"},
        {"figure": "rounds", "value": f"{summary['rounds']:,}"},
        {"figure": "round, mean", "value": f"{summary['round_s']['mean']:,.4f} s"},
        {"figure": "round, P99", "value": f"{summary['round_s']['p99']:,.4f} s"},
        {"figure": "work over one batch", "value": f"{summary['work_ratio']:,.3f}"},
        {"figure": "gradients used a round", "value": f"{summary['gradients_used']:,.2f}"},
        {"figure": "answers too late", "value": f"{summary['late_share']:.2%}"},
    ]
    print_rows(f"{summary['workers']:,} workers, {summary['rule']}", rows)
