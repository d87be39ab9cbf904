"""Kernels of an operator graph under the roof of their device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.hardware.formats import peak_of
from simulator.report.graphs.operators import operator_table
from simulator.report.live import name_marks
from simulator.report.svg import INK, SHADES, WAITS, decades, drawing, legend_above, svg

if TYPE_CHECKING:
    from simulator.inference import InferenceResult

# Kernels that take longest are drawn up to so many, their types by name up to as many as there is room for.
MOST_KERNELS, MOST_TYPES = 400, 6


def kernel_roofline(result: InferenceResult) -> str | None:
    """Each kernel by arithmetic intensity and rate, the larger a mark the more time; None without a roof or a kernel.

    The roof is that of the scenario's format and of the device's memory; a kernel whose data is in a cache may be above
    its slope.
    """
    device = result.law.device
    peak, bandwidth = peak_of(device, result.scenario.format), device.memory_bandwidth
    table = operator_table(result)
    table = table[(table["flops"] > 0) & (table["bytes"] > 0) & (table["seconds"] > 0)]
    if peak is None or not bandwidth or table.empty:
        return None
    table = table.assign(whole=table["seconds"] * table["part_times"]).nlargest(MOST_KERNELS, "whole")
    types = table.groupby("type")["whole"].sum().nlargest(MOST_TYPES).index
    intensity, rate = table["flops"] / table["bytes"], table["flops"] / table["seconds"]
    share, most = table["whole"] / result.seconds, float(table["whole"].max())
    names = [
        f"{node} ({kind}), {part:.1%} of the time, {bound}"
        for node, kind, part, bound in zip(table["node"], table["type"], share, table["bound"], strict=True)
    ]
    figure, axes = drawing(height=3.6)
    groups = [(str(kind), table["type"] == kind, colour) for kind, colour in zip(types, SHADES, strict=False)]
    for label, chosen, colour in [*groups, ("others", ~table["type"].isin(types), WAITS)]:
        if chosen.any():
            marks = axes.scatter(
                intensity[chosen], rate[chosen] / 1e12, s=10 + 150 * table["whole"][chosen] / most, color=colour,
                alpha=0.6, linewidths=0, label=label,
            )  # fmt: skip
            name_marks(marks, [name for name, own in zip(names, chosen, strict=True) if own])
    ridge = peak / bandwidth
    low, high = min(float(intensity.min()), ridge) / 3, max(float(intensity.max()), ridge) * 3
    x = np.array([low, ridge, high])
    axes.plot(x, np.minimum(x * bandwidth, peak) / 1e12, color=INK, linewidth=1.2)
    decades(axes)
    decades(axes, "y")
    axes.set(xlabel="FLOP a byte moved", ylabel="TFLOP/s")
    axes.set_axisbelow(True)
    legend_above(axes)
    return svg(figure, axes, legend=False)
