"""The report's figures as SVG texts, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulator.engine.recorder import Floats
from simulator.report.sections import Figure
from simulator.report.serving import series
from simulator.report.serving.power import row_power
from simulator.report.serving.requests import latencies
from simulator.report.serving.roofline import roofline
from simulator.report.serving.step_time import KINDS, Spent, by
from simulator.report.svg import PALETTE, SHADES, WAITS, decades, stacked_bars
from simulator.report.svg import drawing as _figure
from simulator.report.svg import svg as _svg

if TYPE_CHECKING:
    from simulator.experiment import Result

POINTS = 400
IDLE = "#c9d0d8"
OPERATORS = dict(
    zip(
        ("products", "attention", "collectives", "experts", "host", "pointwise operators", "waiting", "host copies"),
        SHADES, strict=False,
    )
)  # fmt: skip


def all_figures(result: Result, spent: Sequence[Spent]) -> list[Figure]:
    """Title, explanation and SVG of each figure; those of iterations are left out where none were kept."""
    figures = [
        ("Latency", "Share of requests that took at most so long.", latency(result)),
        ("Load", "Requests a second as they arrive and finish.", load(result)),
        ("Waiting and running", "Requests in all replicas, averaged over each interval.", queue(result)),
    ]
    if len(np.unique(result.request_columns["replica"])) > 1:
        about = "Requests that wait for or run on the least and the most loaded replica, and on the mean one."
        figures.append(("Load of the replicas", about, replicas(result)))
    if len(result.iteration_columns["start_s"]):
        figures += [
            ("Tokens", "Prompt tokens computed and output tokens generated a second.", tokens(result)),
            ("KV cache", "Share of all KV blocks that sequences hold.", kv(result)),
            ("Power", power_of_what(result), power(result)),
            (
                "Roofline",
                "Iterations by arithmetic intensity and rate of one device; the larger a mark, the more time it took.",
                roofline(result),
            ),
            ("Where the time goes", "By kind of iteration and of operator.", operators(result, spent)),
        ]
    return figures


def planned_figures(result: Result, spent: Mapping[str, Sequence[Spent]]) -> list[Figure]:
    """The figures of requests that are planned calls to several pools; `spent` is each pool's time of iterations."""
    figures = [
        ("Latency", "Share of whole requests that took at most so long.", latency(result)),
        ("Load", "Requests a second as they arrive and as their answers are back.", load(result)),
    ]
    if spent:
        figures += [
            ("Tokens", "Prompt and output tokens a second in all pools together.", tokens(result)),
            ("Where the time goes", "Of each pool, by kind of operator.", pool_operators(spent)),
        ]
    return figures


def latency(result: Result) -> str:
    """Distribution functions of TTFT, TPOT and E2E with their P50 and P99."""
    figure, axes = _figure()
    times = latencies(result)
    for (name, label), colour in zip((("ttft", "TTFT"), ("tpot", "TPOT"), ("e2e", "E2E")), PALETTE, strict=False):
        values = np.sort(times[name][~np.isnan(times[name])]) * 1e3
        if not len(values):
            continue
        share = np.linspace(0, 1, min(POINTS, max(2, len(values))))
        axes.plot(np.maximum(np.quantile(values, share), 1e-3), share, color=colour, label=label)
        for mark in (0.5, 0.99):
            axes.plot(max(float(np.quantile(values, mark)), 1e-3), mark, "o", color=colour, markersize=4)
    decades(axes)
    axes.set(xlabel="milliseconds (marks: P50, P99)", ylabel="share of requests", ylim=(0, 1.02))
    return _svg(figure, axes)


def load(result: Result) -> str:
    """Arrivals and completions a second."""
    edges = series.bin_edges(result)
    arrived, finished = series.request_rates(result, edges)
    return _over_time(edges, [("arriving", arrived), ("finishing", finished)], "requests a second")


