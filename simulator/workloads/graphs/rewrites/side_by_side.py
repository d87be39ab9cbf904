"""Horizontal fusion: products of one tensor become one kernel that is as wide as all of them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import Edit, weighted

WIDE = {"MatMul": "ParallelMatMul", "Conv": "ParallelConv"}


@dataclass(frozen=True, slots=True)
class FuseSideBySide:
    """Join products with weights that read the same tensor, such as queries, keys and values, with their terms.

    Convolutions join those with the same window. At most `width` products join.
    """

    width: int = 8

    def __call__(self, graph: Graph) -> Graph:
        groups = self._groups(graph)
        lead = {nodes[0].name: nodes for nodes in groups}
        terms = {node.name: term for nodes in groups for node in nodes if (term := _term(graph, node)) is not None}
        gone = {n.name for nodes in groups for n in nodes} | {term.name for term in terms.values()}
        edit = Edit(graph)
        for node in graph.nodes:
            if nodes := lead.get(node.name):
                operands, results = [node.inputs[0]], []
                for each in nodes:
                    term = terms.get(each.name)
                    own = each.inputs[2] if len(each.inputs) > 2 else ""
                    operands += [each.inputs[1], own if term is None else _weight_of(graph, term)]
                    results.append((term or each).outputs[0])
                edit.keep(node, type=WIDE[node.type], inputs=tuple(operands), outputs=tuple(results))
            elif node.name not in gone:
                edit.keep(node)
        return edit.build()

    def _groups(self, graph: Graph) -> list[list[Node]]:
        found: dict[Hashable, list[Node]] = {}
        for node in graph.nodes:
            weight = weighted(graph, node)
            if weight is None or node.type not in WIDE or node.epilogue or node.attributes.get("group", 1) != 1:
                continue
            same = (str(weight.shape[2:]), str(sorted(node.attributes.items()))) if node.type == "Conv" else ""
            key = (node.type, node.inputs[0], weight.dtype.name, weight.pattern, str(node.repeat), same)
            found.setdefault(key, []).append(node)
        return [nodes[: self.width] for nodes in found.values() if len(nodes) > 1]


def _term(graph: Graph, node: Node) -> Node | None:
    """The addition of a weight that alone reads a product's result."""
    readers = graph.consumers.get(node.outputs[0], ())
    if len(readers) != 1 or readers[0].type != "Add" or readers[0].epilogue or node.outputs[0] in graph.outputs:
        return None
    return readers[0] if _weight_of(graph, readers[0]) else None


def _weight_of(graph: Graph, node: Node) -> str:
    return next((n for n in node.inputs if graph.tensors[n].weight), "")
