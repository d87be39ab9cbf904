"""A model as a plain list of layers, each a few operators on one sample."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.operators import Aggregation, Collective, Convolution, Elementwise, Gather, Gemm

GraphOperator = Gemm | Convolution | Elementwise | Gather | Aggregation | Collective


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the forward pass on one sample.

    `parameters` are its weights; None: the one matrix of a product, the filters of a convolution, else none. `kept`
    are the numbers of a sample that its backward pass needs; None: what it reads, 0 where another node keeps them.
    """

    name: str
    op: GraphOperator
    parameters: float | None = None
    kept: float | None = None

    @property
    def weights(self) -> float:
        """Number of parameters."""
        if self.parameters is not None:
            return self.parameters
        if isinstance(self.op, Gemm):
            return float(self.op.n * self.op.k) if self.op.batch == 1.0 else 0.0
        if isinstance(self.op, Convolution):
            _, n, k = self.op.product
            return float(n * k * self.op.groups)
        return 0.0


@dataclass(frozen=True, slots=True)
class GraphLayer:
    """Nodes that run one after the other and stay on one stage of a pipeline."""

    nodes: tuple[Node, ...]

    def parameters(self) -> float:
        return sum(node.weights for node in self.nodes)


@dataclass(frozen=True, slots=True)
class LayerGraph:
    """A model of `layers` in order."""

    name: str
    layers: tuple[GraphLayer, ...]

    def parameters(self) -> float:
        return sum(layer.parameters() for layer in self.layers)


def read(op: GraphOperator) -> float:
    """Numbers of activations that an operator reads; a gather reads indices only."""
    if isinstance(op, Gemm):
        return float(op.m * op.k * op.batch)
    if isinstance(op, Convolution):
        return float(op.batch * op.channels * op.read)
    if isinstance(op, Elementwise):
        return float(op.elements * op.reads)
    return float(op.vertices * op.columns) if isinstance(op, Aggregation) else 0.0


def written(op: GraphOperator) -> float:
    """Numbers of activations that an operator writes."""
    if isinstance(op, Gemm):
        return float(op.m * op.n * op.batch)
    if isinstance(op, Convolution):
        return float(op.results)
    if isinstance(op, Elementwise):
        return float(op.elements * op.writes)
    if isinstance(op, Gather):
        return float(op.rows * op.columns)
    return float(op.vertices * op.columns) if isinstance(op, Aggregation) else 0.0
