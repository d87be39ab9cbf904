"""The operators of a node's gradients, by the rules that training steps of layers go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from simulator.workloads.graphs.backward.trained import biases
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.lowering import Kernel, node_kernels
from simulator.workloads.operators import Aggregation, AnyOperator, Convolution, Elementwise, Gather, Gemm
from simulator.workloads.training.gradients import gradients

DIFFERENTIATED = Gemm | Convolution | Elementwise | Gather | Aggregation


def input_work(graph: Graph, node: Node, wanted: Sequence[str]) -> dict[str, Any]:
    """Attributes of the node that gives the gradients of these operands.

    A node of one pass over its numbers has a pass back over what that reads, twice the FLOPs; of a product of two
    activations only one of which needs a gradient, only that is computed.
    """
    launches = node_kernels(graph, node)
    if all(isinstance(k.op, Elementwise) for k in launches):
        flops = sum((k.op.flops() / k.op.elements for k in launches if isinstance(k.op, Elementwise)), 0.0)
        return {"flops": 2.0 * float(flops)}
    weighted = _weighted(graph, node)
    work: list[tuple[AnyOperator, object]] = []
    for kernel in launches:
        found = gradients(kernel.op, weighted)[0] if isinstance(kernel.op, DIFFERENTIATED) else (kernel.op,)
        both = isinstance(kernel.op, Gemm) and not weighted and len(launches) == 1
        work += [(op, kernel.count) for op in (found[: len(wanted)] if both else found)]
    return {"work": tuple(work)}


def weight_work(graph: Graph, node: Node, name: str, share: float) -> dict[str, Any]:
    """Attributes of the node that gives the gradient of a share of the input channels of the weight of this name.

    Of a node with as many matrices as products, as recurrent layers have, each matrix belongs to the product in its
    place.
    """
    work: list[tuple[AnyOperator, object]] = []
    for kernel in _own(graph, node, name):
        if isinstance(kernel.op, Gemm):
            (op,) = gradients(kernel.op, True)[1]
            assert isinstance(op, Gemm)
            work.append((replace(op, m=op.m * share), kernel.count))
        elif isinstance(kernel.op, Convolution):
            work.append((replace(kernel.op, channels=kernel.op.channels * share), kernel.count))
        elif isinstance(kernel.op, Gather):
            work += [(op, kernel.count) for op in gradients(kernel.op, True)[1]]
    return {"work": tuple(work)} if work else {"flops": 2.0}


def _own(graph: Graph, node: Node, name: str) -> list[Kernel]:
    launches = node_kernels(graph, node)
    products = [kernel for kernel in launches if isinstance(kernel.op, Gemm | Convolution)]
    matrices = [n for n in node.inputs if n and graph.tensors[n].weight and n not in biases(graph, node)]
    return [products[matrices.index(name)]] if len(matrices) == len(products) > 1 else launches


def _weighted(graph: Graph, node: Node) -> bool:
    return any(name and graph.tensors[name].weight for name in node.inputs)
