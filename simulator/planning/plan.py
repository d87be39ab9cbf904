"""A planning question answered: ranked deployments, what binds the best, and what would relax it, as plain data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.planning import explain, relax
from simulator.planning.bounds import Bounds
from simulator.planning.evaluate import Outcome, Question, evaluate, judge, measured, simulate
from simulator.planning.guided import guided
from simulator.planning.load import HeldLoad, hold
from simulator.planning.objectives import flatten
from simulator.planning.search import NO_LAYOUT, Found, bounded, branch_and_bound
from simulator.planning.space import Space
from simulator.planning.spec import PlanSpec
from simulator.scenario import Scenario
from simulator.uncertainty import bands, replicated

CLOSEST = 24  # candidates that are simulated to the end to see which comes nearest, where none meets all objectives


@dataclass(frozen=True)
class Plan:
    """The answer. `feasible` are all deployments simulated that meet every objective; `ranked` has the cheapest of
    each configuration, cheapest first, and `front` those that none beats on every axis asked.

    Where there are none, `closest` is the deployment that misses by the least. `facts` is everything as plain data,
    as `plan.json` holds it.
    """

    spec: PlanSpec
    feasible: list[Outcome]
    ranked: list[Outcome]
    front: list[Outcome]
    closest: Outcome | None
    facts: dict[str, Any]

    @property
    def best(self) -> Outcome | None:
        """The cheapest deployment that meets every objective, or the one that comes nearest."""
        return self.ranked[0] if self.ranked else self.closest

    @property
    def best_scenario(self) -> Scenario | None:
        """What `simulator run` takes to give the best deployment's numbers again."""
        return None if self.best is None else self.best.configuration.with_replicas(self.best.replicas)


def plan(spec: PlanSpec, *, jobs: int = -1, on_wave: Callable[[Found], None] | None = None) -> Plan:
    """Answer a planning question. Results do not depend on `jobs`, the number of processes (-1: all cores).

    Raises `InputError` for anything in the question that cannot be used.
    """
    space = Space(spec)
    load = hold(space.check().load)
    objectives = flatten(spec.objectives, load)
    question = Question(load, objectives, spec.objectives.availability, spec.energy_price_per_kwh)
    open_loop = spec.load.concurrency is None and spec.load.sessions == "times"
    bounds = Bounds(load, objectives, open_loop=open_loop)
    whole = space.size <= spec.exhaustive_up_to
    if whole:
        configurations = [c for c in map(space.at, space.choices()) if c is not None]
        candidates = [bounded(question, bounds, c) for c in configurations]
        found = branch_and_bound(question, candidates, within=spec.front_within, jobs=jobs, on_wave=on_wave)
    else:
        found = guided(space, question, bounds, within=spec.front_within, jobs=jobs, on_wave=on_wave)
    if found.considered == found.impossible.get(NO_LAYOUT, 0):
        raise InputError(f"no candidate can be deployed; the first: {found.closest[0].error}")
    ranked = ranking(found.feasible)
    closest = None if ranked else nearest(question, found, jobs)
    front = pareto(found.feasible, spec.front)
    facts = {
        "name": spec.name,
        "model": spec.model,
        "load": _load_facts(load, spec),
        "objectives": [{"name": o.name, "limit": o.limit} for o in objectives],
        "search": _search_facts(space, found, whole),
        "feasible": bool(ranked),
    }
    top = ranked[: spec.top] if ranked else ([closest] if closest else [])
    facts["deployments"] = _deployments(spec, question, top, jobs, meets=bool(ranked))
    facts["also"] = [_row(o) for o in ranked[spec.top :]]
    facts["front"] = [_row(o) for o in front]
    facts["devices"] = _devices(found, ranked)
    facts["relaxing"] = relaxing(spec, question, bounds, ranked, closest, found, jobs)
    return Plan(spec, found.feasible, ranked, front, closest, facts)


