"""A plan on the terminal: ranked deployments, what binds the best, and what would relax it."""

from __future__ import annotations

from typing import Any

from simulator.report.terminal import console as terminal
from simulator.report.terminal import table as terminal_table

COLUMNS = (
    "deployment", "replicas", "devices", "USD/h", "USD/M tokens", "TTFT P99", "TPOT P99", "E2E P99", "J/token",
    "of limit", "KV room", "load room",
)  # fmt: skip
RIGHT = COLUMNS[1:]


def print_plan(facts: dict[str, Any]) -> None:
    """The ranked table of a plan and its sentences."""
    console = terminal()
    table = terminal_table(console, title(facts), *((c, "right" if c in RIGHT else "left") for c in COLUMNS))
    for row in facts["deployments"]:
        table.add_row(*cells(row))
    for row in facts["also"][:5]:
        table.add_row(*cells(row))
    console.print(table)
    for line in sentences(facts):
        console.print(line, markup=False, highlight=False)


def title(facts: dict[str, Any]) -> str:
    """The model, the load and the verdict in one line."""
    load = facts["load"]
    grown = f" at {load['growth']:g} times its rate" if load["growth"] != 1 else ""
    verdict = "deployments that meet every objective, cheapest first"
    if not facts["feasible"]:
        verdict = "no deployment meets every objective; the closest"
    requests = f"{load['requests']:,} requests of {load['name']}"
    if load["name"] == "generated":
        requests = f"{load['requests']:,} generated requests"
    return f"{facts['model']} under {requests}{grown}: {verdict}"


def cells(row: dict[str, Any]) -> list[str]:
    """One row of the ranked table in the order of `COLUMNS`; latencies in milliseconds."""
    p99 = row["latency_p99_ms"]
    spare = f" + {row['spare_replicas']}" if row["spare_replicas"] else ""
    return [
        row["deployment"],
        f"{row['replicas']}{spare}",
        f"{row['devices']:,}",
        f"{row['usd_per_hour']:,.2f}",
        f"{row['usd_per_million_tokens']:,.3f}",
        *(_number(p99.get(metric), ",.1f") for metric in ("ttft", "tpot", "e2e")),
        _number(row["j_per_token"], ",.3f"),
        _number(row["share_of_tightest_limit"], ".0%"),
        _number(row["kv_headroom"], ".0%"),
        _number(row.get("load_headroom"), "+.0%"),
    ]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def sentences(facts: dict[str, Any]) -> list[str]:
    """What binds, what would relax it, how sure it is, and how it was searched."""
    found = []
    if facts["deployments"]:
        best = facts["deployments"][0]
        found.append(f"binding: {best['binding']['sentence']}")
        intervals = best.get("intervals")
        if intervals:
            n = intervals["figures"]["replications"]
            each = ", ".join(f"{name} {p:.0%}" for name, p in intervals["probability"].items())
            found.append(f"all objectives hold in {intervals['probability_of_all']:.0%} of {n} replications ({each})")
    found.append(f"relaxing: {facts['relaxing']['sentence']}")
    return [*found, searched(facts)]


def searched(facts: dict[str, Any]) -> str:
    """How many candidates there were, and what became of them."""
    s = facts["search"]
    parts = [f"{count:,} {reason}" for reason, count in sorted(s["impossible"].items())]
    if s["too_dear"]:
        parts.append(f"{s['too_dear']:,} cannot be as cheap")
    parts.append(f"{s['simulated']:,} searched in {s['simulations']:,} simulations")
    return f"{s['considered']:,} candidates, {s['method']}: {'; '.join(parts)}"
