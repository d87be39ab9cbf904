"""Gradients of convolutions that have one value for each patch (Yang et al., arXiv:2301.00330)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import AnyOperator, Convolution, Elementwise, Gemm, Size


@dataclass(frozen=True, slots=True)
class FilterGradients:
    """Give gradients of convolutions' results one value for each `patch` x `patch` positions, behind `train`.

    A patch then needs the sum of its inputs alone, which is what is kept of them, and the sum of each filter over its
    window: both gradients become products of matrices over patches (section 3.2, equations 5 to 8).
    """

    patch: int = 2

    def __call__(self, graph: Graph) -> Graph:
        if self.patch < 1:
            raise InputError(f"filter-gradients: patch is {self.patch}: give a side of at least 1")
        found = _Filtered(graph, self.patch)
        nodes = [found.node(node) for node in graph.nodes]
        if not found.sums:
            raise InputError("filter-gradients: the graph has no gradient of a convolution: put it behind train")
        made = [row for name in graph.inputs for row in found.sums.get(name, [])]
        made += [row for node in nodes for row in found.after(node)]
        return replace(graph, tensors=found.tensors, nodes=tuple(made))


@dataclass
class _Filtered:
    graph: Graph
    patch: int
    sums: dict[str, list[Node]] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = dict(self.graph.tensors)

    def node(self, node: Node) -> Node:
        """A gradient of a convolution over patches; other nodes as they are."""
        work = node.attributes.get("work", ())
        op = work[0][0] if len(work) == 1 else None
        if node.type not in ("InputGradient", "WeightGradient") or not isinstance(op, Convolution):
            return node
        spatial = tuple(-(-size // self.patch) for size in self.tensors[node.inputs[0]].shape[2:])
        inputs = tuple(self._summed(name, spatial) for name in node.inputs)
        kernels = _of_inputs(op, spatial) if node.type == "InputGradient" else _of_weights(op, spatial)
        return replace(node, inputs=inputs, attributes={**node.attributes, "work": tuple((k, 1) for k in kernels)})

    def after(self, node: Node) -> list[Node]:
        """The node, and the sums over patches of what it gives."""
        return [node, *(s for name in node.outputs for s in self.sums.get(name, []))]

    def _summed(self, name: str, spatial: Shape) -> str:
        known = self.tensors[name]
        made = f"patches:{name}:{'x'.join(str(size) for size in spatial)}"
        if made not in self.tensors:
            shape = (*known.shape[:2], *spatial)
            self.tensors[made] = Tensor(made, shape, known.dtype)
            row = Node(made, "PatchSum", (name,), (made,), {"shapes": [shape], "flops": 1.0})
            self.sums.setdefault(name, []).append(row)
        return made


def _rows(op: Convolution, spatial: Shape) -> Size:
    return op.batch * product(spatial)


def _of_weights(op: Convolution, spatial: Shape) -> tuple[AnyOperator, ...]:
    """A product over patches gives the same value for all places of a window."""
    m, n = op.filters / op.groups, op.channels / op.groups
    return (Gemm(m, n, _rows(op, spatial), op.activation, op.activation, op.groups),)


def _of_inputs(op: Convolution, spatial: Shape) -> tuple[AnyOperator, ...]:
    """Filters summed over their windows, a product over patches, and each patch's value written to all its places."""
    m, n = op.filters / op.groups, op.channels / op.groups
    rows, full = _rows(op, spatial), op.batch * op.channels * op.read
    kernels: list[AnyOperator] = [Gemm(rows, n, m, op.weight, op.activation, op.groups)]
    if np.any(np.asarray(op.window) > 1):
        kernels.insert(0, Elementwise(op.filters * n, op.window, 1.0, op.window, op.weight))
    spread = Elementwise(full, rows * op.channels / full, 1.0, 0.0, op.activation)
    return (*kernels, spread)
