"""The cheapest change that would relax what binds: one step away from a deployment, in or out of the space asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulator.planning.bounds import Bounds
from simulator.planning.evaluate import Outcome, Question, evaluate
from simulator.planning.explain import tightest
from simulator.planning.search import Candidate, bounded, fewest_within
from simulator.planning.space import Configuration, configuration
from simulator.planning.spec import PlanSpec

NEXT_WEIGHTS = {"bf16": "fp8", "fp16": "fp8", "fp8": "int4"}
NEXT_CACHE = {"bf16": "fp8", "fp16": "fp8"}

WORTH = 0.001  # a step that saves less than this share of the cost is none


@dataclass(frozen=True)
class Change:
    """One step and the deployment it leads to; `saves` is US dollars an hour, against a deployment that holds."""

    words: str
    outcome: Outcome
    saves: float


def steps(spec: PlanSpec, at: Configuration) -> Iterator[tuple[str, Configuration]]:
    """Configurations one step away: precision, limits, layout or device."""
    s = at.scenario
    changes: list[tuple[str, dict[str, Any]]] = []
    weights, cache = s.precision.weights or "bf16", s.precision.kv_cache or "bf16"
    if weights in NEXT_WEIGHTS:
        changes.append((f"{NEXT_WEIGHTS[weights]} weights", {"precision.weights": NEXT_WEIGHTS[weights]}))
    if cache in NEXT_CACHE:
        changes.append((f"{NEXT_CACHE[cache]} KV cache", {"precision.kv_cache": NEXT_CACHE[cache]}))
    for field, name in (
        ("batching.max_num_seqs", "max_num_seqs"),
        ("batching.max_num_batched_tokens", "max_num_batched_tokens"),
    ):
        value = getattr(s.batching, name)
        changes += [(f"{name} {v:,}", {field: v}) for v in (value * 2, value // 2) if v]
    tensor = s.parallel.tensor
    changes += [(f"tensor parallel {v}", {"parallel.tensor": v}) for v in (tensor * 2, tensor // 2) if v]
    here = next(d for d in spec.devices if d.device == s.device)
    known = [(words, configuration(spec, here, {**at.settings, **change})) for words, change in changes]
    known += [(d.device, configuration(spec, d, at.settings)) for d in spec.devices if d.device != s.device]
    yield from ((words, found) for words, found in known if found is not None)


def cheaper_step(
    spec: PlanSpec, question: Question, bounds: Bounds, best: Outcome, searched: set[str], jobs: int
) -> Change | None:
    """The step that lowers the cost most while every objective holds; None where no step does.

    `searched` holds the keys of configurations whose fewest replicas are already known not to be cheaper.
    """
    candidates = [(w, c) for w, c in steps(spec, best.configuration) if c.key not in searched]
    reached = _fewest(question, bounds, candidates, best.usd_per_hour, jobs)
    cheaper = [Change(w, o, best.usd_per_hour - o.usd_per_hour) for w, o in reached if o.met]
    cheaper = [c for c in cheaper if c.saves > WORTH * best.usd_per_hour]
    return max(cheaper, key=lambda c: (c.saves, c.words), default=None)


def restoring_step(
    spec: PlanSpec, question: Question, bounds: Bounds, closest: Outcome, jobs: int
) -> tuple[Change | None, Change | None]:
    """For a deployment that misses: the cheapest step that meets all objectives, and the one that comes nearest."""
    more = replace(closest.configuration, most=closest.replicas + 1)
    candidates = [("one more replica", more), *steps(spec, closest.configuration)]
    reached = _fewest(question, bounds, candidates, math.inf, jobs)
    meeting = [Change(w, o, math.nan) for w, o in reached if o.met]
    if meeting:
        return min(meeting, key=lambda c: (c.outcome.usd_per_hour, c.words)), None
    from joblib import Parallel, delayed

    whole = Parallel(n_jobs=jobs)(
        delayed(evaluate)(question, o.configuration, o.replicas, stop=False) for _, o in reached
    )
    nearer = [Change(w, o, math.nan) for (w, _), o in zip(reached, whole, strict=True) if o.tension < closest.tension]
    return None, min(nearer, key=lambda c: (c.outcome.tension, c.words), default=None)


def _fewest(
    question: Question, bounds: Bounds, candidates: list[tuple[str, Configuration]], budget: float, jobs: int
) -> list[tuple[str, Outcome]]:
    """For each step the cheapest deployment that holds within a budget, or the last tried where none does."""
    from joblib import Parallel, delayed

    named: list[tuple[str, Candidate]] = [(w, bounded(question, bounds, c)) for w, c in candidates]
    usable = [(w, c) for w, c in named if not c.reason or (math.isinf(budget) and math.isfinite(c.usd_per_hour))]
    runs = Parallel(n_jobs=jobs)(delayed(fewest_within)(question, c, budget) for _, c in usable)
    found = []
    for (words, _), outcomes in zip(usable, runs, strict=True):
        if outcomes:
            held = [o for o in outcomes if o.met]
            found.append((words, min(held, key=lambda o: o.usd_per_hour) if held else outcomes[-1]))
    return found


def easing(question: Question, best: Outcome, feasible: Sequence[Outcome]) -> tuple[str, Outcome] | None:
    """The cheapest deployment under which the best one's tightest objective is met more easily, and what it is.

    One replica more, or any deployment that the search has found to hold.
    """
    tight = tightest(question.objectives, dict(best.figures))
    more = evaluate(question, best.configuration, best.replicas + 1, stop=False)
    known = [("one more replica", more), *((f"{o.replicas} x {o.configuration.label}", o) for o in feasible)]
    now = tight.tension(best.figures[tight.name])
    eased = [(w, o) for w, o in known if o.met and tight.tension(o.figures[tight.name]) < now]
    return min(eased, key=lambda found: (found[1].usd_per_hour, found[1].tension, found[0]), default=None)


def looser_objective(question: Question, best: Outcome) -> dict[str, Any] | None:
    """What one replica fewer would miss, and what it would save; None where there is only one."""
    if best.replicas == 1:
        return None
    fewer = evaluate(question, best.configuration, best.replicas - 1, stop=False)
    missed = [o for o in question.objectives if not o.met(fewer.figures[o.name])]
    return {
        "replicas": fewer.replicas,
        "misses": [o.shown(fewer.figures[o.name]) for o in missed],
        "saves_usd_per_hour": best.usd_per_hour - fewer.usd_per_hour,
    }
