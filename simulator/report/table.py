"""Tables on the terminal; plain text of full width where the output is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from simulator.report.amounts import kilowatt_hours, watts
from simulator.report.serving.calls_table import calls_title, print_calls
from simulator.report.serving.finetuning import finetuning_lines
from simulator.report.terminal import console as _console
from simulator.report.terminal import table as _table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from simulator.published import Published, Sides

LATENCIES = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "E2E", "queue_wait": "queue wait"}
COLUMNS = {"mean": "mean", "p50": "P50", "p90": "P90", "p95": "P95", "p99": "P99", "max": "max"}
OVERLOAD_REQUESTS = 10
OVERLOAD_SHARE = 0.05
LEFT_OUT = {"rejected": "rejected", "shed": "shed", "skipped_rows": "rows skipped"}


def print_summary(summary: dict[str, Any]) -> None:
    """The headline figures of a run, its latencies, and what the times rest on."""
    if "calls" in summary:
        print_calls(summary, latency_rows(summary), list(COLUMNS.values()), overload(summary))
        return
    console = _console()
    table = _table(console, deployment_title(summary["deployment"]), ("", "left"), ("", "right"), ("", "left"))
    table.show_header = False
    for name, value, unit in headline(summary):
        table.add_row(name, value, unit)
    console.print(table)
    latencies = _table(console, "latency (ms)", ("", "left"), *((c, "right") for c in COLUMNS.values()))
    for key, label in LATENCIES.items():
        found = summary["latency_ms"][key]
        if found:
            latencies.add_row(label, *(f"{found[c]:,.2f}" for c in COLUMNS))
    console.print(latencies)
    if "intervals" in summary:
        console.print(_interval_table(console, summary["intervals"]))
    warning = overload(summary)
    if warning:
        console.print(warning, style="bold", markup=False)
    deployment = summary["deployment"]
    console.print(f"times: {deployment['calibration']}. {deployment['calibration_source']}", style="dim", markup=False)


def _interval_table(console: Console, found: dict[str, Any]) -> Table:
    """Intervals of the latencies, low to high."""
    title = f"{found['level']:.0%} intervals of the latencies (ms), from {found['replications']} replications"
    table = _table(console, title, ("", "left"), *((c, "right") for c in COLUMNS.values()))
    for key, label in LATENCIES.items():
        given = found["latency_ms"].get(key)
        if given:
            table.add_row(label, *("{:,.2f} - {:,.2f}".format(*given[c]) if c in given else "" for c in COLUMNS))
    return table


def latency_rows(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """The name and the milliseconds of each latency that there is, by `COLUMNS`."""
    found = summary["latency_ms"]
    return [(label, *(f"{found[key][c]:,.2f}" for c in COLUMNS)) for key, label in LATENCIES.items() if found[key]]


def headline(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and unit of each headline figure, in reading order."""
    return list(_headline(summary))


