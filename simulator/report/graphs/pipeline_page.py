"""The page of a pipeline: latencies, where an item's time goes, and how many are there over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.graphs.pipeline_tables import pipeline_tables
from simulator.report.sections import Answer, Figure, KeyFigure, Section, again, sectioned_page, table_sections
from simulator.report.svg import PALETTE, drawing, legend_above, svg

if TYPE_CHECKING:
    from simulator.pipelines import PipelineResult

POINTS = 300
PARTS = ("queue", "service", "transfer")


def pipeline_page(result: PipelineResult) -> str:
    """The page as text; the same result gives the same bytes."""
    summary, items = result.summary, result.summary["items"]
    (title, headline), *others = pipeline_tables(summary)
    return sectioned_page(
        result.scenario.name or title,
        f"{items['created']:,} items in {summary['makespan_s']:,.4g} s",
        [
            Section("Charts", figures=list(_figures(result))),
            Section("Figures of the items", headline),
            *table_sections(others),
            again(result.scenario, "simulator run scenario.yaml --out out/"),
        ],
        _answer(summary),
    )


def _answer(summary: dict[str, Any]) -> Answer:
    """How quickly items come through, how many do not, and what is busiest."""
    items, latency = summary["items"], summary["latency_ms"]
    figures = [
        KeyFigure("Latency, P99", f"{latency['p99']:,.4g}", "ms", f"mean {latency['mean']:,.4g}"),
        KeyFigure("Throughput", f"{items['throughput_per_s']:,.4g}", "items/s"),
        KeyFigure("Completed", f"{items['completed'] / items['created']:.1%}", "", f"of {items['created']:,} items"),
    ]
    if items["deadline_misses"]:
        missed = items["deadline_misses"] / items["created"]
        figures.append(KeyFigure("Deadlines missed", f"{missed:.1%}", between=f"{items['deadline_misses']:,} items"))
    if summary["energy_j"]:
        figures.append(KeyFigure("Energy an item", f"{summary['energy_per_item_j']:,.3g}", "J"))
    said = []
    if summary["breakdown_ms"]:
        spent = {name: sum(parts.values()) for name, parts in summary["breakdown_ms"].items()}
        longest = max(spent, key=lambda name: spent[name])
        share = spent[longest] / sum(spent.values()) if sum(spent.values()) else 0.0
        said.append(f"A completed item spends most of its time at {longest}: {spent[longest]:,.4g} ms ({share:.0%}).")
    busy = {name: row["utilisation"] for name, row in {**summary["stages"], **summary["resources"]}.items()}
    busiest = max(busy, key=lambda name: busy[name])
    said.append(f"The busiest part is {busiest}, {busy[busiest]:.0%} of the time.")
    return Answer(figures, said)


def _figures(result: PipelineResult) -> Iterator[Figure]:
    if result.summary["items"]["completed"]:
        yield "Latency of completed items", "Share of each source's items that took at most so long.", latencies(result)
        if result.summary["breakdown_ms"]:
            yield "Where an item's time goes", "Mean of a completed item, by stage.", breakdown(result)
    yield "Items in the pipeline", "Created and neither completed nor dropped yet.", present(result)


def latencies(result: PipelineResult) -> str:
    """Distribution functions of the latencies, a line a source."""
    figure, axes = drawing()
    share = np.linspace(0.0, 1.0, POINTS)
    for number, source in enumerate(result.scenario.sources):
        own = [i.closed - i.created for i in result.outcome.items if i.source == source and i.closed and i.completed]
        if own:
            colour = PALETTE[number % len(PALETTE)]
            axes.plot(np.quantile(own, share) * 1e3, share, label=source, color=colour, linewidth=1.4)
    axes.set(xlabel="ms", ylabel="share", ylim=(0, 1.02))
    legend_above(axes)
    return svg(figure, axes, legend=False)


def breakdown(result: PipelineResult) -> str:
    """A bar a stage: waiting, service and the way to the next."""
    figure, axes = drawing()
    rows = result.summary["breakdown_ms"]
    below = np.zeros(len(rows))
    for part, colour in zip(PARTS, PALETTE, strict=False):
        heights = np.array([row[part] for row in rows.values()])
        axes.bar(list(rows), heights, bottom=below, label=part, color=colour, linewidth=0)
        below += heights
    axes.set_axisbelow(True)
    axes.set(ylabel="ms")
    legend_above(axes)
    return svg(figure, axes, legend=False)


def present(result: PipelineResult) -> str:
    """Items that are there, over time."""
    figure, axes = drawing()
    items, end = result.outcome.items, result.outcome.makespan
    came = np.sort([i.created for i in items])
    left = np.sort([i.closed for i in items if i.closed is not None])
    times = np.linspace(0.0, end, POINTS)
    there = np.searchsorted(came, times, side="right") - np.searchsorted(left, times, side="right")
    axes.step(times, there, where="post", color=PALETTE[0], linewidth=1.2)
    axes.set(xlabel="seconds", ylabel="items", xlim=(0, end or 1.0), ylim=(0, None))
    return svg(figure, axes, legend=False)
