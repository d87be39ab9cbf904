"""Figures and a chart of an operator graph's memory on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.svg import INK, PALETTE, drawing, svg

if TYPE_CHECKING:
    from simulator.assembly.graph_memory import DeviceMemory
    from simulator.workloads.graphs.memory.plan import MemoryPlan

MB = 1e6


def memory_figures(memory: DeviceMemory) -> dict[str, Any]:
    """Sizes of the largest plan and of what is beside it; `lower_bound_mb` is what is alive at most at any time."""
    plan = memory.largest
    busiest = int(np.argmax(plan.live)) if len(plan.live) else 0
    return {
        "lower_bound_mb": plan.peak / MB,
        "arena_mb": plan.arena / MB,
        "fragmentation": plan.fragmentation,
        "weights_mb": memory.weights / MB,
        "used_mb": memory.used / MB,
        "capacity_mb": memory.capacity / MB,
        "paged_mb": memory.paged / MB,
        "buffers": len(plan.placements),
        "peak_at": plan.graph.nodes[busiest].name if plan.graph.nodes else "",
    }


def memory_rows(figures: dict[str, Any]) -> list[dict[str, str]]:
    """The figures in words."""
    rows = [
        {"memory": "activations alive at most", "value": f"{figures['lower_bound_mb']:,.3f} MB"},
        {"memory": "arena of activations", "value": f"{figures['arena_mb']:,.3f} MB"},
        {"memory": "empty at the peak", "value": f"{figures['fragmentation']:.1%}"},
        {"memory": "weights in memory", "value": f"{figures['weights_mb']:,.3f} MB"},
        {"memory": "used of", "value": f"{figures['used_mb']:,.3f} of {figures['capacity_mb']:,.3f} MB"},
        {"memory": "most is alive at", "value": figures["peak_at"]},
    ]
    paged = {"memory": "weights loaded an answer", "value": f"{figures['paged_mb']:,.3f} MB"}
    return [*rows, paged] if figures["paged_mb"] else rows


def memory_chart(plan: MemoryPlan) -> str:
    """Bytes of activations alive while each node runs, under the arena's size."""
    figure, axes = drawing(height=2.2)
    places = np.arange(len(plan.live) + 1)
    axes.stairs(plan.live / MB, places, fill=True, color=PALETTE[0], label="alive")
    axes.axhline(plan.arena / MB, color=INK, linewidth=1, linestyle="--", label="arena")
    axes.set(xlabel="node", ylabel="MB", xlim=(0, len(plan.live)), ylim=(0, 1.1 * plan.arena / MB))
    return svg(figure, axes)
