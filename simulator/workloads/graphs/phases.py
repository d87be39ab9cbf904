"""What several devices do for one model: phases of steps, in each of which every device runs a graph of its own."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.graphs.graph import Graph
from simulator.workloads.operators import Collective


@dataclass(frozen=True, slots=True)
class Phase:
    """A step that runs `times` times: devices run their `graphs` at once, those of one device in a row.

    They exchange what `sends` says, each so often a step: behind the work, or beside it where the step uses what was
    sent in the one before (`stale`). For what is `awaited` the next step waits in any case.
    """

    graphs: tuple[tuple[Graph, ...], ...]
    sends: tuple[tuple[Collective, float], ...] = ()
    times: float = 1.0
    stale: bool = False
    awaited: tuple[tuple[Collective, float], ...] = ()
