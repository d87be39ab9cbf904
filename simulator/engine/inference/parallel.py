"""Steps of a network on several equal devices: the slowest one's work, and what the exchange adds to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.engine.inference.execution import Execution
from simulator.hardware.law import TimingLaw
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.phases import Phase


@dataclass(frozen=True)
class Shared:
    """A step that runs `times` times: what the slowest device runs, and seconds and bytes of a device's exchange.

    `awaited` are seconds of exchange that the next step waits for in any case.
    """

    runs: tuple[Execution, ...]
    exchange: float
    bytes: float
    times: float
    stale: bool
    joules: float
    awaited: float = 0.0

    @property
    def working(self) -> float:
        """Seconds of the slowest device's own work in a step."""
        return sum(e.seconds for e in self.runs)

    @property
    def waiting(self) -> float:
        """Seconds of a step that the exchange is not hidden behind work: what a step old travels beside the next."""
        return self.awaited + (max(self.exchange - self.working, 0.0) if self.stale else self.exchange)

    @property
    def seconds(self) -> float:
        return (self.working + self.waiting) * self.times


def shared(phases: Sequence[Phase], run: Callable[[Graph], Execution], law: TimingLaw, devices: int) -> list[Shared]:
    """Time phases: `run` executes a graph on one device; energy is that of all devices at work."""
    found = []
    for phase in phases:
        each = [tuple(run(graph) for graph in graphs) for graphs in phase.graphs]
        slowest = max(each, key=lambda runs: sum(e.seconds for e in runs))
        exchange, awaited = (
            sum(float(np.asarray(law.seconds(op))) * count for op, count in sends)
            for sends in (phase.sends, phase.awaited)
        )
        moved = sum(float(np.asarray(op.bytes())) * count for op, count in (*phase.sends, *phase.awaited))
        alike = devices if len(each) == 1 and len(each[0]) == 1 else 1
        joules = alike * sum(e.joules for runs in each for e in runs)
        found.append(Shared(slowest, exchange, moved, phase.times, phase.stale, joules, awaited))
    return found
