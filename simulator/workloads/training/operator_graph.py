"""From an operator graph to the layers that a training step runs: operators on one sample, and what each keeps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.backward.keeping import kept_for
from simulator.workloads.graphs.backward.segments import segments
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.graph import Node as GraphNode
from simulator.workloads.graphs.lifetimes import buffer_names
from simulator.workloads.graphs.lowering import Kernel, node_kernels
from simulator.workloads.operators import Aggregation, AnyOperator, Convolution, Elementwise, Gather, Gemm
from simulator.workloads.training.layer_graph import GraphLayer, GraphOperator, LayerGraph, Node


def layer_graph(graph: Graph) -> LayerGraph:
    """The layers of a graph that was built for one sample, and a loss behind the last.

    Raises `InputError` for nodes whose gradients have no rule.
    """
    nodes = _nodes(graph)
    layers = [
        GraphLayer(found) for group in segments(graph) if (found := tuple(n for g in group for n in nodes[g.name]))
    ]
    if not layers:
        raise InputError(f"model {graph.name} has nothing to train")
    out = sum(float(np.asarray(graph.tensors[name].elements)) for name in graph.outputs)
    loss = Node("loss", Elementwise(out, 3.0, 2.0, 4.0), kept=out)
    return LayerGraph(graph.name, (*layers[:-1], GraphLayer((*layers[-1].nodes, loss))))


def _nodes(graph: Graph) -> dict[str, list[Node]]:
    """Operators of each node by its name; a weight or activation that several need counts with the first."""
    buffer, seen = buffer_names(graph), set[str]()
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.epilogue:
            raise InputError(f"model {graph.name}: node {node.name} is fused, train the graph as it was before")
        weights = {n for n in node.read if graph.tensors[n].weight} - seen
        kept = {buffer[n] for n in kept_for(graph, node).names} - seen
        seen |= weights | kept
        kept = {n for n in kept if not graph.tensors[n].weight}
        parameters, numbers = _elements(graph, weights), _elements(graph, kept)
        found[node.name] = list(_operators(node, node_kernels(graph, node), parameters, numbers))
    return found


def _operators(node: GraphNode, launches: list[Kernel], parameters: float, kept: float) -> Iterator[Node]:
    """The operators of a node, the first with all weights and what is kept; scores of attention are kept besides."""
    for number, kernel in enumerate(launches):
        op = _trained(node, kernel.op)
        own = kept if number == 0 else 0.0
        if isinstance(op, Elementwise) and op.kernel == "softmax" and number:
            own = float(np.asarray(op.elements))
        yield Node(node.name, op, parameters if number == 0 else 0.0, own)
        for _ in range(int(np.asarray(kernel.count)) - 1):
            yield Node(node.name, op, 0.0, 0.0)


def _trained(node: GraphNode, op: AnyOperator) -> GraphOperator:
    """The operator as training runs it: batch norms find the statistics of the batch first."""
    if not isinstance(op, Gemm | Convolution | Elementwise | Gather | Aggregation):
        raise InputError(
            f"node {node.name} of type {node.type}: no rule gives its gradient, so that it cannot be trained"
        )
    if node.type == "BatchNormalization" and isinstance(op, Elementwise):
        return Elementwise(op.elements, 2.0, 1.0, 6.0, op.activation, "norm")
    return op


def _elements(graph: Graph, names: set[str]) -> float:
    return float(sum(np.asarray(graph.tensors[n].elements * graph.tensors[n].density) for n in names))
