"""Which channels of a graph's tensors are the same: they can only be removed together.

Additions tie the channels of their operands, depth-wise convolutions and norms pass theirs on, concatenations lay
channels of several tensors side by side. Where a node mixes channels in a way that is not known here, they stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.rewrites.editing import weighted
from simulator.workloads.graphs.tensor import product
from simulator.workloads.operators import Size

# A run of channels: its group, and how many numbers of the tensor's axis each of its channels is.
Segment = tuple[int, Size]
PASSING = ("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Pad")


class Channels:
    """Groups of channels that go together; `size` of each, whether it is `frozen`, and which nodes `make` it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sizes: list[Size] = []
        self.frozen: set[int] = set()
        self.makers: dict[int, list[Node]] = {}
        self._parent: list[int] = []
        self._segments: dict[str, list[Segment]] = {}
        for name in graph.inputs:
            self._freeze(self._fresh(name))
        for node in graph.nodes:
            for part in node.parts:
                self._pass(part)
        for name in graph.outputs:
            self._freeze(self.of(name))

    def of(self, name: str) -> list[Segment]:
        """Segments of a tensor's channels."""
        return [(self.root(group), copies) for group, copies in self._segments[name]]

    def root(self, group: int) -> int:
        while self._parent[group] != group:
            group = self._parent[group]
        return group

    def groups(self) -> list[int]:
        """All groups that can shrink."""
        frozen = {self.root(g) for g in self.frozen}
        return [g for g in range(len(self.sizes)) if self.root(g) == g and g not in frozen]

    def made_by(self, group: int) -> list[Node]:
        """Products whose filters are the channels of a group."""
        return [node for g, nodes in self.makers.items() if self.root(g) == group for node in nodes]

    def _pass(self, node: Node) -> None:
        rule = self._rule(node)
        if rule is None:
            self._mixed(node)
        else:
            rule(node)

    def _rule(self, node: Node) -> Callable[[Node], None] | None:
        kind = KINDS.get(node.type)
        image = self._rank(node) > 3
        if node.type == "Conv" and image:
            return self._convolved
        if weighted(self.graph, node) is not None and node.type in ("MatMul", "Gemm") and not image:
            return self._multiplied
        if node.type == "Concat" and self._along_channels(node):
            return self._laid_side_by_side
        if node.type == "Flatten" and node.attributes.get("axis", 1) == 1 and image:
            return self._flattened
        if (node.type in PASSING and image) or (kind is not None and kind.pointwise):
            return self._tied
        return None

    def _along_channels(self, node: Node) -> bool:
        shape = self.graph.tensors[node.inputs[0]].shape
        whole = all(name in self._segments for name in node.inputs)
        return whole and node.attributes["axis"] % len(shape) == channel_axis(shape)

    def _rank(self, node: Node) -> int:
        return len(self.graph.tensors[node.inputs[0]].shape)

    def _convolved(self, node: Node) -> None:
        groups, before = node.attributes.get("group", 1), self.graph.tensors[node.inputs[0]].shape[1]
        filters = self.graph.tensors[node.inputs[1]].shape[0]
        if np.array_equal(groups, 1):
            self._made(node)
        elif np.array_equal(groups, before) and np.array_equal(filters, before):
            self._segments[node.outputs[0]] = self._segments[node.inputs[0]]
        else:
            self._mixed(node)

    def _multiplied(self, node: Node) -> None:
        if node.attributes.get("transB") or node.attributes.get("transA"):
            self._mixed(node)
        else:
            self._made(node)

    def _made(self, node: Node) -> None:
        ((group, _),) = self._fresh(node.outputs[0])
        self.makers.setdefault(group, []).append(node)

    def _tied(self, node: Node) -> None:
        """Operands of the result's channels go together; weights and single numbers follow."""
        out = self.graph.tensors[node.outputs[0]]
        names = [n for n in node.inputs if n and not self.graph.tensors[n].weight]
        wide = [
            n
            for n in names
            if n in self._segments and np.array_equal(_width(self.graph.tensors[n].shape), _width(out.shape))
        ]
        if not wide:
            self._mixed(node)
            return
        first = self._segments[wide[0]]
        for other in wide[1:]:
            self._join(first, self._segments[other])
        self._segments[node.outputs[0]] = first

    def _laid_side_by_side(self, node: Node) -> None:
        self._segments[node.outputs[0]] = [s for name in node.inputs for s in self._segments[name]]

    def _flattened(self, node: Node) -> None:
        places = product(self.graph.tensors[node.inputs[0]].shape[2:])
        self._segments[node.outputs[0]] = [(g, copies * places) for g, copies in self._segments[node.inputs[0]]]

    def _mixed(self, node: Node) -> None:
        """Channels go in and come out in an order that is not followed: all of them stay."""
        for name in node.inputs:
            if name in self._segments:
                self._freeze(self._segments[name])
        for name in node.outputs:
            self._freeze(self._fresh(name))

    def _fresh(self, name: str) -> list[Segment]:
        self._parent.append(len(self._parent))
        self.sizes.append(_width(self.graph.tensors[name].shape))
        self._segments[name] = [(len(self._parent) - 1, 1)]
        return self._segments[name]

    def _freeze(self, segments: Sequence[Segment]) -> None:
        self.frozen.update(group for group, _ in segments)

    def _join(self, one: Sequence[Segment], other: Sequence[Segment]) -> None:
        """Tie two tensors' channels; where they are cut differently both stay."""
        if len(one) != len(other) or any(a[1] != b[1] for a, b in zip(one, other, strict=True)):
            self._freeze([*one, *other])
            return
        for (a, _), (b, _) in zip(one, other, strict=True):
            self._parent[self.root(b)] = self.root(a)


def channel_axis(shape: Sequence[Size]) -> int:
    """The second dimension of images (batch, channels, ...), the last of vectors and of sequences of them."""
    return 1 if len(shape) > 3 else len(shape) - 1


def _width(shape: Sequence[Size]) -> Size:
    return shape[channel_axis(shape)] if len(shape) > 1 else 1
