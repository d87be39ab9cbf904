"""Automatic mixed precision: weights stay wide, and each operator computes in the format that its type asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.workloads.dtypes import DType, dtype
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import Edit

# PyTorch, "Automatic Mixed Precision package", Autocast Op Reference: CUDA operators that run in the narrow format, and
# those that run in fp32. Of all others, results are as wide as the widest operand.
NARROW = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Attention", "LSTM", "GRU", "RNN", "PRelu")
WIDE = (
    "LayerNormalization", "GroupNormalization", "RMSNormalization", "LpNormalization", "Softmax", "LogSoftmax", "Exp",
    "Log", "Pow", "Reciprocal", "ReduceSum", "CumSum", "Softplus", "Acos", "Asin", "Cosh", "Sinh", "Tan",
)  # fmt: skip
# Their own parameters do not widen the result.
AS_OPERAND = ("BatchNormalization", "InstanceNormalization")
FLOATS = ("fp32", "fp16", "bf16")


@dataclass(frozen=True, slots=True)
class Autocast:
    """Convert operands of products to `format` and of sums and exponentials to fp32, by a kernel each where needed.

    A tensor is converted once for all its readers in a pass, weights included.
    """

    format: str = "fp16"

    def __call__(self, graph: Graph) -> Graph:
        edit = Edit(graph)
        narrow, wide = dtype(self.format), dtype("fp32")
        cast: dict[tuple[str, str], str] = {}
        for node in graph.nodes:
            wanted = narrow if node.type in NARROW else wide if node.type in WIDE else None
            if wanted is None:
                result = _widest(edit, node)
                edit.keep(node)
            else:
                result = wanted
                inner = {name for part in node.parts for name in part.outputs}
                parts = tuple(_converted(edit, part, wanted, cast, inner) for part in node.parts)
                edit.keep(replace(parts[0], epilogue=parts[1:]))
            _set(edit, node, result)
        return edit.build()


def _converted(edit: Edit, node: Node, wanted: DType, cast: dict[tuple[str, str], str], inner: set[str]) -> Node:
    """The node on operands in the wanted format, with the conversions that this takes."""
    found = []
    for name in node.inputs:
        tensor = edit.tensors[name] if name and name not in inner else None
        if tensor is None or tensor.dtype.name not in FLOATS or tensor.dtype.name == wanted.name:
            found.append(name)
            continue
        if (name, wanted.name) not in cast:
            result = edit.free(f"{name}.{wanted.name}")
            edit.tensors[result] = replace(tensor, name=result, dtype=wanted, weight=False)
            edit.add(f"{name}.to_{wanted.name}", "Cast", [name], result=result)
            cast[name, wanted.name] = result
        found.append(cast[name, wanted.name])
    return replace(node, inputs=tuple(found))


def _widest(edit: Edit, node: Node) -> DType | None:
    """Format of a result that takes after its operands; None where none of them is a floating-point number."""
    names = [n for part in node.parts for n in part.inputs if n and edit.tensors[n].dtype.name in FLOATS]
    if node.type in AS_OPERAND:
        names = names[:1]
    return max((edit.tensors[n].dtype for n in names), key=lambda d: d.bits, default=None)


def _set(edit: Edit, node: Node, result: DType | None) -> None:
    for name in (n for part in node.parts for n in part.outputs):
        if result is not None and edit.tensors[name].dtype.name in FLOATS:
            edit.tensors[name] = replace(edit.tensors[name], dtype=result)
