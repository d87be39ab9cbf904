"""Drawings of a training step: the pipeline's passes, memory over the step, where time and memory go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.recorder import Floats
from simulator.engine.training.memory import activations_over_time
from simulator.engine.training.step import Step
from simulator.report.boxes import Boxes, boxes_element
from simulator.report.sections import Figure
from simulator.report.svg import INK, PALETTE, SHADES, WAITS, drawing, legend_above, stacked_bars, svg
from simulator.report.training.timeline import shown_stages, stage_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simulator.training import TrainingResult

COLOURS = {"forward": PALETTE[0], "backward": PALETTE[1], "whole": PALETTE[1], "weights": PALETTE[2]}
NAMES = {"forward": "forward", "backward": "backward", "whole": "backward", "weights": "gradients of weights"}
MOST_STAGES = 16
MOST_PASSES = 3000
POINTS = 400


def training_figures(result: TrainingResult) -> list[Figure]:
    """Title, explanation and SVG of each figure; passes are left out where a step has no pipeline of equal batches."""
    step, summary = result.step, result.summary
    found = [
        ("Where the time goes", "Share of the step on the stage that computes longest.", time_by_part(summary)),
        ("Memory by stage", "What a device of each stage holds at most.", memory_by_part(summary, step)),
    ]
    if result.varied is None and step.offloaded is None:
        found += list(_of_passes(step))
    return found


def _of_passes(step: Step) -> Iterator[Figure]:
    if step.job.layout.pipeline > 1:
        seconds, shown = step.timeline.seconds, _window(step)
        whole = shown >= seconds
        what = "Passes of each stage, one box each."
        if whole:
            yield "Pipeline", what, pipeline(step, 0.0, seconds)
        else:
            yield "Pipeline, filling", f"{what} The first {shown:,.3g} s.", pipeline(step, 0.0, shown)
            yield "Pipeline, draining", f"{what} The last {shown:,.3g} s.", pipeline(step, seconds - shown, seconds)
    yield "Memory over the step", "Weights, gradients, optimiser and kept activations of a device.", memory(step)


def pipeline(step: Step, start: float, end: float) -> str:
    """Stages down, time across, a box a pass that overlaps the seconds from `start` to `end`."""
    stages = shown_stages(step, MOST_STAGES)
    figure, axes = drawing(height=min(4.2, 1.0 + 0.32 * len(stages)))
    rows = [(start, end, row) for row in range(len(stages))]
    _boxes(axes, rows, "waits", WAITS, alpha=0.3)
    boxes: dict[str, list[tuple[float, float, float]]] = {}
    said = Boxes([f"stage {stage}" for stage in stages], list(NAMES.values()), "micro-batch", "s")
    for row, stage in enumerate(stages):
        begins, ends = step.timeline.starts[stage], step.timeline.ends[stage]
        for i in np.flatnonzero((ends > start) & (begins < end)):
            each = step.timeline.passes[stage][i]
            boxes.setdefault(NAMES[each.kind], []).append((max(float(begins[i]), start), min(float(ends[i]), end), row))
            kind = list(NAMES).index(each.kind)
            said.boxes.append((row, float(begins[i]), float(ends[i]), kind, each.micro_batch))
    for kind_name, name in NAMES.items():
        if name in boxes:
            _boxes(axes, boxes.pop(name), name, COLOURS[kind_name], gap=0.0012 * (end - start))
    names = [str(s) if step.mixed is None else f"{s}: {step.part(s).law.device.id}" for s in stages]
    axes.set_yticks(range(len(stages)), names)
    axes.set_ylim(len(stages) - 0.4, -0.6)
    axes.set(xlabel="seconds", ylabel="stage", xlim=(start, end))
    axes.grid(visible=False)
    legend_above(axes)
    return svg(figure, axes, legend=False) + boxes_element(figure, axes, said)


def _boxes(
    axes: Axes,
    boxes: Sequence[tuple[float, float, float]],
    name: str,
    colour: str,
    *,
    gap: float = 0.0,
    alpha: float = 1,
) -> None:
    """All boxes (left, right, row) of a colour as one path; up to `gap` is left free behind each."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners = []
    for left, whole, row in boxes:
        right, top, bottom = whole - min(0.06 * (whole - left), gap), row - 0.4, row + 0.4
        corners += [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(boxes)
    axes.add_patch(PathPatch(Path(corners, codes), facecolor=colour, linewidth=0, label=name, alpha=alpha))


def _window(step: Step) -> float:
    """Seconds from the start within which the shown stages run no more passes than can be told apart."""
    stages = shown_stages(step, MOST_STAGES)
    starts = np.sort(np.concatenate([step.timeline.starts[s] for s in stages]))
    return step.timeline.seconds if len(starts) <= MOST_PASSES else float(starts[MOST_PASSES])


def memory(step: Step) -> str:
    """What a device of the first, a middle and the last stage holds as passes run, under the device's capacity."""
    figure, axes = drawing()
    last = step.job.layout.pipeline - 1
    seconds, highest = step.timeline.seconds, 0.0
    for stage, colour in zip(dict.fromkeys((0, last // 2, last)), PALETTE, strict=False):
        kept, times = activations_over_time(step, stage)
        held = (kept + step.states(stage).total) / 1e9
        edges, most = highest_within(times, held, seconds)
        axes.stairs(most, edges, color=colour, label=f"stage {stage}", linewidth=1.1, baseline=None)
        highest = max(highest, float(held.max()))
    capacity = max(part.law.device.memory_capacity for part, _ in step.kinds) / 1e9
    if capacity < 3.0 * highest:
        axes.axhline(
            capacity,
            color=INK,
            linewidth=1.0,
            linestyle="--",
            label="capacity" if step.mixed is None else "largest capacity",
        )
    axes.set(xlabel="seconds", ylabel="GB", xlim=(0, seconds))
    axes.set_ylim(0, 1.05 * max(highest, capacity if capacity < 3.0 * highest else 0.0))
    legend_above(axes)
    return svg(figure, axes, legend=False)


def highest_within(times: Floats, values: Floats, seconds: float) -> tuple[Floats, Floats]:
    """Edges of equal intervals from 0 to `seconds`, and the highest value that holds in each of them.

    `values` hold from `times` on (ascending), the first also before.
    """
    edges = np.linspace(0.0, seconds, POINTS + 1)
    begins = np.concatenate([[0.0], times])
    held = np.concatenate([values[:1], values])
    at_edge = held[np.searchsorted(begins, edges[:-1], side="right") - 1]
    most = at_edge.copy()
    inside = np.minimum(np.searchsorted(edges, times, side="right") - 1, POINTS - 1)
    np.maximum.at(most, inside, values)
    return edges, most


def time_by_part(summary: dict[str, Any]) -> str:
    """One bar a part of the step."""
    parts = {k.replace("_", " "): v for k, v in summary["breakdown_s"].items() if v > 0.0005 * summary["step_s"]}
    figure, axes = drawing(height=0.8 + 0.26 * len(parts))
    shares = [100.0 * v / summary["step_s"] for v in parts.values()]
    bars = axes.barh(list(parts), shares, color=[WAITS if name == "wait" else PALETTE[0] for name in parts])
    labels = [f"{v:,.3g} s" for v in parts.values()]
    axes.bar_label(bars, labels, padding=4, color=INK, fontsize=9)
    axes.set_axisbelow(True)
    axes.invert_yaxis()
    axes.set(xlabel="per cent of the step", xlim=(0, 1.18 * max(shares)))
    return svg(figure, axes, legend=False)


def memory_by_part(summary: dict[str, Any], step: Step) -> str:
    """One bar a stage, by what holds its bytes."""
    stages = summary["memory_gb"]
    shown = shown_stages(step, 8) if len(stages) == step.job.layout.pipeline else list(range(len(stages)))
    parts = [name for name in stages[0] if name != "total" and any(stages[s][name] > 0.0 for s in shown)]
    values = [[stages[s][name] for name in parts] for s in shown]
    return stacked_bars(
        [stage_name(step, s) for s in shown], values, [name.replace("_", " ") for name in parts], SHADES, "GB",
        [f"{sum(row):,.1f}" for row in values],
    )  # fmt: skip
