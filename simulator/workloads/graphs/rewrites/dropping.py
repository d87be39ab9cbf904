"""Leave out operators and blocks: depth pruning, and what runs only for some inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import chosen, live


@dataclass(frozen=True, slots=True)
class Drop:
    """Replace the nodes of these names or types by their operand of the same shape that was made first.

    Of a residual addition that is the shortcut, so that the whole block goes. `every` drops only each n-th of them, the
    n-th first; `share` keeps a node for this share of inputs and skips it for the others (dynamic depth): expected
    work. LD-Pruner (arXiv:2404.11936) drops operators of a denoising network so.
    """

    nodes: Sequence[str] = ()
    every: int = 1
    kept: float = 0.0

    def __call__(self, graph: Graph) -> Graph:
        if not self.nodes:
            raise InputError("drop: give nodes, names or types of what goes")
        if not 0.0 <= self.kept < 1.0 or self.every < 1:
            raise InputError("drop: give kept from 0 to below 1, and every of at least 1")
        instead = {node.name: _instead(graph, node) for node in chosen(graph, self.nodes, "drop.nodes")}
        found = [name for name, operand in instead.items() if operand is not None]
        gone = {name: instead[name] or "" for name in found[self.every - 1 :: self.every]}
        if not gone:
            raise InputError(f"drop: none of {', '.join(self.nodes)} has an operand of its result's shape: name others")
        without = live(_without(graph, gone))
        if not self.kept:
            return without
        left = {node.name for node in without.nodes}
        return graph.with_nodes(
            node if node.name in left else replace(node, repeat=node.repeat * self.kept) for node in graph.nodes
        )


def _without(graph: Graph, gone: dict[str, str]) -> Graph:
    """The graph with each of these nodes' results replaced by the operand."""
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(renamed.get(n, n) for n in node.inputs)
        if node.name in gone:
            renamed[node.outputs[0]] = renamed.get(gone[node.name], gone[node.name])
        else:
            parts = tuple(replace(p, inputs=tuple(renamed.get(n, n) for n in p.inputs)) for p in node.epilogue)
            nodes.append(replace(node, inputs=inputs, epilogue=parts))
    return replace(graph, nodes=tuple(nodes), outputs=tuple(renamed.get(n, n) for n in graph.outputs))


def _instead(graph: Graph, node: Node) -> str | None:
    """The operand of the result's shape that was made first; None where there is none."""
    if len(node.outputs) != 1 or node.epilogue:
        return None
    shape = graph.tensors[node.outputs[0]].shape
    made = {name: i for i, n in enumerate(graph.nodes) for name in n.written}
    fits = [
        name
        for name in node.inputs
        if name and not graph.tensors[name].weight and _same(graph.tensors[name].shape, shape)
    ]
    return min(fits, key=lambda name: made.get(name, -1), default=None)


def _same(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))  # type: ignore[arg-type]
