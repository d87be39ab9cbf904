"""Make a graph of another one: nodes kept, changed or added, shapes following from the operands anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from simulator.errors import unknown_name
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Size


class Edit:
    """Collects nodes of a graph to be; `tensors` start as those of the old one."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = dict(graph.tensors)
        self.nodes: list[Node] = []

    def keep(self, node: Node, **changes: Any) -> None:
        """A node as it is or with changed fields; its results take the shapes that follow from its operands."""
        node = replace(node, **changes) if changes else node
        attributes = self._refitted(node)
        node = node if attributes is node.attributes else replace(node, attributes=attributes)
        for part in node.parts:
            self._infer(part)
        self.nodes.append(node)

    def add(
        self,
        name: str,
        type: str,
        operands: Sequence[str],
        *,
        weights: Sequence[Shape] = (),
        format: DType | None = None,
        result: str | None = None,
        repeat: Size = 1,
        **attributes: Any,
    ) -> str:
        """Another node with weights of these shapes behind its operands. Gives its result's name, `result` if given.

        Weights are of the `format` of the first operand, or of the one given.
        """
        name = self.free(name)
        like = self.tensors[operands[0]].dtype
        names = list(operands)
        for number, shape in enumerate(weights):
            names.append(self.weight(f"{name}.weight_{number}", shape, format or like))
        result = result or name
        if result not in self.tensors:
            self.tensors[result] = Tensor(result, (), like)
        node = Node(name, type, tuple(names), (result,), attributes, repeat)
        self._infer(node)
        self.nodes.append(node)
        return result

    def weight(self, name: str, shape: Shape, format: DType) -> str:
        """A weight of the graph to be."""
        self.tensors[name] = Tensor(name, tuple(shape), format, weight=True)
        return name

    def free(self, name: str) -> str:
        """This name, or with a number behind it if there is a node or a tensor of it."""
        taken = {n.name for n in self.nodes} | set(self.tensors)
        return name if name not in taken else next(f"{name}_{i}" for i in range(2, 10**6) if f"{name}_{i}" not in taken)

    def build(self, **changes: Any) -> Graph:
        """The graph of the collected nodes."""
        return replace(self.graph, tensors=self.tensors, nodes=tuple(self.nodes), **changes)

    def _infer(self, node: Node) -> None:
        kind = KINDS.get(node.type)
        if kind is None:
            return
        shapes = kind.shapes(node.attributes, [self.tensors[n] if n else None for n in node.inputs])
        for name, shape in zip(node.outputs, shapes, strict=False):
            self.tensors[name] = replace(self.tensors[name], shape=tuple(shape))

    def _refitted(self, node: Node) -> Mapping[str, Any]:
        """Attributes with a stated shape or split that fits operands of another size than before."""
        if not node.inputs or node.inputs[0] not in self.graph.tensors:
            return node.attributes
        before, now = self.graph.tensors[node.inputs[0]].shape, self.tensors[node.inputs[0]].shape
        if "shape" not in node.attributes or len(before) != len(now) or _same(before, now):
            return node.attributes
        shape = refitted(node.attributes["shape"], before, now, whole=node.type == "Reshape")
        return {**node.attributes, "shape": shape}


def refitted(stated: Sequence[Size], before: Shape, now: Shape, *, whole: bool) -> list[Size]:
    """A stated shape for an operand that has grown or shrunk from `before` to `now`.

    A dimension that stood at the same place of the operand takes its size; where all numbers stay (`whole`), the first
    of the others takes up what is left.
    """
    same = [i < len(before) and bool(np.array_equal(size, before[i])) for i, size in enumerate(stated)]
    found = [now[i] if same[i] else size for i, size in enumerate(stated)]
    if whole and not any(isinstance(size, int) and size == -1 for size in stated):
        other = next((i for i, kept in enumerate(same) if not kept), None)
        if other is not None:
            rest = product(tuple(size for i, size in enumerate(found) if i != other))
            found[other] = product(now) // rest
    return found


def resized(graph: Graph, shapes: Mapping[str, Shape]) -> Graph:
    """The same network on inputs of other shapes."""
    edit = Edit(graph)
    for name, shape in shapes.items():
        edit.tensors[name] = replace(edit.tensors[name], shape=shape)
    for node in graph.nodes:
        edit.keep(node)
    return edit.build()


def live(graph: Graph) -> Graph:
    """Without nodes whose results nobody reads; inputs that are left over go too."""
    wanted = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.written):
            kept.append(node)
            wanted.update(node.read)
    inputs = tuple(name for name in graph.inputs if name in wanted)
    return replace(graph, nodes=tuple(reversed(kept)), inputs=inputs)


def given(graph: Graph, names: Iterable[str]) -> Graph:
    """The graph with these tensors known beforehand: they are inputs, and what only they needed is left out."""
    known = set(names)
    nodes = tuple(n for n in graph.nodes if not known.intersection(n.written))
    return live(replace(graph, nodes=nodes, inputs=(*graph.inputs, *sorted(known.difference(graph.inputs)))))


def chosen(graph: Graph, patterns: Sequence[str], what: str) -> list[Node]:
    """Nodes whose name or type fits one of the patterns. Raises `InputError` for a pattern that fits none."""
    found: dict[str, Node] = {}
    for pattern in patterns:
        fits = [n for n in graph.nodes if fnmatchcase(n.name, pattern) or fnmatchcase(n.type, pattern)]
        if not fits:
            raise unknown_name(f"{what}: node", pattern, [n.name for n in graph.nodes], remedy="(or a type)")
        found |= {n.name: n for n in fits}
    return list(found.values())


def weighted(graph: Graph, node: Node) -> Tensor | None:
    """The matrix or the filters of a product with weights, None for all other nodes."""
    from simulator.workloads.graphs.rewrites.fusing import PRODUCTS

    second = node.inputs[1] if node.type in PRODUCTS and len(node.inputs) > 1 else ""
    return graph.tensors[second] if second and graph.tensors[second].weight else None


def _same(one: Shape, other: Shape) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
