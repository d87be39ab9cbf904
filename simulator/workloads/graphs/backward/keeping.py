"""Which activations the backward pass of a node reads, by its type: rules of differentiation, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.kinds.recurrent import RECURRENT

# Gradients of their inputs need nothing but the gradient of their result (and weights).
LINEAR = {
    "Add", "Sub", "Sum", "Neg", "Cast", "Floor", "Ceil", "Round", "Sign", "AveragePool", "GlobalAveragePool",
    "AdaptiveAveragePool", "ReduceMean", "ReduceSum", "Transpose", "Concat", "Split", "Slice", "Expand", "Tile", "Pad",
    "SpaceToDepth", "DepthToSpace", "Resize", "Gather", "Where", "QuantizeLinear", "DequantizeLinear",
}  # fmt: skip
# Of the result one bit of each number is enough: whether the function is flat there.
SWITCHES = {"Relu", "LeakyRelu", "Clip", "HardSigmoid", "ThresholdedRelu", "Dropout", "Abs"}
# The derivative is a function of the result.
BY_RESULT = {"Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Exp", "Sqrt", "Reciprocal", "Elu", "Selu", "Softsign"}
# Sums of products of two operands: the gradient of each reads the other.
PRODUCTS = {"Conv", "ConvTranspose", "MatMul", "Gemm", "FusedConv", "FusedGemm", "FusedMatMul"}
# Their statistics are computed anew in training, so that gradients of inputs read the inputs.
NORMALISED = {"BatchNormalization", "LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization",
              "GroupNormalization", "InstanceNormalization", "LpNormalization", "LRN"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """Names of the activations that gradients of a node's inputs and of its weights read, besides the result's own."""

    for_inputs: tuple[str, ...] = ()
    for_weights: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.for_inputs, *self.for_weights)))


def kept_for(graph: Graph, node: Node, *, batch_statistics: bool = True) -> Kept:
    """What is kept of a node's operands and results; a type without a rule keeps its operands.

    Batch norms with fixed statistics (not `batch_statistics`) are a factor and a term for each channel.
    """
    activations = tuple(dict.fromkeys(n for n in node.inputs if n and not graph.tensors[n].weight))
    weighted = any(n and graph.tensors[n].weight for n in node.inputs)
    kind = KINDS.get(node.type)
    if node.type in LINEAR or (kind is not None and kind.view):
        return Kept()
    if node.type in SWITCHES or node.type in BY_RESULT:
        return Kept(node.outputs)
    if node.type in PRODUCTS or node.type == "Mul":
        return Kept((), activations) if weighted else Kept(activations)
    if node.type == "BatchNormalization" and not batch_statistics:
        return Kept((), activations)
    if node.type in RECURRENT:
        return Kept(node.outputs, activations)
    return Kept(activations, activations if weighted else ())
