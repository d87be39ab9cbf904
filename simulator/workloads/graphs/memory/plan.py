"""The memory of a graph's activations: an order of its nodes, buffers, and their places in one arena."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.memory.arena import Arena, GreedyBySize, Placement
from simulator.workloads.graphs.memory.ordering import Given, Order
from simulator.workloads.graphs.memory.sharing import InPlace, buffers


@dataclass(frozen=True)
class MemoryPlan:
    """Where each activation of `graph` is while its nodes run in their order."""

    graph: Graph
    placements: tuple[Placement, ...]

    @cached_property
    def live(self) -> NDArray[np.float64]:
        """Bytes that hold something needed while each node runs, shape (nodes,)."""
        change = np.zeros(len(self.graph.nodes) + 1)
        for placed in self.placements:
            change[placed.life.first] += placed.life.bytes
            change[placed.life.last + 1] -= placed.life.bytes
        return np.asarray(np.cumsum(change)[:-1])

    @property
    def peak(self) -> float:
        """The most bytes that hold something at any time, below which no arena can be."""
        return float(self.live.max(initial=0.0))

    @property
    def arena(self) -> int:
        """Bytes of the arena that all buffers lie in."""
        return max((placed.end for placed in self.placements), default=0)

    @property
    def fragmentation(self) -> float:
        """Share of the arena that is empty even at the peak: gaps that no buffer fits, and padding."""
        return 1.0 - self.peak / self.arena if self.arena else 0.0


def plan_memory(
    graph: Graph,
    *,
    order: Order | None = None,
    in_place: InPlace = "pointwise",
    arena: Arena | None = None,
    alignment: int = 1,
) -> MemoryPlan:
    """Order a graph's nodes and place its buffers; offsets are multiples of `alignment` bytes."""
    ordered = (order or Given())(graph, in_place)
    return MemoryPlan(ordered, tuple((arena or GreedyBySize())(buffers(ordered, in_place), alignment)))
