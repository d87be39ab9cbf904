"""Prune weights to zero in a pattern, and positions of convolutions by a fixed mask; shapes stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.by_layer import by_layer
from simulator.workloads.graphs.rewrites.editing import weighted
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.sparsity import pattern

KERNELS = ("skip", "dense")


@dataclass(frozen=True, slots=True)
class Prune:
    """Keep the share `density` of products' weights in a `pattern`; `layers` gives other shares by name or type.

    N:M patterns say their own share. Of `kernels`, "skip" leaves zeros out as far as the device can, "dense" only loads
    less (Flash-LLM, arXiv:2309.10285).
    """

    density: float | None = None
    pattern: str = "unstructured"
    layers: Mapping[str, float] | None = None
    ends: bool = True
    kernels: str = "skip"

    def __call__(self, graph: Graph) -> Graph:
        shape = pattern(self.pattern)
        usual = shape.kept / shape.of if shape.n_of_m else self.density
        if usual is None and not self.layers:
            raise InputError("prune: give density, layers or both")
        if self.kernels not in KERNELS:
            raise InputError(f"prune: kernels is {self.kernels!r}: choose {' or '.join(KERNELS)}")
        found = by_layer(graph, usual, self.layers, ends=self.ends, what="prune.layers")
        for density in found.values():
            _check(density, "density")
        tensors: list[Tensor] = []
        nodes: list[Node] = []
        for node in graph.nodes:
            weight = weighted(graph, node)
            share = found.get(node.name)
            if weight is None or share is None or share == 1.0:
                nodes.append(node)
                continue
            tensors.append(replace(weight, density=share, pattern=self.pattern))
            nodes.append(replace(node, attributes={**node.attributes, "dense_kernel": self.kernels == "dense"}))
        return graph.with_tensors(tensors).with_nodes(nodes)


@dataclass(frozen=True, slots=True)
class PrunePositions:
    """Compute convolutions at the share `kept` of their positions, the same for all images.

    The columns of the other positions are left out of the matrix product and their results are zero (semi-structured
    activation sparsity, arXiv:2309.06626).
    """

    kept: float | None = None
    layers: Mapping[str, float] | None = None
    ends: bool = False

    def __call__(self, graph: Graph) -> Graph:
        found = by_layer(graph, self.kept, self.layers, ends=self.ends, what="prune-positions.layers")
        for share in found.values():
            _check(share, "kept")
        return graph.with_nodes(
            replace(node, attributes={**node.attributes, "kept_positions": found[node.name]})
            if node.type == "Conv" and node.name in found
            else node
            for node in graph.nodes
        )


def _check(share: float, field: str) -> None:
    if not 0.0 < share <= 1.0:
        raise InputError(f"prune: {field} is {share}: give a share above 0 and at most 1")
