"""A graph as a step that trains it on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.backward.step import Manner, training_step
from simulator.workloads.graphs.backward.trained import Scheme, Trained
from simulator.workloads.graphs.graph import Graph


@dataclass(frozen=True, slots=True)
class Train:
    """The forward pass followed by loss, backward pass and update of what `scheme`, `layers` and `weights` train.

    The options are those of `backward.trained.Trained` and `backward.step.Manner`. Activations that no gradient reads
    are free as in inference. Weights that are not trained are kept in the format `frozen`.
    """

    scheme: Scheme = "all"
    layers: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    states: int = 0
    early: bool = True
    masks: bool = True
    batch_statistics: bool = False
    recompute: bool = False
    frozen: str | None = None

    def __call__(self, graph: Graph) -> Graph:
        manner = Manner(self.states, self.early, self.masks, self.batch_statistics, self.recompute)
        trained = Trained(self.scheme, self.layers, self.weights)(graph)
        if self.frozen is not None:
            format = dtype(self.frozen)
            graph = graph.with_tensors(replace(t, dtype=format) for t in graph.weights if t.name not in trained)
        return training_step(graph, trained, manner)
