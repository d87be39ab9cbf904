"""From nodes to kernels: what a device runs for a graph, one launch after the other."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.joining import joined
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.kinds.kind import Work, streamed
from simulator.workloads.graphs.variants import varied
from simulator.workloads.operators import AnyOperator, Size


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """One launch of `op`, or `count` of them in a row, that does (part of) a node's work."""

    node: str
    type: str
    op: AnyOperator
    count: Size = 1
    estimated: bool = False


def kernels(graph: Graph) -> list[Kernel]:
    """All launches of a graph in its order; views have none."""
    return [kernel for node in graph.nodes for kernel in node_kernels(graph, node)]


def node_kernels(graph: Graph, node: Node) -> list[Kernel]:
    """Launches of one node, the last of which does the node's epilogue."""
    work = list(_work(graph, node))
    if node.epilogue and work:
        op, count = work[-1]
        work[-1] = (joined(graph, node, op, _work), count)
    known = all(part.type in KINDS for part in node.parts)
    return [Kernel(node.name, node.type, op, count * node.repeat, not known) for op, count in work]


def unknown(graph: Graph) -> dict[str, int]:
    """Operator types without a meaning here and how many nodes have them; each is taken to stream its tensors once."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        for part in node.parts:
            if part.type not in KINDS:
                found[part.type] = found.get(part.type, 0) + 1
    return found


def _work(graph: Graph, node: Node) -> Work:
    operands, results = graph.operands(node), graph.results(node)
    kind = KINDS.get(node.type)
    if kind is None:
        return streamed(operands, results, 1.0)
    return varied(node.attributes, operands, results, kind.work(node.attributes, operands, results))
