"""Figures of steps on devices that straggle."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.training.straggling import Straggling


def straggler_figures(found: Straggling) -> dict[str, Any]:
    """Plain data; `slower` is the mean step over the usual one."""
    p50, p99 = (float(x) for x in np.percentile(found.seconds, [50, 99]))
    return {
        "steps": int(found.seconds.size),
        "step_s": {"mean": float(found.seconds.mean()), "p50": p50, "p99": p99},
        "usual_step_s": found.usual,
        "slower": found.slower,
    }


def straggler_rows(figures: dict[str, Any]) -> list[dict[str, str]]:
    """Steps with stragglers beside the usual one."""
    step = figures["step_s"]
    return [
        {"figure": "step, mean", "value": f"{step['mean']:,.3f} s"},
        {"figure": "step, P99", "value": f"{step['p99']:,.3f} s"},
        {"figure": "over the usual step", "value": f"{figures['slower']:.3f} x"},
    ]