def _headline(s: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    requests, throughput, goodput = s["requests"], s["throughput"], s["goodput"]
    left_out = [f"{requests[k]:,} {w}" for k, w in LEFT_OUT.items() if requests[k]]
    yield "requests", f"{requests['finished']:,}", ", ".join(["finished", *left_out])
    yield "makespan", f"{s['makespan_s']:,.2f}", "s"
    yield "request throughput", f"{throughput['requests_per_s']:,.3f}", "requests/s"
    yield "prompt throughput", f"{throughput['prompt_tokens_per_s']:,.1f}", "tokens/s"
    yield "output throughput", f"{throughput['output_tokens_per_s']:,.1f}", "tokens/s"
    bounds = ", ".join(f"{k.removesuffix('_ms').upper()} <= {v:g} ms" for k, v in goodput["objectives"].items())
    yield (
        "goodput",
        f"{goodput['requests_per_s']:,.3f}",
        f"requests/s ({goodput['share']:.2%} meet {bounds or 'no objective'})",
    )
    if "finetuning" in s:
        yield from finetuning_lines(s["finetuning"])
    yield "preemptions", f"{s['preemptions']:,}", ""
    yield from _swapped(s.get("swapping"))
    cache = s["prefix_cache"]
    yield (
        "prefix-cache hit rate",
        f"{cache['hit_rate']:.2%}",
        f"{cache['hit_tokens']:,} of {cache['prompt_tokens']:,} prompt tokens",
    )
    if "kv_transfer" in s:
        moved = s["kv_transfer"]
        each = f"GB in {moved['transfers']:,}, {moved['mean_ms']:,.2f} ms each"
        yield "KV transfer", f"{moved['total_gb']:,.1f}", each
    if "split" in s:
        split = s["split"]
        seconds = f"of the units for prompts in the {split['both_phases_s']:,.1f} s in which both phases worked"
        yield "split", f"{split['mean_prompt_units']:.0%}", f"{seconds}, changed {split['changes']:,} times"
    yield from _roles(s)
    for name, tier in s.get("kv_tiers", {}).items():
        yield (
            f"{name} KV tier",
            f"{tier['hit_tokens']:,}",
            f"tokens loaded ({tier['loaded_gb']:,.2f} GB), {tier['written_gb']:,.2f} GB written, "
            f"{tier['resident_gb']:,.2f} of {tier['capacity_gb']:,.1f} GB in use at the end",
        )
    if "adapters" in s:
        a = s["adapters"]
        yield (
            "adapters",
            f"{a['resident_at_end']:,}",
            f"there at the end, {a['loads']:,} loads ({a['loaded_gb']:,.2f} GB), {a['evictions']:,} evictions, "
            f"{a['request_wait_s']:,.2f} s waited by {a['waiting_requests']:,} requests",
        )
    if "kv_cache" in s:
        kv, use = s["kv_cache"], s["utilisation"]
        yield (
            "KV-cache utilisation",
            f"{kv['mean_utilisation']:.2%}",
            f"mean, {kv['max_utilisation']:.2%} at most, of {kv['blocks']:,} blocks",
        )
        yield "busy", f"{use['busy']:.2%}", "of the time"
        yield "MFU", f"{use['mfu']:.2%}", f"{use['mfu_while_busy']:.2%} while busy"
        yield (
            "memory bandwidth in use",
            f"{use['memory_bandwidth']:.2%}",
            f"{use['memory_bandwidth_while_busy']:.2%} while busy",
        )
        if "feed_forward" in s:
            pool = s["feed_forward"]
            yield (
                "feed-forward pool busy",
                f"{pool['busy']:.2%}",
                f"of the time, its links {pool['link_busy']:.2%}; {pool['mfu_while_busy']:.2%} MFU and "
                f"{pool['memory_bandwidth_while_busy']:.2%} of memory bandwidth while busy",
            )
        energy, cost = s["energy"], s["cost"]
        yield (
            "energy",
            kilowatt_hours(energy["total_j"]),
            f"kWh, {energy['j_per_output_token']:,.2f} J an output token, mean power {watts(energy['mean_power_w'])}",
        )
        if "power" in s:
            yield from _power(s["power"])
        if cost["total_usd"] is not None:
            yield "cost", f"{cost['total_usd']:,.2f}", f"USD at {cost['usd_per_device_hour']:.2f} USD a device-hour"
            yield (
                "cost per million tokens",
                f"{cost['usd_per_million_tokens']:,.3f}",
                f"USD; {cost['usd_per_million_output_tokens']:,.3f} a million output tokens",
            )
    if "fleet" in s:
        fleet = s["fleet"]
        yield (
            "replicas",
            f"{fleet['mean_replicas']:,.2f}",
            f"on average, {fleet['most_replicas']:,} at most, {fleet['availability']:.2%} of their time not failed",
        )
        yield "failures", f"{fleet['failures']:,}", f"which interrupted {fleet['interrupted_requests']:,} requests"
    backlog = s["backlog"]
    yield (
        "backlog at last arrival",
        f"{backlog['requests_at_last_arrival']:,}",
        f"requests, growing by {backlog['growth_requests_per_s']:+,.3f} a second",
    )


def _power(row: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The row's power against its budget, and what capping did."""
    yield (
        "row power",
        f"{row['mean_w'] / 1e3:,.2f}",
        f"kW on average, {row['peak_w'] / 1e3:,.2f} kW at most, of {row['budget_w'] / 1e3:,.2f} kW; "
        f"{row['seconds_over_budget']:,.1f} s over it",
    )
    capped = [row[name]["capped_server_s"] for name in ("low_priority", "high_priority")]
    yield "power brakes", f"{row['brakes']:,}", f"{row['braked_s']:,.1f} s in all"
    yield "capped", f"{capped[0]:,.1f}", f"server-seconds of low priority, {capped[1]:,.1f} of high priority"


def _roles(s: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Replicas that computed prompts at times and decoded at others."""
    if "roles" in s:
        roles = s["roles"]
        times = ", ".join(f"{roles[f'{n}_replica_s']:,.0f} {n}" for n in ("prefill", "decode", "draining"))
        yield "changes of role", f"{roles['changes']:,}", f"replica-seconds: {times}"
    if "pairing" in s:
        pairs = s["pairing"]
        what = f"GB, {pairs['taken_over']:,} sequences taken over in {pairs['turns_at_prompts']:,} turns at prompts"
        yield "redundant KV caches", f"{pairs['redundant_gb']:,.1f}", what


def _swapped(swap: dict[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    """What went to host memory and came back, if anything can."""
    if swap is not None:
        yield (
            "swapped to host memory",
            f"{swap['tokens_out']:,}",
            f"tokens ({swap['out_gb']:,.2f} GB), {swap['tokens_in']:,} back ({swap['in_gb']:,.2f} GB), in "
            f"{swap['calls_out'] + swap['calls_in']:,} calls; iterations waited {swap['stall_s']:,.3f} s",
        )


def overload(summary: dict[str, Any]) -> str:
    """A sentence if the backlog kept growing while requests arrived, else nothing."""
    backlog, rate = summary["backlog"], summary["throughput"]["requests_per_s"]
    growth = backlog["growth_requests_per_s"]
    if backlog["requests_at_last_arrival"] <= OVERLOAD_REQUESTS or growth <= OVERLOAD_SHARE * rate:
        return ""
    return (
        f"overloaded: {backlog['requests_at_last_arrival']:,} requests were unfinished at the last arrival and the "
        f"backlog grew by {growth:,.2f} a second; latencies grow with the length of the trace"
    )


def print_published(found: Published, sides: Sides) -> None:
    """What a published system does against its baseline, and what its paper reports."""
    console = _console()
    measure = found.measure
    most = {"load": "requests a second and device within the objectives", "replicas": "replicas within the bounds"}
    what = measure.figure or most[measure.search]
    facts = {
        "paper": f"{found.paper.title}. {found.paper.source}",
        "measured": what,
        "baseline": f"{sides.baseline:,.4g}",
        "system": f"{sides.system:,.4g}",
        "predicted ratio": f"{sides.ratio:.2f}",
        "reported": f"{found.reported.ratio or 'not given'}: {found.reported.says}",
        "assumptions": found.assumptions,
    }
    if found.miss:
        facts["why they differ"] = found.miss
    console.print(found.name, style="bold", markup=False, highlight=False)
    for line in _lines(facts, 1):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    """A table of rows with equal keys."""
    console = _console()
    if not rows:
        console.print(f"{title}: none", markup=False)
        return
    numeric = {k for k in rows[0] if all(_is_number(row[k]) for row in rows)}
    table = _table(console, title, *((k, "right" if k in numeric else "left") for k in rows[0]))
    for row in rows:
        table.add_row(*(" ".join(str(value).split()) for value in row.values()))
    console.print(table)


def print_facts(name: str, facts: dict[str, Any]) -> None:
    """Nested facts, one a line."""
    console = _console()
    console.print(name, style="bold", markup=False, highlight=False)
    for line in _lines(facts, 1):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(facts: dict[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, depth + 1)
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            yield f"{indent}{key}:"
            for item in value:
                first, *rest = _lines(item, depth + 2)
                yield f"{indent}  - {first.strip()}"
                yield from rest
        else:
            yield f"{indent}{key}: {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return str(value).strip()


def _is_number(value: Any) -> bool:
    return str(value).replace(",", "").replace(".", "").replace("%", "").strip().isdigit()


def deployment_title(deployment: dict[str, Any]) -> str:
    """One line that says what serves: model, devices, replicas, layout, policy."""
    d = deployment
    if "pools" in d:
        return calls_title(d)
    replicas = f"{d['replicas']} replica{'s' if d['replicas'] > 1 else ''}"
    if "finetuning_replicas" in d:
        replicas += f" and {d['finetuning_replicas']} that fine-tune"
    layout = ", ".join([replicas, *(f"{k} parallel {v}" for k, v in d["parallel"].items() if v > 1)])
    if "feed_forward_pool" in d:
        return _two_sided_title(d, layout)
    if "prefill_pool" in d:
        p = d["prefill_pool"]
        if p["share_of_each"] < 1.0:
            return (
                f"{d['model']} on {d['devices']} x {d['device']} ({layout}), "
                f"prompts on {p['share_of_each']:.0%} of the units of each"
            )
        each = d["devices"] - p["devices"], p["devices"]
        return (
            f"{d['model']} decoding on {each[0]} x {d['device']} ({layout}), "
            f"prompts on {each[1]} x {p['device']} ({p['replicas']} replicas)"
        )
    before = f", prompts by {d['prompt_model']}," if "prompt_model" in d else ""
    return f"{d['model']}{before} on {d['devices']} x {d['device']} ({layout}; {d['policy']})"


def _two_sided_title(d: dict[str, Any], layout: str) -> str:
    """The line for layers that attend on some devices and feed forward on others."""
    pool, prompts = d["feed_forward_pool"], d.get("prefill_pool")
    attending = d["devices"] - pool["devices"] - (0 if prompts is None else prompts["devices"])
    sides = f"attention on {attending} x {d['device']}, feed-forward on {pool['devices']} x {pool['device']}"
    apart = "" if prompts is None else f", prompts on {prompts['devices']} x {prompts['device']}"
    return f"{d['model']}: {sides}{apart} ({layout}; {d['policy']})"
