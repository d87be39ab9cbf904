"""The quickest layouts that fit: candidates in the order of their bounds, simulated until no bound can win."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from simulator.engine.training.memory import stage_memory
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.planning.training.bounds import least_bytes, least_seconds
from simulator.planning.training.space import Candidate, Space
from simulator.training import TrainingResult, lay_out


@dataclass(frozen=True)
class Bounded:
    """A candidate with the least bytes of a device and the least seconds of a step (0 where it does not fit)."""

    candidate: Candidate
    bytes: float
    seconds: float


@dataclass
class Found:
    """What a search has come to: candidates by their bounds, simulated steps, and why others were left out.

    `too_large` do not fit; a simulated candidate without a result did not either, when looked at closely.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    too_large: list[Bounded] = field(default_factory=list)
    fitting: list[Bounded] = field(default_factory=list)
    simulated: dict[int, TrainingResult | None] = field(default_factory=dict)
    timers: dict[tuple[str, str | None, str], Step] = field(default_factory=dict)

    @property
    def considered(self) -> int:
        """Combinations that were looked at."""
        return self.left_out.total() + len(self.too_large) + len(self.fitting)

    def result(self, bounded: Bounded) -> TrainingResult | None:
        """The candidate's simulated step, None where it does not fit after all."""
        key = id(bounded)
        if key not in self.simulated:
            step = self.laid_out(bounded.candidate)
            stages = range(step.job.layout.pipeline)
            fits = all(stage_memory(step, s).total <= step.part(s).law.device.memory_capacity for s in stages)
            self.simulated[key] = TrainingResult(bounded.candidate.scenario, step) if fits else None
        return self.simulated[key]

    def laid_out(self, candidate: Candidate) -> Step:
        """A candidate's step; operators that candidates on the same devices share are timed once for all."""
        scenario, step = candidate.scenario, lay_out(candidate.scenario)
        if scenario.network is not None or step.mixed is not None:
            return step
        return step.timed_like(self.timers.setdefault((scenario.device, scenario.node, scenario.stack), step))


def search(space: Space, *, on_bound: Callable[[int], None] | None = None) -> tuple[Found, list[TrainingResult]]:
    """Search a space; also returns the best, quickest first. Raises `InputError` if no layout can be laid out and fits.

    The same as simulating every candidate: what is not simulated cannot be quicker than the last of the best.
    """
    found, capacity = Found(), 0.0
    for count, candidate in enumerate(space.candidates(found.left_out), 1):
        try:
            step = found.laid_out(candidate)
        except InputError as error:
            found.left_out[_reason(error)] += 1
            continue
        capacity = step.law.device.memory_capacity
        bounded = _bounded(candidate, step, capacity)
        (found.fitting if bounded.bytes <= capacity else found.too_large).append(bounded)
        if on_bound is not None:
            on_bound(count)
    best = quickest(found, found.fitting, space.plan.best)
    if not best:
        raise InputError(_nothing(found, capacity))
    return found, best


def quickest(found: Found, among: Iterable[Bounded], most: int) -> list[TrainingResult]:
    """The `most` quickest candidates of some, simulated in the order of their bounds while one can still be of them."""
    best: list[TrainingResult] = []
    for bounded in sorted(among, key=lambda b: b.seconds):
        if len(best) == most and bounded.seconds >= best[-1].step.step_seconds:
            break
        result = found.result(bounded)
        if result is not None:
            best = sorted([*best, result], key=lambda r: r.step.step_seconds)[:most]
    return best


def _bounded(candidate: Candidate, step: Step, capacity: float) -> Bounded:
    needed = least_bytes(step)
    return Bounded(candidate, needed, least_seconds(step) if needed <= capacity else 0.0)


def _reason(error: InputError) -> str:
    """What an error complains of, without its numbers and its remedy."""
    return re.sub(r"\b\d[\d,.]*\b", "N", error.message.rpartition(": ")[0] or error.message)


def _nothing(found: Found, capacity: float) -> str:
    if found.too_large:
        least = min(b.bytes for b in found.too_large)
        return (
            f"none of {len(found.too_large):,} layouts fits: the leanest needs {least / 1e9:.4g} GB a device of "
            f"{capacity / 1e9:.4g} GB: give more devices, or search layout.zero and recompute"
        )
    reason, count = next(iter(found.left_out.most_common(1)), ("no combination was given", 0))
    why = f"{count:,} because {reason}"
    return f"none of {found.considered:,} combinations can be laid out, {why}: change devices or search"
