"""The page of an operator graph on a device: latency, where the time goes and what bounds it."""

from __future__ import annotations

from simulator.inference import InferenceResult
from simulator.report.graph_memory import memory_chart
from simulator.report.inference import SLOWEST, inference_tables, inference_title
from simulator.report.sections import Section, again, sectioned_page, table_sections
from simulator.report.svg import INK, PALETTE, WAITS, drawing, svg


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
            Section("Figures of an answer", headline),
            Section(
                "Charts",
                figures=[
                    ("Where the time goes", "By type of operator.", _bars(slowest)),
                    ("What bounds it", "Of kernels the tightest roof.", _bars(summary["time_by_bound_ms"])),
                    *_memory(result),
                ],
            ),
            *table_sections(others),
            again(scenario, "simulator run scenario.yaml --out out/"),
        ],
    )


def _memory(result: InferenceResult) -> list[tuple[str, str, str]]:
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
