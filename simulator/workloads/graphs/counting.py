"""What a graph holds and does: parameters, multiply-adds, FLOPs, traffic and activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.workloads.graphs.graph import Graph, Model
from simulator.workloads.graphs.lowering import node_kernels
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.operators import Convolution, Experts, Fused, Gemm, Rounds, Size
from simulator.workloads.operators.products import BitSerial, Chained, DecodeAttention, FullAttention, Lookup, Sparse


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Sums over one forward pass; `macs` are the multiply-adds of products and convolutions alone.

    Weights that are zero count neither as parameters nor as multiply-adds; edges of tiles count once.
    """

    nodes: int
    parameters: Size
    weight_bytes: Size
    macs: Size
    flops: Size
    bytes: Size
    activations: Size


def count(graph: Graph) -> Counts:
    """Counts of one graph; weights that several nodes share count once."""
    weights = _weights(graph)
    launches = [k for node in graph.nodes for k in node_kernels(graph, node)]
    return Counts(
        len(graph.nodes),
        sum((t.elements * t.density * share for t, share in weights.items()), 0.0),
        sum((t.stored_bytes * share for t, share in weights.items()), 0.0),
        sum((k.count * macs(k.op) for k in launches), 0.0),
        sum((k.count * k.op.flops() for k in launches), 0.0),
        sum((k.count * k.op.bytes() for k in launches), 0.0),
        sum((graph.tensors[n].elements * node.repeat for node in graph.nodes for n in node.written), 0.0),
    )


def _weights(*graphs: Graph) -> dict[Tensor, Size]:
    """All weights, with 1 for those that some node reads, 0 for candidates none of whose nodes that read it run."""
    found: dict[Tensor, Size] = {}
    for graph in graphs:
        for node in graph.nodes:
            for tensor in (graph.tensors[name] for name in node.read):
                if not tensor.weight:
                    continue
                if isinstance(node.repeat, int) and node.repeat > 0:
                    found[tensor] = 1.0  # as below, without arrays: whole catalogues are counted
                else:
                    found[tensor] = np.maximum(found.get(tensor, 0.0), np.minimum(np.ceil(node.repeat), 1.0))
    return found


def count_model(model: Model) -> Counts:
    """Counts of a model: work of each part as often as it runs, weights once, whichever parts share them."""
    weights = _weights(*(p.graph for p in model.parts))
    parts = [(count(p.graph), p.times) for p in model.parts]
    return Counts(
        sum(c.nodes for c, _ in parts),
        sum((t.elements * t.density * share for t, share in weights.items()), 0.0),
        sum((t.stored_bytes * share for t, share in weights.items()), 0.0),
        sum((c.macs * t for c, t in parts), 0.0),
        sum((c.flops * t for c, t in parts), 0.0),
        sum((c.bytes * t for c, t in parts), 0.0),
        sum((c.activations * t for c, t in parts), 0.0),
    )


def by_type(model: Model) -> dict[str, dict[str, Size]]:
    """Nodes, multiply-adds, FLOPs and bytes of each operator type, in the order in which they first appear."""
    found: dict[str, dict[str, Size]] = {}
    for part in model.parts:
        for node in part.graph.nodes:
            row = found.setdefault(node.type, {"nodes": 0, "macs": 0.0, "flops": 0.0, "bytes": 0.0})
            row["nodes"] = row["nodes"] + 1
            for k in node_kernels(part.graph, node):
                times = k.count * part.times
                row["macs"] = row["macs"] + times * macs(k.op)
                row["flops"] = row["flops"] + times * k.op.flops()
                row["bytes"] = row["bytes"] + times * k.op.bytes()
    return found


def macs(op: object) -> Size:
    """Multiply-adds of a product, of experts or of a convolution (attention's two included), 0 for all else."""
    if isinstance(op, Fused):
        return macs(op.main)
    if isinstance(op, Sparse | BitSerial | Lookup | FullAttention | DecodeAttention):
        return op.macs
    if isinstance(op, Chained):
        return sum((macs(part) for part, _ in op.parts), 0.0)
    if isinstance(op, Rounds):
        return sum((macs(leaf) * times for leaf, times in op.leaves()), 0.0)
    return op.flops() / 2.0 if isinstance(op, Gemm | Convolution | Experts) else 0.0
