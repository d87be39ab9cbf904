"""What a graph holds and does: parameters, multiply-adds, FLOPs, traffic and activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.workloads.graphs.graph import Graph, Model
from simulator.workloads.graphs.lowering import node_kernels
from simulator.workloads.operators import Convolution, Fused, Gemm, Rounds, Size


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Sums over one forward pass; `macs` are the multiply-adds of products and convolutions alone."""

    nodes: int
    parameters: Size
    weight_bytes: Size
    macs: Size
    flops: Size
    bytes: Size
    activations: Size


def count(graph: Graph) -> Counts:
    """Counts of one graph; weights that several nodes share count once."""
    there = _presence(graph)
    weights = [(t, there[t.name]) for t in graph.weights]
    launches = [k for node in graph.nodes for k in node_kernels(graph, node)]
    return Counts(
        len(graph.nodes),
        sum((t.elements * t.density * share for t, share in weights), 0.0),
        sum((t.bytes * t.density * share for t, share in weights), 0.0),
        sum((k.count * macs(k.op) for k in launches), 0.0),
        sum((k.count * k.op.flops() for k in launches), 0.0),
        sum((k.count * k.op.bytes() for k in launches), 0.0),
        sum((graph.tensors[n].elements * node.repeat for node in graph.nodes for n in node.written), 0.0),
    )


def _presence(graph: Graph) -> dict[str, Size]:
    """1 for each weight that some node reads, 0 for candidates none of whose nodes that read it run."""
    found: dict[str, Size] = {}
    for node in graph.nodes:
        for name in node.read:
            if graph.tensors[name].weight:
                found[name] = np.maximum(found.get(name, 0.0), np.minimum(node.repeat, 1.0))
    return found


def count_model(model: Model) -> Counts:
    """Counts of a model: work of each part as often as it runs, weights once."""
    parts = [(count(p.graph), p.times) for p in model.parts]
    return Counts(
        sum(c.nodes for c, _ in parts),
        sum((c.parameters for c, _ in parts), 0.0),
        sum((c.weight_bytes for c, _ in parts), 0.0),
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
    """Multiply-adds of a product or a convolution, 0 for all else."""
    if isinstance(op, Fused):
        return macs(op.main)
    if isinstance(op, Rounds):
        return sum((macs(leaf) * times for leaf, times in op.leaves()), 0.0)
    return op.flops() / 2.0 if isinstance(op, Gemm | Convolution) else 0.0