def ranking(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The cheapest outcome of each configuration, cheapest first; at equal cost, the one with more room first."""
    best: dict[str, Outcome] = {}
    for o in sorted(outcomes, key=_order):
        best.setdefault(o.configuration.label, o)
    return sorted(best.values(), key=_order)


def _order(o: Outcome) -> tuple[float, float, str]:
    return o.usd_per_hour, o.tension, o.configuration.label


def axis(outcome: Outcome, name: str) -> float:
    """The figure of a Pareto axis: milliseconds, or joules a token for "energy"."""
    if name == "energy":
        return float(outcome.summary["energy"]["j_per_token"])
    metric, _, statistic = name.partition("_")
    return float(outcome.summary["latency_ms"][metric].get(statistic, 0.0))


def pareto(outcomes: Sequence[Outcome], axes: Sequence[str]) -> list[Outcome]:
    """Outcomes that no other beats in cost and all `axes` at once, cheapest first."""
    points = {(o.usd_per_hour, *(axis(o, a) for a in axes)): o for o in sorted(outcomes, key=_order, reverse=True)}
    kept = [
        o
        for p, o in points.items()
        if not any(q != p and all(x <= y for x, y in zip(q, p, strict=True)) for q in points)
    ]
    return sorted(kept, key=_order)


def nearest(question: Question, found: Found, jobs: int) -> Outcome | None:
    """The deployment that misses its objectives by the least, of those whose bounds come nearest to holding."""
    from joblib import Parallel, delayed

    possible = [c for c in found.closest if math.isfinite(c.tension) and "KV cache" not in c.reason]
    possible.sort(key=lambda c: (bool(c.reason), c.tension, c.configuration.label))
    outcomes = Parallel(n_jobs=jobs)(
        delayed(evaluate)(question, c.configuration, c.configuration.most, stop=False) for c in possible[:CLOSEST]
    )
    return min(outcomes, key=lambda o: (o.tension, o.usd_per_hour, o.configuration.label), default=None)


def _deployments(
    spec: PlanSpec, question: Question, top: list[Outcome], jobs: int, *, meets: bool
) -> list[dict[str, Any]]:
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=jobs)(delayed(_described)(spec, question, o, meets) for o in top))


def _described(spec: PlanSpec, question: Question, outcome: Outcome, meets: bool) -> dict[str, Any]:
    """A ranked deployment with its binding constraint, headroom and intervals."""
    result = simulate(question, outcome.configuration, outcome.replicas)
    again = judge(question, outcome.configuration, outcome.replicas, result)
    row = _row(again) | {
        "binding": explain.evidence(explain.binding(question, again, result)),
        "load_headroom": explain.load_headroom(question, again) - 1.0 if meets else None,
        "summary": dict(again.summary),
    }
    if spec.uncertainty:
        row["intervals"] = _intervals(question, outcome, spec.uncertainty)
    return row


def _intervals(question: Question, outcome: Outcome, replications: int) -> dict[str, Any]:
    """90 % intervals of the figures, and the share of replications in which each objective holds."""
    scenario = outcome.configuration.with_replicas(outcome.replicas)
    summaries, holds, all_hold = [], dict.fromkeys((o.name for o in question.objectives), 0), 0
    for result in replicated(scenario, replications, question.load):
        figures = measured(question.objectives, result)
        held = {o.name: o.met(figures[o.name]) for o in question.objectives}
        holds = {name: count + held[name] for name, count in holds.items()}
        all_hold += all(held.values())
        summaries.append(result.summary)
    return {
        "figures": bands(summaries),
        "probability": {name: count / replications for name, count in holds.items()},
        "probability_of_all": all_hold / replications,
    }


def relaxing(
    spec: PlanSpec,
    question: Question,
    bounds: Bounds,
    ranked: list[Outcome],
    closest: Outcome | None,
    found: Found,
    jobs: int,
) -> dict[str, Any]:
    """The cheapest change that would relax what binds, in words and numbers."""
    if ranked:
        best = ranked[0]
        change = relax.cheaper_step(spec, question, bounds, best, found.searched, jobs)
        fewer = relax.looser_objective(question, best)
        words = []
        if change is not None:
            words.append(f"{change.words}: {change.saves:,.2f} USD an hour less, every objective still met")
        if fewer is not None and fewer["misses"]:
            saved, missed = fewer["saves_usd_per_hour"], "; ".join(fewer["misses"])
            words.append(f"one replica fewer saves {saved:,.2f} USD an hour at {missed}")
        if change is None:
            words.insert(0, "no single change of precision, limits, tensor parallelism or device lowers the cost")
        eased = relax.easing(question, best, found.feasible)
        if eased is not None:
            tight = explain.tightest(question.objectives, dict(best.figures))
            dearer = eased[1].usd_per_hour - best.usd_per_hour
            value = tight.shown(eased[1].figures[tight.name])
            words.append(f"{eased[0]} eases it to {value} for {dearer:,.2f} USD an hour more")
        return {
            "sentence": "; ".join(words),
            "easing": None if eased is None else {"change": eased[0], **_row(eased[1])},
            "step": None if change is None else {"change": change.words, "saves": change.saves, **_row(change.outcome)},
            "one_replica_fewer": fewer,
        }
    if closest is None:
        return {"sentence": "no candidate can be simulated: none fits its memory", "step": None}
    change, nearer = relax.restoring_step(spec, question, bounds, closest, jobs)
    if change is not None:
        cost = f"{change.outcome.usd_per_hour:,.2f} USD an hour with {change.outcome.replicas} replicas"
        return {"sentence": f"{change.words} meets every objective, at {cost}", "step": _row(change.outcome)}
    if nearer is not None:
        worst = explain.tightest(question.objectives, dict(nearer.outcome.figures))
        value = worst.shown(nearer.outcome.figures[worst.name])
        return {
            "sentence": f"no single change meets every objective; {nearer.words} comes nearest ({value})",
            "step": _row(nearer.outcome),
        }
    return {"sentence": "no single change comes nearer to the objectives", "step": None}


def _row(o: Outcome) -> dict[str, Any]:
    """An outcome as one row of plain data."""
    latency = o.summary.get("latency_ms", {})
    return {
        "deployment": o.configuration.label,
        "device": o.configuration.scenario.device,
        "settings": dict(o.configuration.settings),
        "replicas": o.replicas,
        "spare_replicas": o.spares,
        "devices": o.devices,
        "usd_per_hour": o.usd_per_hour,
        "usd_per_million_tokens": o.usd_per_million_tokens,
        "meets_all": o.met,
        "share_of_tightest_limit": o.tension if math.isfinite(o.tension) else None,
        "objectives": {k: None if math.isnan(v) else v for k, v in o.figures.items()},
        "latency_p99_ms": {k: latency[k].get("p99") for k in ("ttft", "tpot", "e2e") if k in latency},
        "j_per_token": o.summary.get("energy", {}).get("j_per_token"),
        "mean_power_w": o.summary.get("energy", {}).get("mean_power_w"),
        "kv_headroom": 1.0 - o.summary["kv_cache"]["max_utilisation"] if o.summary else None,
    }


def _load_facts(load: HeldLoad, spec: PlanSpec) -> dict[str, Any]:
    generator = spec.load.generator
    return {
        "name": Path(generator).stem if isinstance(generator, str) else load.name,
        "requests": len(load),
        "growth": spec.growth,
        "seconds": float(load.arrival_s[-1] - load.arrival_s[0]),
        "prompt_tokens": int(load.prompt_tokens.sum()),
        "output_tokens": int(load.output_tokens.sum()),
    }


def _devices(found: Found, ranked: Sequence[Outcome]) -> list[dict[str, Any]]:
    """By device what became of its candidates, and its cheapest deployment that meets every objective, if any."""
    cheapest: dict[str, Outcome] = {}
    for o in ranked:
        cheapest.setdefault(o.configuration.scenario.device, o)
    return [
        {
            "device": device,
            "candidates": sum(fates.values()),
            "fates": dict(sorted(fates.items())),
            "cheapest": _row(cheapest[device]) if device in cheapest else None,
        }
        for device, fates in found.fates.items()
    ]


def _search_facts(space: Space, found: Found, whole: bool) -> dict[str, Any]:
    return {
        "method": "exhaustive, pruned by bounds" if whole else "Optuna TPE, pruned by bounds",
        "space": space.size,
        "considered": found.considered,
        "impossible": found.impossible,
        "too_dear": found.too_dear,
        "simulated": len(found.searched),
        "simulations": found.simulations,
    }
