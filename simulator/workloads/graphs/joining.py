"""A kernel and the nodes that joined it, as one operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds.kind import Work
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.operators import AnyOperator, Elementwise, Fused, Size
from simulator.workloads.operators.products import Chained

WorkOf = Callable[[Graph, Node], Work]


def joined(graph: Graph, node: Node, op: AnyOperator, work: WorkOf) -> AnyOperator:
    """The kernel with what its epilogue computes, what that reads besides, and what is written of another size.

    Products in the epilogue make it a chain, each with as much more work as the attribute `recomputed` of the node says
    (the edges of tiles), and all of it moves what the whole reads and writes.
    """
    own = {name for name in node.inputs if name}
    epilogue = [(each, count) for part in node.epilogue for each, count in work(graph, part)]
    flops = sum((each.flops() * count for each, count in epilogue if isinstance(each, Elementwise)), 0.0)
    products = [each for each, _ in epilogue if not isinstance(each, Elementwise)]
    read = _bytes([graph.tensors[n] for n in node.read if n not in own])
    written = _bytes([graph.tensors[n] for n in node.written]) - _bytes(graph.results(node))
    if not products:
        return Fused(op, flops, read + written)
    shares: Sequence[float] = node.attributes.get("recomputed") or [1.0] * (1 + len(products))
    moved = _bytes([graph.tensors[n] for n in (*node.read, *node.written)])
    return Chained(tuple(zip((op, *products), shares, strict=True)), moved, flops)


def _bytes(tensors: Sequence[Tensor]) -> Size:
    return sum((t.bytes for t in tensors), 0.0)
