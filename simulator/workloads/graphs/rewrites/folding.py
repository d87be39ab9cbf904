"""Batch norms with known statistics, multiplied into the weights of the product before them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.fusing import PRODUCTS


@dataclass(frozen=True, slots=True)
class Fold:
    """Leave out batch norms that alone read a product's result: its weights and a term stand for them."""

    def __call__(self, graph: Graph) -> Graph:
        nodes: list[Node] = []
        at = {name: i for i, node in enumerate(graph.nodes) for name in node.written}
        moved: dict[int, Node] = {}
        for node in graph.nodes:
            source = at.get(node.inputs[0]) if node.type == "BatchNormalization" else None
            host = graph.nodes[source] if source is not None else None
            alone = len(graph.consumers.get(node.inputs[0], ())) == 1 and node.inputs[0] not in graph.outputs
            if host is None or host.type not in PRODUCTS or host.epilogue or not alone or node.epilogue:
                continue
            assert source is not None
            # the norm's term stays as the product's own
            inputs = (*host.inputs, node.inputs[2]) if len(host.inputs) == 2 and len(node.inputs) > 2 else host.inputs
            moved[source] = replace(host, outputs=node.outputs, inputs=inputs)
        gone = {name for node in moved.values() for name in node.outputs}
        for i, node in enumerate(graph.nodes):
            if i in moved:
                nodes.append(moved[i])
            elif not gone.intersection(node.outputs):
                nodes.append(node)
        return graph.with_nodes(nodes)