def queue(result: Result) -> str:
    """Waiting and running requests."""
    edges = series.bin_edges(result)
    waiting, running = series.waiting_and_running(result, edges)
    return _over_time(edges, [("running", running), ("waiting", waiting)], "requests")


def tokens(result: Result) -> str:
    """Prompt and output tokens a second."""
    edges = series.bin_edges(result)
    prompt, output = series.token_rates(result, edges)
    return _over_time(edges, [("prompt", prompt), ("output", output)], "tokens a second")


def kv(result: Result) -> str:
    """KV blocks held."""
    edges = series.bin_edges(result)
    return _over_time(edges, [("held", series.kv_utilisation(result, edges) * 100)], "per cent of blocks")


def power_of_what(result: Result) -> str:
    """Whose power the figure shows."""
    if result.power is None:
        return "All devices together, idle power included."
    return "All servers together against their budget, and the highest power within each interval."


def power(result: Result) -> str:
    """Power of all devices; of all servers, with their budget and their peaks, where they have one."""
    edges = series.bin_edges(result)
    lines = [("power", series.total_power(result, edges) / 1e3)]
    if result.power is not None:
        rule = result.power.rule
        host, flat = rule.host_w * len(rule.servers) / 1e3, np.ones(len(edges) - 1)
        peaks = series.highest(edges, *row_power(result)) / 1e3
        lines = [("mean", lines[0][1] + host), ("highest", peaks), ("budget", flat * rule.budget_w / 1e3)]
    return _over_time(edges, lines, "kilowatts")


def operators(result: Result, spent: Sequence[Spent]) -> str:
    """One bar a kind of iteration, of the kinds of operator that it was spent on, and one for idle time."""
    whole, families = series.lane_seconds(result), list(by(spent, "family"))
    bars = {kind: [0.0] * len(families) for kind in KINDS if any(one.kind == kind for one in spent)}
    for one in spent:
        bars[one.kind][families.index(one.family)] += one.seconds / whole * 100
    idle = max(0.0, 100.0 - sum(map(sum, bars.values())))
    values = [*([*bar, 0.0] for bar in bars.values()), [0.0] * len(families) + [idle]]
    colours = [OPERATORS.get(family, WAITS) for family in families]
    totals = [f"{sum(bar):.1f} %" for bar in values]
    return stacked_bars(
        [*bars, "idle"], values, [*families, "idle"], [*colours, IDLE], "per cent of the replicas' time", totals
    )


def pool_operators(spent: Mapping[str, Sequence[Spent]]) -> str:
    """One bar a pool, of the kinds of operator that its iterations were spent on."""
    times = {name: by(one, "family") for name, one in spent.items()}
    families = list(dict.fromkeys(family for found in times.values() for family in found))
    values = [[found.get(family, 0.0) for family in families] for found in times.values()]
    colours = [OPERATORS.get(family, WAITS) for family in families]
    return stacked_bars(
        list(times), values, families, colours, "replica-seconds", [f"{sum(bar):,.1f} s" for bar in values]
    )


def replicas(result: Result) -> str:
    """Requests that wait for or run on the least and the most loaded replica, and on the mean one."""
    edges = series.bin_edges(result)
    least, mean, most = series.spread_of_replicas(result, edges)
    return _over_time(edges, [("mean", mean), ("most loaded", most), ("least loaded", least)], "requests")


def _over_time(edges: Floats, lines: list[tuple[str, Floats]], unit: str) -> str:
    figure, axes = _figure(height=2.4)
    minutes = edges[-1] - edges[0] > 600
    scale = 60.0 if minutes else 1.0
    for (label, values), colour in zip(lines, PALETTE, strict=False):
        axes.stairs(values, (edges - edges[0]) / scale, color=colour, label=label, linewidth=1.1)
    axes.set(xlabel="minutes" if minutes else "seconds", ylabel=unit)
    axes.set_xlim(0, (edges[-1] - edges[0]) / scale)
    axes.set_ylim(bottom=0)
    return _svg(figure, axes, legend=len(lines) > 1)
