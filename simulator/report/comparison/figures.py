"""The figures of a comparison as SVG texts."""

from __future__ import annotations

import numpy as np

from simulator.comparison.compare import Comparison
from simulator.comparison.metrics import REQUEST_METRICS, RequestMetric
from simulator.comparison.phases import PHASES
from simulator.report.serving import series
from simulator.report.serving.figures import OPERATORS
from simulator.report.serving.step_time import by
from simulator.report.serving.step_time import step_time as spent
from simulator.report.svg import INK, PALETTE, WAITS, decades, drawing, stacked_bars, svg

POINTS = 200
BINS = 120
BARS = 60
# Differences beyond these percentiles are counted in the outermost bars.
OUTERMOST = (1.0, 99.0)
DASHES = ("-", "--", ":", "-.")
PHASE_COLOURS = (WAITS, PALETTE[1], PALETTE[4], PALETTE[3], PALETTE[0])
PHASE_NAMES = ("queue", "prefill", "stalled", "beside prompts", "decode")
KIND_COLOURS = {"prefill": PALETTE[1], "mixed": PALETTE[3], "decode": PALETTE[0], "idle": WAITS}
LATENCIES = tuple(m for m in REQUEST_METRICS if m.name in ("ttft", "tpot", "e2e"))


def overall_figures(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Title, explanation and SVG of each figure that shows all scenarios."""
    about = "; ".join(f"{short}: {text}" for short, text in zip(PHASE_NAMES, PHASES.values(), strict=True))
    return [
        *(
            (m.label, "Share of the paired requests that took at most so long.", cdf(comparison, m))
            for m in LATENCIES
            if _known(comparison, m)
        ),
        ("Where a request's time goes", f"Mean of all requests; {about}.", request_time(comparison)),
        ("Where the replicas' time goes", "Share of it by kind of iteration.", step_time(comparison)),
        ("What the replicas compute", "Busy time by kind of operator.", operator_time(comparison)),
        ("Running", "Requests that all replicas serve, over time.", over_time(comparison, running=True)),
        ("Waiting", "Requests that wait for their first iteration, over time.", over_time(comparison, running=False)),
    ]


def difference_figures(comparison: Comparison, scenario: int) -> list[tuple[str, str, str]]:
    """Title, explanation and SVG of the paired differences of one scenario from the baseline."""
    return [
        (
            f"{m.label}: each request's difference",
            "Left of zero the request is faster than in the baseline. Bars at the ends hold all beyond.",
            differences(comparison, m, scenario),
        )
        for m in LATENCIES
        if _known(comparison, m)
    ]


def cdf(comparison: Comparison, metric: RequestMetric) -> str:
    """Distribution functions of one latency in all scenarios, with P50 and P99 marked."""
    figure, axes = drawing()
    for i, label in enumerate(comparison.labels):
        values = comparison.pairs.of(metric.name, i)[2] * metric.scale
        share = np.linspace(0, 1, min(POINTS, max(2, len(values))))
        colour, dash = PALETTE[i % len(PALETTE)], DASHES[i // len(PALETTE) % len(DASHES)]
        axes.plot(np.maximum(np.quantile(values, share), 1e-3), share, dash, color=colour, label=label)
        for mark in (0.5, 0.99):
            axes.plot(max(float(np.quantile(values, mark)), 1e-3), mark, "o", color=colour, markersize=4)
    decades(axes)
    axes.set(xlabel="milliseconds (marks: P50, P99)", ylabel="share of requests", ylim=(0, 1.02))
    return svg(figure, axes)


def differences(comparison: Comparison, metric: RequestMetric, scenario: int) -> str:
    """Histogram of one scenario's paired differences."""
    figure, axes = drawing(height=2.4)
    _, base, other = comparison.pairs.of(metric.name, scenario)
    change = (other - base) * metric.scale
    low, high = (float(end) for end in np.percentile(change, OUTERMOST))
    width = max(max(high, 0.0) - min(low, 0.0), 1e-3) / BARS
    edges = width * np.arange(np.floor(low / width) if low < 0 else -1, (np.ceil(high / width) if high > 0 else 1) + 1)
    counts, _ = np.histogram(np.clip(change, edges[0], edges[-1]), edges)
    colours = np.where(edges[1:] <= width / 2, PALETTE[2], PALETTE[1])
    axes.bar(edges[:-1], counts, width, align="edge", color=colours, linewidth=0)
    axes.set_axisbelow(True)
    axes.axvline(0.0, color=INK, linewidth=1.0)
    axes.axvline(float(change.mean()), color=INK, linewidth=1.0, linestyle="--", label=f"mean {change.mean():+,.2f} ms")
    axes.set(xlabel="milliseconds more than in the baseline", ylabel="requests")
    return svg(figure, axes)


def request_time(comparison: Comparison) -> str:
    """Stacked bars of the mean time of a request by phase."""
    found = [[s["request_time_ms"][name] for name in PHASES] for s in comparison.summary["scenarios"]]
    return stacked_bars(comparison.labels, found, PHASE_NAMES, PHASE_COLOURS, "milliseconds")


def step_time(comparison: Comparison) -> str:
    """Stacked bars of the shares of the replicas' time by kind of iteration."""
    found = [[s["time_shares"][kind] * 100 for kind in KIND_COLOURS] for s in comparison.summary["scenarios"]]
    return stacked_bars(
        comparison.labels, found, tuple(KIND_COLOURS), tuple(KIND_COLOURS.values()), "per cent of the replicas' time"
    )


def operator_time(comparison: Comparison) -> str:
    """Stacked bars of the replicas' busy seconds by kind of operator."""
    times = [by(spent(result), "family") for result in comparison.results]
    families = list(dict.fromkeys(family for found in times for family in found))
    values = [[found.get(family, 0.0) for family in families] for found in times]
    colours = [OPERATORS.get(family, WAITS) for family in families]
    totals = [f"{sum(bar):,.0f} s" for bar in values]
    return stacked_bars(comparison.labels, values, families, colours, "replica-seconds", totals)


def over_time(comparison: Comparison, *, running: bool) -> str:
    """Requests that run, or that wait, in each scenario."""
    figure, axes = drawing(height=2.4)
    for i, (label, result) in enumerate(zip(comparison.labels, comparison.results, strict=True)):
        edges = series.bin_edges(result, BINS)
        values = series.waiting_and_running(result, edges)[running]
        axes.stairs(values, edges - edges[0], color=PALETTE[i % len(PALETTE)], label=label, linewidth=1.1)
    axes.set(xlabel="seconds", ylabel="requests")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    return svg(figure, axes)


def _known(comparison: Comparison, metric: RequestMetric) -> bool:
    return bool(comparison.pairs.of(metric.name, 0)[0].any())
