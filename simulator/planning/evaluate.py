"""One deployment under the load: simulated, judged by the objectives, priced."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from simulator.engine.recorder import Recorder
from simulator.experiment import Result, run
from simulator.planning.load import HeldLoad
from simulator.planning.objectives import MILLISECONDS, Objective
from simulator.planning.space import Configuration
from simulator.planning.spec import Availability
from simulator.policies.sequence import Sequence
from simulator.report.serving.requests import latencies

WATTS = 1e3


@dataclass(frozen=True)
class Question:
    """What every candidate is asked: the load, the objectives, and what devices and energy cost."""

    load: HeldLoad
    objectives: list[Objective]
    availability: Availability | None
    energy_price_per_kwh: float


@dataclass(frozen=True)
class Outcome:
    """A deployment of `replicas` serving replicas under the load; money in US dollars, figures by objective.

    `complete` is False where the run was stopped because an objective could no longer hold; figures and costs are
    then unknown (empty, NaN).
    """

    configuration: Configuration
    replicas: int
    spares: int
    complete: bool
    met: bool
    figures: Mapping[str, float]
    tension: float
    usd_per_hour: float
    usd_per_million_tokens: float
    summary: Mapping[str, Any]

    @property
    def devices(self) -> int:
        """Devices of serving and spare replicas."""
        return (self.replicas + self.spares) * self.configuration.devices


class _CannotHold(Exception):
    """So many requests have missed an objective that it cannot hold any more."""


class StoppingRecorder(Recorder):
    """Records, and ends the run as soon as more requests have missed an objective than it lets miss."""

    def __init__(self, objectives: list[Objective], load: HeldLoad) -> None:
        super().__init__(iterations=True)
        self._rules = []
        for o in objectives:
            if o.bounds:
                concerned = len(load) if o.mask is None else int(o.mask.sum())
                bounds = tuple(o.bounds.get(m, math.inf) / MILLISECONDS for m in ("ttft", "tpot", "e2e"))
                self._rules.append((bounds, o.mask, o.misses_allowed(concerned)))
        self._missed = [0] * len(self._rules)

    def finish(self, sequence: Sequence, time: float) -> None:
        """A sequence gave its last token at `time`. Raises where an objective is lost."""
        super().finish(sequence, time)
        ttft, e2e = sequence.first_token - sequence.arrival, time - sequence.arrival
        more = sequence.output_tokens - 1
        tpot = (time - sequence.first_token) / more if more > 0 else 0.0
        for i, ((most_ttft, most_tpot, most_e2e), mask, allowed) in enumerate(self._rules):
            if (ttft > most_ttft or tpot > most_tpot or e2e > most_e2e) and (mask is None or mask[sequence.index]):
                self._missed[i] += 1
                if self._missed[i] > allowed:
                    raise _CannotHold


def simulate(question: Question, configuration: Configuration, replicas: int, **options: Any) -> Result:
    """The run that `simulator run` makes of this deployment; `options` as for `simulator.experiment.run`."""
    return run(configuration.with_replicas(replicas), source=question.load, **options)


def evaluate(question: Question, configuration: Configuration, replicas: int, *, stop: bool = True) -> Outcome:
    """Simulate a deployment and judge it; with `stop`, only until an objective is lost.

    Stopping is exact: misses are counted over the whole load, and more of them than a percentile or a share
    allows decide it whatever the other requests do.
    """
    watch = StoppingRecorder(question.objectives, question.load) if stop else None
    try:
        result = simulate(question, configuration, replicas, recorder=watch)
    except _CannotHold:
        spares = spare_replicas(replicas, question.availability)
        return Outcome(configuration, replicas, spares, False, False, {}, math.inf, math.nan, math.nan, {})
    return judge(question, configuration, replicas, result)


def judge(question: Question, configuration: Configuration, replicas: int, result: Result) -> Outcome:
    """The outcome of a run that has ended."""
    figures = measured(question.objectives, result)
    held = [o for o in question.objectives if not o.met(figures[o.name])]
    tension = max(o.tension(figures[o.name]) for o in question.objectives)
    summary = result.summary
    spares = spare_replicas(replicas, question.availability)
    hourly = usd_per_hour(question, configuration, replicas, summary["energy"]["mean_power_w"])
    tokens = summary["throughput"]["total_tokens_per_s"] * 3600.0
    whole = not held and not result.rejected
    return Outcome(
        configuration, replicas, spares, True, whole, figures, tension, hourly, hourly / tokens * 1e6, summary
    )


def measured(objectives: list[Objective], result: Result) -> dict[str, float]:
    """The figure of each objective in a run."""
    seconds, index = latencies(result), result.request_columns["index"].astype(int)
    return {o.name: o.value(seconds, None if o.mask is None else o.mask[index]) for o in objectives}


def usd_per_hour(question: Question, configuration: Configuration, replicas: int, watts: float) -> float:
    """Rent of serving and spare replicas and the energy that the serving ones draw (`watts` together)."""
    fleet = replicas + spare_replicas(replicas, question.availability)
    return configuration.usd_per_hour * fleet + question.energy_price_per_kwh * watts / WATTS


@lru_cache(maxsize=4096)
def spare_replicas(replicas: int, availability: Availability | None) -> int:
    """Fewest spares k so that `replicas` of `replicas` + k are up with the target's probability (binomial)."""
    if availability is None:
        return 0
    from scipy.stats import binom

    spares = 0
    while binom.sf(replicas - 1, replicas + spares, availability.replica) < availability.target:
        spares += 1
    return spares
