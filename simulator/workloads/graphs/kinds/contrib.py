"""Fused operators that ONNX Runtime's graph optimiser writes into files (domain com.microsoft).

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.convolution import CONVOLUTION
from simulator.workloads.graphs.kinds.elementwise import broadcast
from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, same_shape, streamed
from simulator.workloads.graphs.kinds.product import PRODUCT
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import Gemm, Size


def _other(operands: Operands, at: int) -> Tensor:
    found = operands[at]
    assert found is not None
    return found


def _transposed(shape: Shape, flag: object) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2]) if flag and len(shape) > 1 else shape


def _product_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    a = _transposed(first(operands).shape, attributes.get("transA"))
    b = _transposed(_other(operands, 1).shape, attributes.get("transB"))
    return ((*broadcast(a[:-2], b[:-2]), a[-2], b[-1]),)


def _product_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    a, b, out = first(operands), _other(operands, 1), results[0]
    shape = _transposed(b.shape, attributes.get("transB"))
    pairs: Size = out.elements / (out.shape[-1] * out.shape[-2]) if len(shape) > 2 else 1
    rows = out.elements / (out.shape[-1] * pairs)
    return ((Gemm(rows, out.shape[-1], shape[-2], b.dtype, a.dtype, pairs), 1),)


def _skipped_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """A residual sum, written too where it is asked for, and a norm, in one pass."""
    return streamed(operands, results, 9.0, "skip_norm")


def _embedded_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Rows of words, places and segments, added and normalised: operands ids, segment ids, three tables, ..."""
    tokens = first(operands).shape
    return (*tokens, _other(operands, 2).shape[-1]), (tokens[0],)


def _embedded_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    tables = sum(1 for t in operands[2:5] if t is not None)
    return streamed((), results[:1], 10.0, "norm", reads=tables * results[0].bytes)


def _rotated_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Four multiplications and two sums for two numbers; sines and cosines are read from tables."""
    return streamed(operands[:1], results, 3.0, "rotary", reads=2.0 * first(operands).bytes)


def _pass(flops: float) -> Kind:
    return Kind(same_shape, lambda attributes, operands, results: streamed(operands, results, flops), pointwise=True)


def _halved(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shape = first(operands).shape
    return ((*shape[:-1], shape[-1] // 2),)


def _unblocked(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Channels from blocks of 8 or 16, the last of which may be padded, back to their own number."""
    n, c, *places = first(operands).shape
    channels = attributes.get("channels", c)
    return ((n, *places, channels) if attributes.get("channels_last") else (n, channels, *places),)


def _copied(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return streamed(operands, results, 0.0, "reorder")


CONTRIB = {
    "ReorderInput": Kind(same_shape, _copied),
    "ReorderOutput": Kind(_unblocked, _copied),
    "FusedConv": CONVOLUTION["Conv"],
    "FusedGemm": PRODUCT["Gemm"],
    "FusedMatMul": Kind(_product_shapes, _product_work),
    "TransposeMatMul": Kind(_product_shapes, _product_work),
    "SkipLayerNormalization": Kind(same_shape, _skipped_work),
    "SkipSimplifiedLayerNormalization": Kind(same_shape, _skipped_work),
    "EmbedLayerNormalization": Kind(_embedded_shapes, _embedded_work),
    "RotaryEmbedding": Kind(same_shape, _rotated_work),
    "QuickGelu": _pass(12.0),
    "BiasAdd": _pass(2.0),
    "BiasSplitGelu": Kind(_halved, lambda attributes, operands, results: streamed(operands, results, 18.0)),
}
