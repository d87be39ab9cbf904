"""Number formats of weights and activations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.graph import Graph


@dataclass(frozen=True, slots=True)
class Convert:
    """Keep weights, and compute and hand on activations, in these formats; None leaves them as they are."""

    weights: str | None = None
    activations: str | None = None

    def __call__(self, graph: Graph) -> Graph:
        changed = []
        for tensor in graph.tensors.values():
            wanted = self.weights if tensor.weight else self.activations
            if wanted is not None:
                changed.append(replace(tensor, dtype=dtype(wanted)))
        return graph.with_tensors(changed)
