"""What a reader takes from the page of a serving run first: latencies, goodput, cost, energy, and what limits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.report.amounts import watts
from simulator.report.sections import Answer, KeyFigure
from simulator.report.table import overload


def serving_answer(summary: dict[str, Any], limit: str) -> Answer:
    """The head of the page of a run; `limit` says in a sentence what limits it. Intervals stand under the figures."""
    throughput = summary["throughput"]
    figures = [
        *latency_keys(summary, "p99", "ttft", "tpot"),
        KeyFigure(
            "Output throughput", amount(throughput["output_tokens_per_s"]), "tokens/s",
            _between(summary, "throughput", "output_tokens_per_s") or f"{throughput['requests_per_s']:,.3g} requests/s",
        ),
        goodput_key(summary),
        *money_and_energy(summary),
    ]  # fmt: skip
    return Answer(figures, [_met(summary), *([limit] if limit else [])], warnings(summary))


def calls_answer(summary: dict[str, Any], limit: str) -> Answer:
    """The head of the page of requests that are planned calls to several pools."""
    throughput, calls = summary["throughput"], summary["calls"]
    figures = [
        *latency_keys(summary, "p50", "e2e"),
        *latency_keys(summary, "p99", "e2e"),
        KeyFigure(
            "Throughput", amount(throughput["requests_per_s"]), "requests/s", f"{calls['per_request']:,.3g} calls each"
        ),
        goodput_key(summary),
    ]
    cost = summary["cost"]
    if cost["usd_per_request"] is not None:
        figures.append(KeyFigure("Cost of a thousand requests", amount(cost["usd_per_request"] * 1e3), "USD"))
    if "energy" in summary:
        each = summary["energy"]["total_j"] / summary["requests"]["finished"]
        figures.append(KeyFigure("Energy a request", amount(each), "J"))
    shares = [f"{name} {pool['answered_share']:.0%}" for name, pool in summary["pools"].items()]
    sentences = [_met(summary), f"Answers come from {', '.join(shares)} of the requests.", *([limit] if limit else [])]
    return Answer(figures, sentences, warnings(summary))


def latency_keys(summary: dict[str, Any], percentile: str, *metrics: str) -> list[KeyFigure]:
    """A percentile of each latency that there is, with its interval, or else the objective that it has."""
    found = []
    for metric in metrics:
        value = summary["latency_ms"][metric].get(percentile)
        if value is not None:
            objective = summary["goodput"]["objectives"].get(f"{metric}_ms")
            beside = "" if objective is None else f"objective {objective:,g} ms"
            interval = _between(summary, "latency_ms", metric, percentile)
            name = f"{percentile.upper()} {metric.upper()}"
            found.append(KeyFigure(name, amount(value), "ms", interval or beside))
    return found


def goodput_key(summary: dict[str, Any]) -> KeyFigure:
    """The share of the requests that meet their objectives, and their rate."""
    good = summary["goodput"]
    interval = _between(summary, "goodput", "share", form=".1%")
    rate = f"{good['requests_per_s']:,.3g} requests/s"
    return KeyFigure("Goodput", f"{good['share']:.1%}", "of requests", interval or rate)


def money_and_energy(summary: dict[str, Any]) -> list[KeyFigure]:
    """Cost and energy by output token, where they are known."""
    found, cost, energy = [], summary.get("cost", {}), summary.get("energy")
    each = cost.get("usd_per_million_output_tokens")
    if each is not None:
        hourly = f"{cost['total_usd'] / max(summary['makespan_s'], 1e-12) * 3600:,.2f} USD an hour"
        interval = _between(summary, "cost", "usd_per_million_output_tokens")
        found.append(KeyFigure("Cost a million output tokens", amount(each), "USD", interval or hourly))
    if energy is not None:
        interval = _between(summary, "energy", "j_per_output_token")
        mean = f"{watts(energy['mean_power_w'])} on average"
        found.append(KeyFigure("Energy an output token", amount(energy["j_per_output_token"]), "J", interval or mean))
    return found


def warnings(summary: dict[str, Any]) -> list[str]:
    """What makes the figures of a run other than they seem."""
    text = overload(summary)
    return [f"{text[0].upper()}{text[1:]}."] if text else []


def amount(value: float) -> str:
    """A figure in about three digits, and no fewer than its whole part has."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def stated(value: str, unit: str) -> str:
    """A figure of a run and its unit, or its value and what else there is to say of it."""
    return f"{value}, {unit}" if unit[:1].isdigit() else f"{value} {unit}".strip()


def _met(summary: dict[str, Any]) -> str:
    """How many requests were served how well."""
    good, requests = summary["goodput"], summary["requests"]["finished"]
    bounds = " and ".join(f"{k.removesuffix('_ms').upper()} ≤ {v:,g} ms" for k, v in good["objectives"].items())
    many = "request was" if requests == 1 else "requests were"
    served = f"{requests:,} {many} served in {summary['makespan_s']:,.4g} s"
    return f"{served}, {good['share']:.1%} of them with {bounds}." if bounds else f"{served}."


def _between(summary: Mapping[str, Any], *path: str, form: str = "") -> str:
    """The interval of a figure, where replications gave one."""
    found: Any = summary.get("intervals", {})
    for key in path:
        found = found.get(key, {})
    if not isinstance(found, Sequence):
        return ""
    low, high = (format(end, form) if form else amount(end) for end in found)
    return f"{summary['intervals']['level']:.0%}: {low} – {high}"
