"""A cascade on the terminal, and the rows that its page shares with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.report.amounts import kilowatt_hours
from simulator.report.terminal import console as terminal
from simulator.report.terminal import table

Row = tuple[str, str, str]
POOL_COLUMNS = (
    "pool", "deployment", "calls", "answers", "prompt tokens", "output tokens", "call P50 (ms)", "call P99 (ms)",
    "busy", "MB sent", "USD", "paid by",
)  # fmt: skip


def print_calls(summary: dict[str, Any], latencies: list[tuple[str, ...]], columns: list[str], warning: str) -> None:
    """Headline figures, pools and latencies of whole requests (rows of texts, named by `columns`)."""
    console = terminal()
    headline = table(console, calls_title(summary["deployment"]), ("", "left"), ("", "right"), ("", "left"))
    headline.show_header = False
    for row in calls_headline(summary):
        headline.add_row(*row)
    console.print(headline)
    pools = table(console, "pools", *((name, "left" if n < 2 else "right") for n, name in enumerate(POOL_COLUMNS)))
    for cells in pool_cells(summary):
        pools.add_row(*cells)
    console.print(pools)
    made = table(console, "latency of whole requests (ms)", ("", "left"), *((c, "right") for c in columns))
    for cells in latencies:
        made.add_row(*cells)
    console.print(made)
    if warning:
        console.print(warning, style="bold", markup=False)
    deployment = summary["deployment"]
    console.print(f"times: {deployment['calibration']}. {deployment['calibration_source']}", style="dim", markup=False)


def calls_title(deployment: dict[str, Any]) -> str:
    """One line: the plan and the models that it calls."""
    pools = ", ".join(f"{name} ({pool['model']})" for name, pool in deployment["pools"].items())
    return f"plan {deployment['plan']} over {pools} on {deployment['devices']} devices"


def calls_headline(summary: dict[str, Any]) -> list[Row]:
    """Name, value and unit of each headline figure, in reading order."""
    return list(_headline(summary))


def _headline(s: dict[str, Any]) -> Iterator[Row]:
    requests, calls, goodput, cost = s["requests"], s["calls"], s["goodput"], s["cost"]
    left_out = [f"{requests[k]:,} {k.replace('_', ' ')}" for k in ("rejected", "shed", "skipped_rows") if requests[k]]
    yield "requests", f"{requests['finished']:,}", ", ".join(["finished", *left_out])
    yield "makespan", f"{s['makespan_s']:,.2f}", "s"
    yield "request throughput", f"{s['throughput']['requests_per_s']:,.3f}", "requests/s"
    bounds = ", ".join(f"{k.removesuffix('_ms').upper()} <= {v:g} ms" for k, v in goodput["objectives"].items())
    met = f"requests/s ({goodput['share']:.2%} meet {bounds or 'no objective'})"
    yield "goodput", f"{goodput['requests_per_s']:,.3f}", met
    roles = ", ".join(f"{count:,} {role}" for role, count in calls["by_role"].items())
    yield "calls", f"{calls['total']:,}", f"{calls['per_request']:,.2f} a request: {roles}"
    tokens = f"a request: {calls['prompt_tokens']:,} prompt and {calls['output_tokens']:,} output tokens in all"
    yield "tokens", f"{calls['tokens_per_request']:,.1f}", tokens
    cache = s["prefix_cache"]
    hits = f"{cache['hit_tokens']:,} of {cache['prompt_tokens']:,} prompt tokens"
    yield "prefix-cache hit rate", f"{cache['hit_rate']:.2%}", hits
    for name, group in s.get("groups", {}).items():
        share = f"times weights were loaded, {group['loading_s']:,.2f} s ({group['loading_share_of_time']:.1%} of it)"
        yield f"group {name}", f"{group['loads']:,}", share
    if "energy" in s:
        each = f"kWh, {s['energy']['j_per_output_token']:,.2f} J an output token"
        yield "energy", kilowatt_hours(s["energy"]["total_j"]), each
    if cost["total_usd"] is not None:
        paid = f"USD, {cost['token_priced_usd']:,.4f} of it by the token"
        yield "cost", f"{cost['total_usd']:,.4f}", paid
        yield "cost a thousand requests", f"{cost['usd_per_request'] * 1e3:,.3f}", "USD"
    backlog = s["backlog"]
    growing = f"requests, growing by {backlog['growth_requests_per_s']:+,.3f} a second"
    yield "backlog at last arrival", f"{backlog['requests_at_last_arrival']:,}", growing


def pool_cells(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """The cells of each pool under `POOL_COLUMNS`."""
    found = []
    for name, pool in summary["pools"].items():
        deployed = summary["deployment"]["pools"][name]
        e2e = pool["latency_ms"].get("e2e", {})
        price = "unknown" if pool["cost_usd"] is None else f"{pool['cost_usd']:,.4f}"
        found.append(
            (
                name,
                f"{deployed['model']} on {deployed['devices']} x {deployed['device']}",
                f"{pool['calls']:,}",
                f"{pool['answered_share']:.1%}",
                f"{pool['prompt_tokens']:,}",
                f"{pool['output_tokens']:,}",
                *(f"{e2e[p]:,.1f}" if e2e else "" for p in ("p50", "p99")),
                f"{pool['busy']:.1%}" if "busy" in pool else "",
                f"{pool['sent_mb']:,.3f}",
                price,
                "device-hour" if pool["token_cost_usd"] is None else "token",
            )
        )
    return found
