"""Residual sums that a layer norm alone reads become one kernel with it."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.graphs.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class SkipNorm:
    """Join a sum of two sequences of one shape with the layer norm that is its only reader.

    The rule is ONNX Runtime's (onnxruntime/core/optimizer/skip_layer_norm_fusion.cc) as its saved models show it.
    """

    def __call__(self, graph: Graph) -> Graph:
        joined = {node.inputs[0]: node for node in graph.nodes if self._takes(graph, node)}
        norms = {id(node) for node in joined.values()}
        return graph.with_nodes(
            _together(node, joined[node.outputs[0]]) if set(node.outputs) & set(joined) else node
            for node in graph.nodes
            if id(node) not in norms
        )

    def _takes(self, graph: Graph, norm: Node) -> bool:
        if norm.type != "LayerNormalization" or len(norm.inputs) < 2 or norm.epilogue:
            return False
        total = graph.producer.get(norm.inputs[0])
        if total is None or total.type != "Add" or total.epilogue or total.outputs[0] in graph.outputs:
            return False
        shapes = [graph.tensors[name].shape for name in total.inputs]
        alone = len(graph.consumers[total.outputs[0]]) == 1
        return alone and len(shapes[0]) == 3 and shapes[0] == shapes[1] and norm.repeat is total.repeat


def _together(total: Node, norm: Node) -> Node:
    return Node(norm.name, "SkipLayerNormalization", (*total.inputs, *norm.inputs[1:]), norm.outputs, norm.attributes)
