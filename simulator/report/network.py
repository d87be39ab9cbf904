"""Figures of what a training step sends over its network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.engine.training.step import Step


def network_figures(step: Step) -> dict[str, Any] | None:
    """Plain data, None without a network; `alone` is what a group takes that shares its links with no other.

    `reduction_bus_gbit_per_s` is what each device of the slowest stage sends while gradients are reduced, as
    all-reduce benchmarks count it: 2 (n - 1) / n of the gradients over n replicas.
    """
    if step.network is None:
        return None
    job, replicas = step.job, step.job.layout.data
    alone = replace(step, network=None, _timed={})
    stage = max(range(job.layout.pipeline), key=step.reduce_seconds)
    seconds = step.reduce_seconds(stage)
    sent = 2.0 * (replicas - 1) / replicas * step.states(stage).parameters * job.formats.gradients.bytes
    return {
        "topology": step.network.topology.name,
        "routing": type(step.network.policy).__name__,
        "reduction_s": seconds,
        "reduction_alone_s": alone.reduce_seconds(stage),
        "reduction_bus_gbit_per_s": sent * 8.0 / 1e9 / seconds if seconds else None,
        "send_s": step.send_seconds,
        "send_alone_s": alone.send_seconds,
    }


def network_line(figures: dict[str, Any]) -> str:
    """How many times longer reductions and sends take than those of a group alone."""
    parts = [
        f"{name} {figures[f'{key}_s'] / figures[f'{key}_alone_s']:.2f}x"
        for name, key in (("reduction", "reduction"), ("sends", "send"))
        if figures[f"{key}_alone_s"]
    ]
    return f"{figures['topology']}, {figures['routing']}: {', '.join(parts)} of a group alone"
