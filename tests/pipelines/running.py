"""Short scenarios for tests, and intervals of means that are correlated in time."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.pipelines import PipelineResult, run_pipeline
from simulator.specs.pipeline.scenario import PipelineScenario


def run(**values: Any) -> PipelineResult:
    return run_pipeline(PipelineScenario.model_validate({"kind": "pipeline", "seed": 1, **values}))


def poisson(per_s: float, items: int, to: Any, **more: Any) -> dict[str, Any]:
    return {"arrivals": {"process": "poisson", "per_s": per_s}, "items": items, "to": to, **more}


def exponential(ms: float) -> dict[str, Any]:
    return {"kind": "time", "ms": {"law": "exponential", "mean": ms}}


def constant(ms: float) -> dict[str, Any]:
    return {"kind": "time", "ms": ms}


def covers(values: Any, expected: float, batches: int = 25) -> bool:
    """Whether the 99.9 % interval of batch means covers a mean, and is narrow enough to say something.

    Student's t with 24 degrees of freedom: 3.75 standard errors. The first tenth is left out.
    """
    values = np.asarray(values, dtype=float)[len(values) // 10 :]
    means = np.array([part.mean() for part in np.array_split(values, batches)])
    half = 3.75 * means.std(ddof=1) / batches**0.5
    assert half < 0.3 * expected, f"the interval of {means.mean():.4g} is too wide to say anything: {half:.4g}"
    return bool(abs(means.mean() - expected) <= half)


def sojourns(result: PipelineResult, stage: str) -> list[float]:
    """Seconds at a stage, in the order in which items came."""
    found = sorted((v for v in result.outcome.visits if v.stage == stage), key=lambda v: v.entered)
    return [v.sojourn for v in found]


def queued(result: PipelineResult, stage: str) -> list[float]:
    found = sorted((v for v in result.outcome.visits if v.stage == stage), key=lambda v: v.entered)
    return [v.queued for v in found]
