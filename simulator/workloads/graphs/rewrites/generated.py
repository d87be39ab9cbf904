"""Norms in the kernel that makes their operand: what a compiler that generates kernels does (Inductor)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS


@dataclass(frozen=True, slots=True)
class FuseNorms:
    """Join norms of these types to the pointwise kernel before them, which still writes what others read of it."""

    types: Sequence[str] = ("LayerNormalization", "RMSNormalization", "Softmax")

    def __call__(self, graph: Graph) -> Graph:
        found: list[Node] = []
        at: dict[str, int] = {}
        for node in graph.nodes:
            host = at.get(node.inputs[0]) if node.type in self.types else None
            # what else it reads has to be there before the kernel that it joins
            ready = all(name not in graph.producer for name in node.read if name != node.inputs[0])
            if host is not None and ready and found[host].repeat is node.repeat:
                found[host] = _joined(graph, found[host], node)
                continue
            kind = KINDS.get(node.type)
            if kind is not None and kind.pointwise and len(node.written) == 1:
                at[node.written[0]] = len(found)
            found.append(node)
        return graph.with_nodes(found)


def _joined(graph: Graph, host: Node, norm: Node) -> Node:
    """One kernel of both; it leaves the norm's operand in memory too where that has other readers."""
    (made,) = host.written
    shared = made in graph.outputs or any(reader is not norm for reader in graph.consumers[made])
    parts = list(norm.parts)
    if shared:
        parts[-1] = replace(parts[-1], outputs=(*parts[-1].outputs, made))
    return replace(host, epilogue=(*host.epilogue, *parts))
