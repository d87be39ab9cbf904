"""Products of low-bit weights by look-ups in tables instead of multiplications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.rewrites.editing import chosen, weighted

MOST_BITS = 8


@dataclass(frozen=True, slots=True)
class LookUp:
    """Run products whose weights have at most four bits by tables of the sums of each `group` inputs.

    T-MAC (arXiv:2407.00088) on vector units, LUT Tensor Core (arXiv:2408.06003) in units of their own. `layers` names
    the products; without it all of such weights.
    """

    group: int = 4
    layers: Sequence[str] | None = None
    most_bits: float = 4.0

    def __call__(self, graph: Graph) -> Graph:
        if not 1 <= self.group <= MOST_BITS:
            raise InputError(f"look-up: group is {self.group}: tables of 1 to {MOST_BITS} inputs are modelled")
        wanted = None if self.layers is None else {n.name for n in chosen(graph, self.layers, "look-up.layers")}
        found = []
        for node in graph.nodes:
            weight = weighted(graph, node)
            few = weight is not None and weight.dtype.bits <= self.most_bits
            if few and (wanted is None or node.name in wanted):
                found.append(replace(node, attributes={**node.attributes, "lookup": self.group}))
            else:
                found.append(node)
        if all("lookup" not in n.attributes for n in found):
            raise InputError(f"look-up: no product has weights of {self.most_bits:g} bits or fewer: quantise first")
        return graph.with_nodes(found)
