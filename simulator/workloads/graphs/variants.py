"""How a node's products are done, where a rewrite has said so: with zeros, bit by bit, by tables, at some positions.

Formats and sparsity stand on the weight, the rest in attributes: `lookup` (inputs to a table), `dense_kernel` (zeros
are multiplied too), `kept_positions` (the share of a convolution's positions that is computed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.workloads.graphs.kinds.kind import Attributes, Operands, Work
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.operators import AnyOperator, Convolution, Fused, Gemm
from simulator.workloads.operators.products import BitSerial, Lookup, Sparse
from simulator.workloads.sparsity import pattern


def varied(attributes: Attributes, operands: Operands, results: Sequence[Tensor], work: Work) -> Work:
    """Products of a node's work in the way that its weights and attributes ask for; all else as it is."""
    if not operands or not results:
        return work
    weight = next((t for t in operands[1:] if t is not None and t.weight), None)
    found = tuple((_varied(attributes, weight, op), count) for op, count in work)
    if len(found) == 1 and isinstance(work[0][0], Gemm | Convolution):
        return ((_written(operands[0], results[0], found[0][0]), found[0][1]),)
    return found


def _varied(attributes: Attributes, weight: Tensor | None, op: AnyOperator) -> AnyOperator:
    if not isinstance(op, Gemm | Convolution):
        return op
    if isinstance(op, Convolution) and "kept_positions" in attributes:
        kept = op.positions * attributes["kept_positions"]
        op = replace(op, positions=kept, written=op.results / (op.batch * op.filters))
    return _product(attributes, weight, op)


def _product(attributes: Attributes, weight: Tensor | None, op: Gemm | Convolution) -> AnyOperator:
    if weight is None:
        return op
    if "lookup" in attributes:
        return Lookup(op, weight.dtype.bits, attributes["lookup"])
    if weight.pattern != "dense":
        return Sparse(op, weight.density, pattern(weight.pattern), bool(attributes.get("dense_kernel")))
    if weight.dtype.compute == "binary":
        return BitSerial(op, weight.dtype.bits * op.activation.bits)
    return op


def _written(image: Tensor | None, out: Tensor, op: AnyOperator) -> AnyOperator:
    """Results of another format than the inputs': accumulators, mostly."""
    if image is None or image.dtype.bytes == out.dtype.bytes:
        return op
    return Fused(op, 0.0, out.elements * (out.dtype.bytes - image.dtype.bytes))
