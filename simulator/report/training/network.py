"""Figures of what a training step sends over its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.engine.network.churn import Operation
    from simulator.engine.training.step import Step
    from simulator.specs.network import NetworkSpec


def network_figures(step: Step, spec: NetworkSpec | None) -> dict[str, Any] | None:
    """Plain data, None without a network; `alone` is what a group takes that shares its links with no other.

    `reduction_bus_gbit_per_s` is what each device of the slowest stage sends while gradients are reduced, as
    all-reduce benchmarks count it: 2 (n - 1) / n of the gradients over n replicas.
    """
    if step.network is None or spec is None:
        return None
    from simulator.assembly.network import operations_of

    job, replicas = step.job, step.job.layout.data
    alone = replace(step, network=None, _timed={})
    stage = max(range(job.layout.pipeline), key=step.end.reduce_seconds)
    seconds = step.end.reduce_seconds(stage)
    sent = 2.0 * (replicas - 1) / replicas * step.states(stage).parameters * job.formats.gradients.bytes
    return {
        "topology": step.network.topology.name,
        "routing": type(step.network.policy).__name__,
        "reduction_s": seconds,
        "reduction_alone_s": alone.end.reduce_seconds(stage),
        "reduction_bus_gbit_per_s": sent * 8.0 / 1e9 / seconds if seconds else None,
        "send_s": step.send_seconds,
        "send_alone_s": alone.send_seconds,
        **({} if spec.churn is None else {"churn": churn_figures(operations_of(spec.churn, step))}),
    }


def churn_figures(operations: Sequence[Operation]) -> dict[str, Any]:
    """Seconds of all steps, of attempts that failed, of waiting for those who joined; peers at the end."""
    last = operations[-1]
    return {
        "wall_s": last.end,
        "lost_s": sum(o.lost for o in operations),
        "waited_s": sum(o.waited for o in operations),
        "reduction_s": sum(a.end - a.start for o in operations for a in o.attempts if a.done),
        "attempts": sum(len(o.attempts) for o in operations),
        "peers": len(last.attempts[-1].ring),
    }


def network_line(figures: dict[str, Any]) -> str:
    """How many times longer reductions and sends take than those of a group alone."""
    parts = [
        f"{name} {figures[f'{key}_s'] / figures[f'{key}_alone_s']:.2f}x"
        for name, key in (("reduction", "reduction"), ("sends", "send"))
        if figures[f"{key}_alone_s"]
    ]
    return f"{figures['topology']}, {figures['routing']}: {', '.join(parts)} of a group alone"
