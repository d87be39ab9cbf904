"""Number formats of weights and activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.rewrites.editing import chosen


@dataclass(frozen=True, slots=True)
class Convert:
    """Keep weights, and compute and hand on activations, in these formats; None leaves them as they are.

    With `layers`, names or types of nodes, weights of these alone change.
    """

    weights: str | None = None
    activations: str | None = None
    layers: Sequence[str] | None = None

    def __call__(self, graph: Graph) -> Graph:
        if self.layers is not None:
            read = {name for node in chosen(graph, self.layers, "convert.layers") for name in node.read}
            graph = graph.with_tensors(
                replace(graph.tensors[name], dtype=dtype(self.weights))
                for name in read
                if graph.tensors[name].weight and self.weights is not None
            )
        changed = []
        for tensor in graph.tensors.values():
            everywhere = None if self.layers is not None else self.weights
            wanted = everywhere if tensor.weight else self.activations
            if wanted is not None:
                changed.append(replace(tensor, dtype=dtype(wanted)))
        return graph.with_tensors(changed)
