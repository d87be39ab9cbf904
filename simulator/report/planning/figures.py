"""The figures of a plan: what a dollar buys, and what holds each deployment back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.planning.plan import axis, pareto
from simulator.report.live import name_marks
from simulator.report.sections import Figure
from simulator.report.svg import INK, PALETTE, SHADES, drawing, stacked_bars, svg

if TYPE_CHECKING:
    from simulator.planning.evaluate import Outcome
    from simulator.planning.plan import Plan

AXES = {
    "ttft_p99": ("P99 TTFT", "P99 TTFT (ms)"),
    "tpot_p99": ("P99 TPOT", "P99 TPOT (ms)"),
    "e2e_p99": ("P99 E2E", "P99 E2E (ms)"),
    "energy": ("energy", "joules a token"),
}
MOST_NAMED = 6


def plan_figures(plan: Plan) -> list[Figure]:
    """Cost against each axis of the front, and the bounds of the first deployments; none where nothing holds."""
    if not plan.ranked:
        return []
    about = "Every deployment simulated that meets all objectives; numbers are those of the front's table."
    charts = [(f"Cost against {AXES[a][0]}", about, chart(plan, a)) for a in plan.spec.front]
    return [*charts, ("What binds each", "Shares of a mean iteration by what holds its operators.", bounds(plan))]


def chart(plan: Plan, name: str) -> str:
    """Cost against one axis: every deployment that meets the objectives, and the front of these two."""
    figure, axes = drawing()
    by_device: dict[str, list[Outcome]] = {}
    for o in plan.feasible:
        by_device.setdefault(Path(o.configuration.scenario.device).stem, []).append(o)
    for number, (device, outcomes) in enumerate(sorted(by_device.items())):
        marks = axes.scatter(
            [o.usd_per_hour for o in outcomes], [axis(o, name) for o in outcomes], s=18, alpha=0.6, linewidths=0,
            color=PALETTE[number % len(PALETTE)], marker="os^Dv"[number // len(PALETTE) % 5], label=device,
        )  # fmt: skip
        name_marks(marks, [f"{o.replicas} x {o.configuration.label}" for o in outcomes])
    front = pareto(plan.feasible, [name])
    axes.step(
        [o.usd_per_hour for o in front], [axis(o, name) for o in front], where="post", color=INK, linewidth=1.2,
        label="front",
    )  # fmt: skip
    for number, o in enumerate(plan.front, start=1):
        axes.annotate(
            str(number), (o.usd_per_hour, axis(o, name)), xytext=(4, 3), textcoords="offset points", color=INK,
            fontsize=8,
        )  # fmt: skip
    axes.set(xlabel="USD an hour", ylabel=AXES[name][1], xlim=(0, None), ylim=(0, None))
    return svg(figure, axes, legend=len(by_device) <= MOST_NAMED)


def bounds(plan: Plan) -> str:
    """A bar a deployment of the first ones."""
    rows = plan.facts["deployments"]
    shares = [row["binding"]["shares_of_mean_iteration"] for row in rows]
    names = list(dict.fromkeys(name for found in shares for name in found))
    values = [[found.get(name, 0.0) * 100 for name in names] for found in shares]
    labels = [f"{number}. {row['deployment']}" for number, row in enumerate(rows, start=1)]
    return stacked_bars(labels, values, names, SHADES, "per cent of a mean iteration")
