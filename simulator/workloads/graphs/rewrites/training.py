"""A graph as a step that trains it on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.workloads.graphs.backward.step import Manner, training_step
from simulator.workloads.graphs.backward.trained import Scheme, Trained
from simulator.workloads.graphs.graph import Graph


@dataclass(frozen=True, slots=True)
class Train:
    """The forward pass followed by loss, backward pass and update of what `scheme`, `layers` and `weights` train.

    The options are those of `backward.trained.Trained` and `backward.step.Manner`. Activations that no gradient reads
    are free as in inference.
    """

    scheme: Scheme = "all"
    layers: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    states: int = 0
    early: bool = True
    masks: bool = True
    batch_statistics: bool = False
    recompute: bool = False

    def __call__(self, graph: Graph) -> Graph:
        manner = Manner(self.states, self.early, self.masks, self.batch_statistics, self.recompute)
        return training_step(graph, Trained(self.scheme, self.layers, self.weights)(graph), manner)
