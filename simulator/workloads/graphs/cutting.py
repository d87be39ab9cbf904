"""A graph cut in two at one of its nodes: the head, the tail, and the tensors that cross from one to the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.errors import unknown_name
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.operators import Size


@dataclass(frozen=True, eq=False)
class Cut:
    """Head and tail of a graph; `crossing` are results of the head, and inputs of the graph, that the tail reads."""

    head: Graph
    tail: Graph
    crossing: tuple[Tensor, ...]

    @property
    def bytes(self) -> Size:
        """Bytes that go from the head to the tail."""
        return sum((t.bytes for t in self.crossing), 0.0)


def cut(graph: Graph, after: str) -> Cut:
    """Cut after the node of this name in the graph's order. Raises `InputError` for an unknown one.

    Weights that both sides read are on both.
    """
    names = [node.name for node in graph.nodes]
    if after not in names:
        raise unknown_name(f"node of graph {graph.name}", after, names)
    return _cut_at(graph, names.index(after) + 1)


def cuts(graph: Graph) -> list[tuple[str, Size]]:
    """All places to cut: the node after which, and the bytes that cross there."""
    return [(node.name, _cut_at(graph, at + 1).bytes) for at, node in enumerate(graph.nodes)]


def _cut_at(graph: Graph, at: int) -> Cut:
    first, rest = graph.nodes[:at], graph.nodes[at:]
    written = [name for node in first for name in node.written]
    read = {name for node in rest for name in node.read} | set(graph.outputs)
    crossing = tuple(n for n in dict.fromkeys((*graph.inputs, *written)) if n in read)
    head = Graph(f"{graph.name} (head)", _tensors(graph, first, crossing), first, graph.inputs, crossing)
    tail = Graph(f"{graph.name} (tail)", _tensors(graph, rest, crossing), rest, crossing, graph.outputs)
    return Cut(head, tail, tuple(graph.tensors[n] for n in crossing))


def _tensors(graph: Graph, nodes: Iterable[Node], crossing: Iterable[str]) -> dict[str, Tensor]:
    """The tensors that these nodes know, and those that cross."""
    names = {n for node in nodes for part in node.parts for n in (*part.inputs, *part.outputs) if n}
    names |= set(crossing) | set(graph.inputs)
    return {name: tensor for name, tensor in graph.tensors.items() if name in names}
