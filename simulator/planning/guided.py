"""Spaces too large to enumerate: Optuna's tree-structured Parzen estimator proposes candidates in waves.

Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (NeurIPS 2011), through Optuna (arXiv:1907.10902).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from simulator.errors import InputError
from simulator.planning.bounds import Bounds
from simulator.planning.evaluate import Question
from simulator.planning.search import WAVE, Candidate, Found, bounded, branch_and_bound
from simulator.planning.space import Space

HOPELESS = 1e12  # the cost told of a candidate that cannot meet the objectives at all


def guided(
    space: Space,
    question: Question,
    bounds: Bounds,
    *,
    within: float,
    jobs: int,
    on_wave: Callable[[Found], None] | None = None,
) -> Found:
    """Search `space.spec.trials` distinct candidates; the same seed gives the same ones for any number of jobs.

    A candidate that is bounded out is told at its optimistic cost, one that fails at its cost times how many
    replicas were allowed, so that the sampler still sees which way is better. Raises `InputError` without Optuna.
    """
    study = _study(space)
    found = Found()
    known: dict[tuple[int, ...], float] = {}
    asked = 0
    while len(known) < space.spec.trials and asked < 4 * space.spec.trials:
        trials = [study.ask() for _ in range(WAVE)]
        asked += WAVE
        choices = [
            tuple(t.suggest_categorical(axis, range(n)) for axis, n in zip(space.axes, space.shape, strict=True))
            for t in trials
        ]
        fresh = [c for c in dict.fromkeys(choices) if c not in known]
        candidates: dict[tuple[int, ...], Candidate] = {}
        for choice in fresh:
            configuration = space.at(choice)
            if configuration is not None:
                candidates[choice] = bounded(question, bounds, configuration)
        before = len(found.outcomes)
        branch_and_bound(question, candidates.values(), within=within, jobs=jobs, found=found, on_wave=on_wave)
        held = [o for o in found.outcomes[before:] if o.met]
        met = {o.configuration.label: o.usd_per_hour for o in sorted(held, key=lambda o: -o.usd_per_hour)}
        for choice in fresh:
            known[choice] = _told(candidates.get(choice), met)
        for trial, choice in zip(trials, choices, strict=True):
            study.tell(trial, known[choice])
    return found


def _study(space: Space) -> Any:
    try:
        import optuna
    except ImportError:
        most = space.spec.exhaustive_up_to
        raise InputError(
            f"{space.size:,} candidates, more than exhaustive_up_to ({most:,}), are searched with the package optuna: "
            "pip install 'simulator[search]', raise exhaustive_up_to or list fewer"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=space.spec.seed, n_startup_trials=2 * WAVE, constant_liar=True)
    return optuna.create_study(sampler=sampler)


def _told(candidate: Candidate | None, met: dict[str, float]) -> float:
    if candidate is None or not math.isfinite(candidate.usd_per_hour):
        return HOPELESS
    cost = met.get(candidate.configuration.label)
    return candidate.usd_per_hour * candidate.configuration.most if cost is None else cost
