"""The report's figures as SVG texts, readable on light and dark pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.recorder import Floats
from simulator.report import series
from simulator.report.power import row_power
from simulator.report.requests import latencies
from simulator.report.svg import INK, PALETTE
from simulator.report.svg import drawing as _figure
from simulator.report.svg import svg as _svg
from simulator.report.usage import peak_flops, pool_rows, work

if TYPE_CHECKING:
    from simulator.experiment import Result

POINTS = 400


def all_figures(result: Result) -> list[tuple[str, str, str]]:
    """Title, explanation and SVG of each figure; those of iterations are left out where none were kept."""
    figures = [
        ("Latency", "Share of requests that took at most so long.", latency(result)),
        ("Load", "Requests a second as they arrive and finish.", load(result)),
        ("Waiting and running", "Requests in all replicas, averaged over each interval.", queue(result)),
    ]
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
            ("Where the time goes", "Share of the replicas' time by kind of iteration.", shares(result)),
        ]
    return figures


def planned_figures(result: Result) -> list[tuple[str, str, str]]:
    """The figures of requests that are planned calls to several pools; tokens only where iterations were kept."""
    figures = [
        ("Latency", "Share of whole requests that took at most so long.", latency(result)),
        ("Load", "Requests a second as they arrive and as their answers are back.", load(result)),
    ]
    if len(result.iteration_columns["start_s"]):
        figures.append(("Tokens", "Prompt and output tokens a second in all pools together.", tokens(result)))
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
    axes.set_xscale("log")
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


def roofline(result: Result) -> str:
    """Iterations with and without prompt tokens under the roof of one device."""
    figure, axes = _figure()
    device = result.deployment.device
    peak, bandwidth = peak_flops(result.deployment), device.memory_bandwidth
    alike = [(pool.deployment, rows) for pool, rows in pool_rows(result) if pool.deployment.device.id == device.id]
    done = [work(rows, d) for d, rows in alike]
    flops, moved = (np.concatenate([pair[i] for pair in done]) for i in (0, 1))
    seconds = np.concatenate([(rows["end_s"] - rows["start_s"]) * d.parallel.pipeline for d, rows in alike])
    prefill_tokens = np.concatenate([rows["prefill_tokens"] for _, rows in alike])
    fine = (flops > 0) & (moved > 0) & (seconds > 0)
    intensity, rate = flops[fine] / moved[fine], flops[fine] / seconds[fine]
    prompts = prefill_tokens[fine] > 0
    for mask, label, colour in ((~prompts, "decode only", PALETTE[0]), (prompts, "with prompt tokens", PALETTE[1])):
        x, y, size = _clusters(intensity[mask], rate[mask], seconds[fine][mask])
        if len(x):
            axes.scatter(
                x, y / 1e12, s=8 + 160 * size / size.max(), color=colour, alpha=0.55, linewidths=0, label=label
            )
    ridge = peak / bandwidth
    low = min(float(intensity.min()), ridge) / 3 if len(intensity) else ridge / 100
    x = np.array([low, ridge, ridge * 30])
    axes.plot(x, np.minimum(x * bandwidth, peak) / 1e12, color=INK, linewidth=1.2)
    axes.annotate(f"{peak / 1e12:,.0f} TFLOP/s", (ridge * 1.3, peak / 1e12), color=INK, fontsize=8, va="bottom")
    axes.annotate(
        f"{bandwidth / 1e12:,.2f} TB/s",
        (low * 1.3, low * 1.3 * bandwidth / 1e12),
        color=INK,
        fontsize=8,
        va="bottom",
        ha="left",
        xytext=(0, 10),
        textcoords="offset points",
    )
    axes.set(xscale="log", yscale="log", xlabel="FLOP a byte moved", ylabel="TFLOP/s of one device")
    return _svg(figure, axes, location="lower right")


def shares(result: Result) -> str:
    """One bar a kind of iteration."""
    figure, axes = _figure(height=2.2)
    found = series.time_shares(result)
    colours = (PALETTE[1], PALETTE[3], PALETTE[0], "#9aa5b1")
    bars = axes.barh(list(found), [v * 100 for v in found.values()], color=colours)
    axes.bar_label(bars, [f"{v:.1%}" for v in found.values()], padding=4, color=INK, fontsize=9)
    axes.invert_yaxis()
    axes.set(xlabel="per cent of the replicas' time", xlim=(0, 112))
    return _svg(figure, axes, legend=False)


def _clusters(x: Floats, y: Floats, weight: Floats, cells: int = 24) -> tuple[Floats, Floats, Floats]:
    """At most cells squared points: the weighted middle and weight of each cell of a logarithmic grid."""
    if not len(x):
        return x, y, weight

    def cell(values: Floats) -> Any:
        logs = np.log(values)
        span = max(float(logs.max() - logs.min()), 1e-9)
        return np.minimum((logs - logs.min()) / span * cells, cells - 1).astype(np.int64)

    index = cell(x) * cells + cell(y)
    total = np.bincount(index, weight, cells * cells).astype(np.float64)
    used = total > 0
    return (
        np.bincount(index, x * weight, cells * cells)[used] / total[used],
        np.bincount(index, y * weight, cells * cells)[used] / total[used],
        total[used],
    )


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
