"""Structural re-parameterisation: parallel branches of convolutions, norms and shortcuts become one convolution.

RepVGG (arXiv:2101.03697, 3.3), MobileOne (arXiv:2206.04040, 3.2): all branches are linear, so that their sum is a
convolution with the largest window, to which smaller ones are padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import Edit, live

SUMS = ("Add", "Sum")


@dataclass(frozen=True, slots=True)
class _Branch:
    """A linear branch from `source`: its convolution, None where it is a shortcut."""

    source: str
    conv: Node | None


@dataclass(frozen=True, slots=True)
class Reparameterise:
    """Merge sums whose operands are all linear in one tensor, and norms of a shortcut, into single convolutions."""

    def __call__(self, graph: Graph) -> Graph:
        edit = Edit(graph)
        for node in graph.nodes:
            merged = self._merged(graph, node)
            if merged is None:
                edit.keep(node)
            else:
                self._add(edit, node, *merged)
        return live(edit.build())

    def _merged(self, graph: Graph, node: Node) -> tuple[str, Node] | None:
        """The tensor and the branch with the largest window, if the node is a sum that can be merged."""
        if node.type not in SUMS or node.epilogue:
            return None
        branches = [_branch(graph, name) for name in _operands(graph, node)]
        sources = {b.source for b in branches if b is not None}
        convs = [b.conv for b in branches if b is not None and b.conv is not None]
        if None in branches or len(sources) != 1 or not convs:
            return None
        steps = {str(c.attributes.get("strides")) for c in convs}
        groups = [c.attributes.get("group", 1) for c in convs]
        if len(steps) > 1 or not all(np.array_equal(g, groups[0]) for g in groups):
            return None
        largest = max(convs, key=lambda c: float(np.prod([float(np.max(s)) for s in _window(graph, c)])))
        return sources.pop(), largest

    @staticmethod
    def _add(edit: Edit, node: Node, source: str, conv: Node) -> None:
        weight = edit.graph.tensors[conv.inputs[1]]
        attributes: dict[str, Any] = dict(conv.attributes)
        edit.add(
            f"{node.name}.merged", "Conv", [source], weights=[weight.shape, (weight.shape[0],)], format=weight.dtype,
            result=node.outputs[0], repeat=node.repeat, **attributes,
        )  # fmt: skip


def _operands(graph: Graph, node: Node) -> list[str]:
    """What a sum adds up, through sums that only it reads."""
    found: list[str] = []
    for name in node.inputs:
        inner = graph.producer.get(name)
        alone = inner is not None and inner.type in SUMS and not inner.epilogue and len(graph.consumers[name]) == 1
        found += _operands(graph, inner) if alone and inner is not None else [name]
    return found


def _branch(graph: Graph, name: str) -> _Branch | None:
    """The branch that ends in a tensor; a norm or a convolution that others read too starts there as a shortcut."""
    node = graph.producer.get(name)
    if node is None or len(graph.consumers[name]) > 1 or name in graph.outputs or node.epilogue:
        return _Branch(name, None)
    if node.type == "BatchNormalization":
        before = graph.producer.get(node.inputs[0])
        if before is not None and before.type == "Conv" and len(graph.consumers[node.inputs[0]]) == 1:
            return _Branch(before.inputs[0], before)
        return _Branch(node.inputs[0], None)
    return _Branch(node.inputs[0], node) if node.type == "Conv" else _Branch(name, None)


def _window(graph: Graph, conv: Node) -> tuple[Any, ...]:
    return graph.tensors[conv.inputs[1]].shape[2:]
