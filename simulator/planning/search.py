"""Search: for each configuration the fewest replicas that meet the objectives, the cheapest configurations first.

Branch and bound in waves: candidates are taken in the order of the least they could cost, and left out once that
exceeds what is worth knowing (the cheapest found, times how far the front is followed). A wave's members do not
learn from each other, so the outcome does not depend on how many run at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from simulator.assembly.pools import deployment_of
from simulator.errors import InputError
from simulator.planning.bounds import Bounds
from simulator.planning.evaluate import Outcome, Question, evaluate, usd_per_hour
from simulator.planning.space import Configuration

WAVE = 12
LIKELY = 0.4  # share of the tightest limit that a lone request on the roofline may fill for a run to hold, mostly
NO_MEMORY = "does not fit the memory"
NO_LAYOUT = "cannot be laid out or computed so"
TOO_DEAR = "cannot be as cheap"
MISSES = "misses an objective, as simulated"
MEETS = "meets every objective"


@dataclass(frozen=True)
class Candidate:
    """A configuration with the fewest replicas that its bound leaves, and what those cost at least.

    `reason` says why it cannot meet the objectives however many replicas it gets; empty where it may. `error` is the
    complaint of a scenario that cannot be deployed.
    """

    configuration: Configuration
    least: int
    usd_per_hour: float
    tension: float
    reason: str = ""
    error: str = ""


@dataclass
class Found:
    """What a search has learned; `fates` counts by device what became of its candidates."""

    outcomes: list[Outcome] = field(default_factory=list)
    considered: int = 0
    impossible: dict[str, int] = field(default_factory=dict)
    too_dear: int = 0
    searched: set[str] = field(default_factory=set)
    simulations: int = 0
    closest: list[Candidate] = field(default_factory=list)
    fates: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, candidate: Candidate, fate: str) -> None:
        """Note what became of a candidate, by its device."""
        fates = self.fates.setdefault(candidate.configuration.scenario.device, {})
        fates[fate] = fates.get(fate, 0) + 1

    @property
    def feasible(self) -> list[Outcome]:
        return [o for o in self.outcomes if o.met]

    @property
    def cheapest(self) -> float:
        """US dollars an hour of the cheapest deployment that meets the objectives; infinite where none does."""
        return min((o.usd_per_hour for o in self.feasible), default=math.inf)


def bounded(question: Question, bounds: Bounds, configuration: Configuration) -> Candidate:
    """What the bounds say of a configuration."""
    try:
        deployment = deployment_of(configuration.scenario)
        deployment.law.peak("fp32")  # what norms, activations and sampling compute in
        bound = bounds.of(configuration, deployment)
    except InputError as error:
        reason = NO_MEMORY if "not fit" in error.message else NO_LAYOUT
        return Candidate(configuration, 1, math.inf, math.inf, reason, error.message)
    scenario = configuration.scenario
    apart = scenario.disaggregation is not None or scenario.feed_forward is not None  # other devices may idle at less
    idle = 0.0 if apart else deployment.device.idle_power * configuration.devices * bound.replicas
    cost = usd_per_hour(question, configuration, bound.replicas, idle)
    reason = ""
    if not bound.holds_longest:
        reason = "KV cache is too small for the longest request"
    elif bound.tension > 1.0 + 1e-9:
        reason = "too slow even for a request alone"
    elif bound.replicas > configuration.most:
        reason = "needs more replicas than there may be"
    return Candidate(configuration, bound.replicas, cost, bound.tension, reason)


def most_replicas(question: Question, candidate: Candidate, budget: float) -> int:
    """The most replicas whose rent is within `budget` US dollars an hour."""
    low, high = 0, candidate.configuration.most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high)
            if usd_per_hour(question, candidate.configuration, middle, 0.0) <= budget
            else (low, middle - 1)
        )
    return low


def fewest_replicas(question: Question, configuration: Configuration, least: int, most: int) -> list[Outcome]:
    """All outcomes on the way to the fewest replicas between `least` and `most` that meet the objectives.

    A bracket first: the ends where both are close or a budget sets `most`, growing steps from `least` otherwise;
    then bisection. The last but one count is known to fail, by simulation or by the bound.
    """
    outcomes: list[Outcome] = []

    def holds(replicas: int) -> bool:
        outcomes.append(evaluate(question, configuration, replicas))
        return outcomes[-1].met

    low, high, step = least - 1, least, 1
    while not holds(high):
        if high >= most:
            return outcomes
        low, high, step = high, min(high + step, most), step * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return outcomes


def fewest_within(question: Question, candidate: Candidate, budget: float) -> list[Outcome]:
    """As `fewest_replicas` where only counts within a budget matter: the largest of them decides first."""
    configuration = candidate.configuration
    most = most_replicas(question, candidate, budget) if math.isfinite(budget) else configuration.most
    if most < candidate.least:
        return []
    if not math.isfinite(budget) or most == candidate.least:
        return fewest_replicas(question, configuration, candidate.least, most)
    last = evaluate(question, configuration, most)
    if not last.met:
        return [last]
    return [last, *fewest_replicas(question, configuration, candidate.least, most - 1)]


def pilots(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Of candidates in the order of cost, each device's first that is likely to hold: a first budget for the rest."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.tension <= LIKELY:
            found.setdefault(candidate.configuration.scenario.device, candidate)
    return list(found.values())


def branch_and_bound(
    question: Question,
    candidates: Iterable[Candidate],
    *,
    within: float,
    jobs: int,
    found: Found | None = None,
    on_wave: Callable[[Found], None] | None = None,
) -> Found:
    """Search candidates in the order of their least cost; `within` times the cheapest is still worth knowing."""
    from joblib import Parallel, delayed

    found = found or Found()
    open_ = []
    for candidate in candidates:
        found.considered += 1
        if candidate.reason:
            found.impossible[candidate.reason] = found.impossible.get(candidate.reason, 0) + 1
            found.count(candidate, candidate.reason)
            found.closest.append(candidate)
        else:
            open_.append(candidate)
    open_.sort(key=lambda c: (c.usd_per_hour, c.configuration.label))
    first = [] if found.feasible else pilots(open_)
    chosen = {c.configuration.key for c in first}
    rest = [c for c in open_ if c.configuration.key not in chosen]
    with Parallel(n_jobs=jobs) as pool:
        for taken in filter(None, (first, *(rest[i : i + WAVE] for i in range(0, len(rest), WAVE)))):
            budget = found.cheapest * within
            wave = [c for c in taken if c.usd_per_hour <= budget]
            found.too_dear += len(taken) - len(wave)
            for candidate in taken:
                if candidate.usd_per_hour > budget:
                    found.count(candidate, TOO_DEAR)
            for candidate, outcomes in zip(
                wave, pool(delayed(fewest_within)(question, c, budget) for c in wave), strict=True
            ):
                met = any(o.met for o in outcomes)
                found.count(candidate, MEETS if met else MISSES if outcomes else TOO_DEAR)
                found.outcomes += outcomes
                found.simulations += len(outcomes)
            found.searched |= {c.configuration.key for c in wave}
            found.closest += wave if not found.feasible else []
            if on_wave is not None:
                on_wave(found)
    return found
