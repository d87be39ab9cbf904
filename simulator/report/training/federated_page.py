"""The page of federated training: updates over time, how stale they are, who takes part, and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.federated.gathering import Gathered
from simulator.federated import FederatedResult
from simulator.report.amounts import figure_text
from simulator.report.sections import Answer, Figure, KeyFigure, Section, again, sectioned_page, table_sections
from simulator.report.svg import INK, PALETTE, WAITS, drawing, legend_above, svg
from simulator.report.training.federated import federation_tables

Floats = NDArray[np.float64]
INTERVALS = 100
GROUPS = 10
BARS = 40


def federated_page(result: FederatedResult) -> str:
    """The page as text; the same result gives the same bytes."""
    summary, scenario = result.summary, result.scenario
    (_, headline), *others = federation_tables(summary)
    clients = f"{scenario.clients.count:,} clients, {scenario.server.policy}"
    return sectioned_page(
        scenario.name or clients,
        f"{clients}, uploads {scenario.upload.policy}; {summary['hours']:,.1f} hours",
        [
            Section("Charts", figures=list(_figures(result))),
            Section("Figures of the federation", headline),
            *table_sections(others),
            again(scenario),
        ],
        _answer(summary),
    )


def _answer(summary: dict[str, Any]) -> Answer:
    """How quickly the model changes, what of that is stale or given up, and what it costs the clients."""
    stale, energy, slow = summary["staleness"], sum(summary["energy_kwh"].values()), summary["slow_half_share"]
    figures = [
        KeyFigure("Updates of the model", figure_text(summary["model_updates_per_hour"]), "an hour"),
        KeyFigure("Updates of clients", figure_text(summary["client_updates_per_hour"]), "an hour"),
        KeyFigure("Given up", f"{summary['given_up_share']:.1%}", between="of updates of clients"),
        KeyFigure("Sent by clients", figure_text(summary["sent_gb"]), "GB"),
        KeyFigure("Energy of clients", figure_text(energy), "kWh"),
    ]
    if stale:
        figures.insert(3, KeyFigure("Staleness", f"{stale['mean']:.2f}", "updates", f"P99 {stale['p99']:.0f}"))
    if slow is None:
        return Answer(figures, ["No update of a client was taken in."])
    return Answer(figures, [f"The slower half of the clients makes {slow:.0%} of the updates that are taken in."])


def _figures(result: FederatedResult) -> Iterator[Figure]:
    found = result.gathered
    megabytes = result.upload.bits(result.scenario.model.parameters) / 8e6
    if not found.updates:
        return
    edges = np.linspace(0.0, found.seconds, INTERVALS + 1)
    yield "Updates of the model", "How many there had been.", model_updates(found.at, found.seconds)
    yield (
        "Updates of clients taken in",
        f"An hour, over each of {INTERVALS} equal intervals.",
        rate(found.at, np.diff(found.taken, prepend=0), edges),
    )
    if found.staleness.any():
        yield (
            "Staleness over time",
            "Updates of the model while an update of a client was made; mean and P90 of each interval.",
            staleness_over_time(np.repeat(found.at, np.diff(found.taken, prepend=0)), found.staleness, edges),
        )
        yield "Staleness", "Of all updates of clients taken in.", staleness(found.staleness)
    yield (
        "Who takes part",
        "Clients by the time of a local step, the quickest tenth first; dashed: all alike.",
        taking_part(result.clients.step, found.used),
    )
    yield (
        "Bytes that clients send",
        "Since the start, by the time of the model's updates; updates that are given up count whole.",
        sent(found, megabytes / 1e3),
    )


def model_updates(at: Floats, seconds: float) -> str:
    """How many updates of the model there had been, over time."""
    shown = _some(at.size)
    figure, axes = drawing()
    axes.step(
        [0.0, *at[shown] / 3600.0, seconds / 3600.0], [0, *(shown + 1), at.size], where="post", color=PALETTE[0],
        linewidth=1.4,
    )  # fmt: skip
    axes.set(xlabel="hours", ylabel="updates of the model", xlim=(0, seconds / 3600.0), ylim=(0, None))
    return svg(figure, axes, legend=False)


def rate(at: Floats, counts: NDArray[np.int64], edges: Floats) -> str:
    """Counts at certain seconds as a rate an hour within each interval."""
    taken, _ = np.histogram(at, edges, weights=counts)
    figure, axes = drawing()
    hours = edges / 3600.0
    axes.stairs(taken / np.diff(hours), hours, fill=True, color=PALETTE[0], alpha=0.8)
    axes.set_axisbelow(True)
    axes.set(xlabel="hours", ylabel="updates an hour", xlim=(0, hours[-1]), ylim=(0, None))
    return svg(figure, axes, legend=False)


def staleness_over_time(at: Floats, values: NDArray[np.int64], edges: Floats) -> str:
    """Mean and P90 of what falls into each interval; gaps where nothing does."""
    parts = np.split(values, np.searchsorted(at, edges[1:-1]))
    figure, axes = drawing()
    for name, colour, of in (("P90", PALETTE[1], lambda p: np.percentile(p, 90)), ("mean", PALETTE[0], np.mean)):
        line = [float(of(part)) if part.size else np.nan for part in parts]
        axes.stairs(line, edges / 3600.0, baseline=None, color=colour, label=name, linewidth=1.4)
    axes.set(xlabel="hours", ylabel="updates of the model", xlim=(0, edges[-1] / 3600.0))
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))
    legend_above(axes)
    return svg(figure, axes, legend=False)


def staleness(values: NDArray[np.int64]) -> str:
    """Histogram; whole numbers share a bar where there are many."""
    width = max(1, -(-(int(values.max()) + 1) // BARS))
    edges = np.arange(0, int(values.max()) + width + 1, width)
    counts, _ = np.histogram(values, edges)
    figure, axes = drawing()
    axes.bar(edges[:-1] - 0.5, 100.0 * counts / values.size, width, align="edge", color=PALETTE[0], linewidth=0)
    mean = float(values.mean())
    axes.axvline(mean, color=INK, linewidth=1.0, linestyle="--", label=f"mean {mean:,.2f}")
    axes.set_axisbelow(True)
    axes.set(xlabel="updates of the model while it was made", ylabel="per cent of updates")
    legend_above(axes)
    return svg(figure, axes, legend=False)


def taking_part(step: Floats, used: NDArray[np.int64]) -> str:
    """Shares of the updates by tenths of the clients, quickest first."""
    groups = np.array_split(used[np.argsort(step, kind="stable")], min(GROUPS, used.size))
    figure, axes = drawing()
    axes.bar(
        [str(i + 1) for i in range(len(groups))], [100.0 * int(g.sum()) / int(used.sum()) for g in groups],
        color=PALETTE[0], linewidth=0,
    )  # fmt: skip
    axes.axhline(100.0 / len(groups), color=INK, linewidth=1.0, linestyle="--")
    axes.set_axisbelow(True)
    axes.set(xlabel="clients, quickest first", ylabel="per cent of updates")
    return svg(figure, axes, legend=False)


def sent(found: Gathered, gigabytes: float) -> str:
    """Bytes of updates of so many gigabytes that were taken in, and those given up above them."""
    shown = _some(found.at.size)
    hours = np.concatenate([[0.0], found.at[shown] / 3600.0])
    low, high = (np.concatenate([[0.0], counts[shown] * gigabytes]) for counts in (found.taken, found.made))
    figure, axes = drawing()
    axes.fill_between(hours, 0.0, low, color=PALETTE[0], alpha=0.8, label="taken in", linewidth=0)
    if high[-1] > low[-1]:
        axes.fill_between(hours, low, high, color=WAITS, alpha=0.8, label="given up", linewidth=0)
    axes.set_axisbelow(True)
    axes.set(xlabel="hours", ylabel="GB", xlim=(0, found.seconds / 3600.0), ylim=(0, None))
    legend_above(axes)
    return svg(figure, axes, legend=False)


def _some(count: int) -> NDArray[np.int64]:
    """All places of a few, or some at even distances, the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, 4 * INTERVALS)).astype(np.int64))
