"""A graph cut where one tensor alone goes on: what a pipeline's stages and recomputation work with."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.errors import InputError
from simulator.workloads.graphs.backward.keeping import PRODUCTS
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.kinds.recurrent import RECURRENT
from simulator.workloads.graphs.lifetimes import buffer_names


def segments(graph: Graph) -> Iterator[list[Node]]:
    """Nodes of a graph segment by segment, in its order.

    One ends behind a product where exactly one tensor goes on, so that residual blocks stay whole, unless the only
    reader of that tensor is no product: activations, norms and poolings stay with what gives their operand. Raises
    `InputError` for a training step, whose updates give nothing that could go on.
    """
    require_forward(graph)
    buffer = buffer_names(graph)
    left: dict[str, int] = {}
    for at, node in enumerate(graph.nodes):
        left.update((buffer[name], at) for name in node.read if not graph.tensors[buffer[name]].weight)
    crossing = set(graph.inputs)
    group: list[Node] = []
    for at, node in enumerate(graph.nodes):
        group.append(node)
        crossing |= {buffer[name] for name in node.written}
        crossing = {name for name in crossing if left.get(name, -1) > at}
        if len(crossing) == 1 and any(map(is_product, group)) and not _trailing(graph, buffer, min(crossing), at):
            yield group
            group = []
    if group:
        yield group


def require_forward(graph: Graph) -> None:
    """Raise `InputError` for a training step: rewrites of what it trains come before it."""
    if not all(node.outputs for node in graph.nodes):
        raise InputError(f"graph {graph.name} updates its weights: give rewrites of the network before train")


def _trailing(graph: Graph, buffer: dict[str, str], name: str, at: int) -> bool:
    """Whether the next node alone reads what goes on, and is an activation, a norm, a pooling or the like."""
    kind = KINDS.get(graph.nodes[at + 1].type)
    readers = [n for n in graph.nodes[at + 1 :] if name in {buffer[r] for r in n.read}]
    return (len(readers) == 1 or (kind is not None and kind.view)) and not is_product(readers[0])


def is_product(node: Node) -> bool:
    """Whether a node multiplies with weights or activations, rather than going over numbers once."""
    return node.type in PRODUCTS or node.type == "Attention" or node.type in RECURRENT
