"""What a reader takes from the page of a plan first: what to rent, what it costs a month, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.report.sections import Answer, KeyFigure
from simulator.report.serving.answer import amount

HOURS_A_MONTH = 365 * 24 / 12
# Deployments that cost so much more than the cheapest are nearly as good.
NEARLY = 0.1
# Shares of replications from which on a deployment is sure to meet its objectives.
SURE = 0.95


def plan_answer(facts: dict[str, Any]) -> Answer:
    """The head of the page of a plan's `facts`."""
    if not facts["deployments"]:
        return Answer([], [f"{facts['relaxing']['sentence'].capitalize()}."], ["No candidate meets every objective."])
    best = facts["deployments"][0]
    monthly = best["usd_per_hour"] * HOURS_A_MONTH
    figures = [
        KeyFigure("Devices", f"{best['devices']:,}", between=Path(best["device"]).stem),
        KeyFigure("Cost a month", f"{monthly:,.0f}", "USD", f"{best['usd_per_hour']:,.2f} USD an hour"),
        KeyFigure("Cost a million tokens", amount(best["usd_per_million_tokens"]), "USD"),
        *_objectives(facts, best),
    ]
    if best["mean_power_w"] is not None:
        energy = best["mean_power_w"] / 1e3 * HOURS_A_MONTH
        figures.append(KeyFigure("Energy a month", amount(energy), "kWh", f"{best['j_per_token']:,.3g} J a token"))
    if "intervals" in best:
        runs = f"of {best['intervals']['figures']['replications']} replications meet all"
        figures.append(KeyFigure("How sure", f"{best['intervals']['probability_of_all']:.0%}", between=runs))
    warnings = [] if facts["feasible"] else ["No candidate meets every objective. This is the one that comes nearest."]
    return Answer(figures, _sentences(facts, best), warnings)


def _objectives(facts: dict[str, Any], best: dict[str, Any]) -> list[KeyFigure]:
    """The figure of each objective of all requests, and its limit."""
    found = []
    for objective in facts["objectives"]:
        name, limit = objective["name"], objective["limit"]
        value = best["objectives"].get(name)
        if value is None or ":" in name:
            continue
        share = name == "goodput"
        shown = (
            (f"{value:.1%}", "", f"at least {limit:.1%}") if share else (amount(value), "ms", f"at most {limit:g} ms")
        )
        found.append(KeyFigure("Goodput" if share else " ".join(reversed(name.split())), *shown))
    return found


def _sentences(facts: dict[str, Any], best: dict[str, Any]) -> list[str]:
    spare = f" and {best['spare_replicas']} spare" if best["spare_replicas"] else ""
    replicas = f"{best['replicas']} replica{'s' if best['replicas'] > 1 else ''}{spare} of {best['deployment']}"
    if not facts["feasible"]:
        return [f"{replicas} comes nearest: {best['binding']['sentence']}.", f"To meet them: {_relaxing(facts)}."]
    considered = f"{facts['search']['considered']:,} candidates"
    first = f"Rent {replicas}: of {considered} it is the cheapest that meets every objective."
    return [first, *_runners_up(facts, best), _sureness(facts, best), f"What binds it: {best['binding']['sentence']}."]


def _sureness(facts: dict[str, Any], best: dict[str, Any]) -> str:
    """In how many replications the objectives hold, and what is safer where that is too few."""
    if "intervals" not in best:
        return "How sure this is was not asked: uncertainty: 20 in the question says it."
    chance = best["intervals"]["probability_of_all"]
    said = f"Within the model's own error, all objectives hold in {chance:.0%} of the cases"
    safer = [row for row in facts["deployments"] if row["intervals"]["probability_of_all"] >= SURE]
    if chance >= SURE or not safer:
        return f"{said}."
    more = safer[0]["usd_per_hour"] / best["usd_per_hour"] - 1
    held = safer[0]["intervals"]["probability_of_all"]
    return f"{said}; {safer[0]['replicas']} x {safer[0]['deployment']} holds them in {held:.0%} for {more:.1%} more."


def _runners_up(facts: dict[str, Any], best: dict[str, Any]) -> list[str]:
    """What else was nearly as good."""
    others = [*facts["deployments"][1:], *facts["also"]]
    near = [row for row in others if row["usd_per_hour"] <= best["usd_per_hour"] * (1 + NEARLY)]
    if not others:
        return ["Nothing else that was simulated meets every objective."]
    more = others[0]["usd_per_hour"] / best["usd_per_hour"] - 1
    dearer = f"costs {more:.1%} more" if more > 0 else "costs the same"
    within = f"; {len(near)} are within {NEARLY:.0%} of its cost" if len(near) > 1 else ""
    return [f"Next best is {others[0]['deployment']}, which {dearer}{within}."]


def _relaxing(facts: dict[str, Any]) -> str:
    return str(facts["relaxing"]["sentence"])
