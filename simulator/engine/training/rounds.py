"""Rounds of gradients by several workers, each closed by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.slowdowns import Slowdown, slowdown_factors
from simulator.policies.rounds.closing import Progress, RoundRule

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Work:
    """Seconds of a round on a usual worker: `base` whatever it computes, and `batch` for a whole batch's gradient."""

    base: float
    batch: float


@dataclass(frozen=True, slots=True)
class RoundsOutcome:
    """Seconds and gradients used of each round, the workers' answers, and where training stands after the last.

    `seconds`, `used` and `gaps`, the loss above its least after each round, have shape (rounds,), `answers` (rounds,
    workers). `load` is each worker's share of the batch.
    """

    seconds: Floats
    used: NDArray[np.int64]
    gaps: Floats
    answers: Floats
    load: float
    progress: Progress
    reached: bool


def run_rounds(
    work: Work,
    workers: int,
    rounds: int,
    rule: RoundRule,
    slowdowns: Sequence[Slowdown],
    seed: int,
    progress: Progress,
    target: float | None = None,
) -> RoundsOutcome:
    """`rounds` rounds and those that decode the last, or as many as bring the loss's gap down to `target`."""
    load = rule.load(workers)
    count = rounds + (rule.delay if target is None else 0)
    answers = (work.base + load * work.batch) * slowdown_factors(slowdowns, count, workers, seed)
    seconds: list[float] = []
    used: list[int] = []
    gaps: list[float] = []
    for times in answers:
        closed = rule.close(times, progress)
        seconds.append(closed.seconds)
        used.append(closed.used)
        progress = replace(progress, gap=max(0.0, progress.gap - progress.gain(closed.used)))
        gaps.append(progress.gap)
        if target is not None and progress.gap <= target:
            break
    reached = target is None or progress.gap <= target
    done = len(seconds)
    return RoundsOutcome(np.array(seconds), np.array(used), np.array(gaps), answers[:done], load, progress, reached)
