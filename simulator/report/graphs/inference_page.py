"""The page of an operator graph on a device: latency, where the time goes and what bounds it."""

from __future__ import annotations

from typing import Any

from simulator.inference import InferenceResult
from simulator.report.graphs.inference import SLOWEST, inference_tables, inference_title
from simulator.report.graphs.kernel_figures import kernel_roofline
from simulator.report.graphs.memory import memory_chart
from simulator.report.graphs.operators import longest_rows
from simulator.report.sections import Answer, Figure, KeyFigure, Section, again, sectioned_page, table_sections
from simulator.report.svg import INK, PALETTE, WAITS, drawing, svg
from simulator.report.training.answer import large

MOST_ROWS = 60


def inference_page(result: InferenceResult) -> str:
    """The page as text; the same result gives the same bytes."""
    summary, scenario = result.summary, result.scenario
    title = inference_title(summary)
    (_, headline), *others = inference_tables(summary)
    slowest = dict(list(summary["time_by_type_ms"].items())[:SLOWEST])
    return sectioned_page(
        scenario.name or title,
        f"{title + '; ' if scenario.name else ''}batch {scenario.batch}, {scenario.format}, {scenario.runtime}",
        [
            Section(
                "Charts",
                figures=[
                    ("Where the time goes", "By type of operator.", _bars(slowest)),
                    ("What bounds it", "Of kernels the tightest roof.", _bars(summary["time_by_bound_ms"])),
                    *_roofline(result),
                    *_memory(result),
                ],
            ),
            Section("Figures of an answer", headline),
            *table_sections(others),
            Section("Kernels that take longest", longest_rows(result, MOST_ROWS), "operators.parquet has them all."),
            Section("What the times rest on", sentences=[f"{summary['calibration']}. {summary['calibration_source']}"]),
            again(scenario, "simulator run scenario.yaml --out out/"),
        ],
        _answer(summary),
    )


def _answer(summary: dict[str, Any]) -> Answer:
    """How quick an answer is, and what most of its time goes to."""
    whole = summary["latency_ms"]
    figures = [
        KeyFigure("Latency", f"{whole:,.4g}", "ms"),
        KeyFigure("Throughput", f"{summary['throughput_per_s']:,.4g}", "/s"),
        KeyFigure("Of peak arithmetic", f"{summary['share_of_peak_flops']:.1%}"),
        KeyFigure(
            "Memory", f"{summary['weights_mb'] + summary['peak_activation_mb']:,.4g}", "MB", "weights and activations"
        ),
    ]
    if summary["energy_mj"]:
        figures.append(KeyFigure("Energy", *large(summary["energy_mj"], "mJ")))
    kind, bound = next(iter(summary["time_by_type_ms"].items())), next(iter(summary["time_by_bound_ms"].items()))
    said = (
        f"Most of the time goes to {kind[0]} ({kind[1] / whole:.0%}); what bounds most of it is {bound[0]} "
        f"({bound[1] / whole:.0%})."
    )
    return Answer(figures, [said])


def _roofline(result: InferenceResult) -> list[Figure]:
    drawn = kernel_roofline(result)
    about = f"Kernels under the roof of {result.law.device.id}; the larger a mark, the more time it takes."
    return [] if drawn is None else [("Roofline", about, drawn)]


def _memory(result: InferenceResult) -> list[Figure]:
    if result.memory is None or not result.memory.largest.placements:
        return []
    caption = "Activations alive while each node runs, and the arena that holds them."
    return [("Memory over the nodes", caption, memory_chart(result.memory.largest))]


def _bars(parts: dict[str, float]) -> str:
    """A bar a part, in milliseconds; grey are waits."""
    figure, axes = drawing(height=0.8 + 0.24 * len(parts))
    colours = [WAITS if name in ("host", "paging") else PALETTE[0] for name in parts]
    bars = axes.barh(list(parts), list(parts.values()), color=colours)
    axes.bar_label(bars, [f"{ms:,.3g}" for ms in parts.values()], padding=4, color=INK, fontsize=8)
    axes.set_axisbelow(True)
    axes.invert_yaxis()
    axes.set(xlabel="ms", xlim=(0, 1.15 * max(parts.values())))
    return svg(figure, axes, legend=False)
