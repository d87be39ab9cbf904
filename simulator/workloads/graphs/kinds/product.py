"""Matrix products: with weights, of two activations, and attention as two products around a softmax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.workloads.graphs.kinds.elementwise import broadcast
from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, agree, first
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Elementwise, Gemm
from simulator.workloads.operators.products import FullAttention


def _second(operands: Operands) -> Tensor:
    found = operands[1]
    assert found is not None
    return found


def _matmul_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    a, b = first(operands).shape, _second(operands).shape
    agree("MatMul", a[-1], b[-2] if len(b) > 1 else b[0])
    if len(b) == 1:
        return (a[:-1],)
    if len(a) == 1:
        return ((*b[:-2], b[-1]),)
    return ((*broadcast(a[:-2], b[:-2]), a[-2], b[-1]),)


def _matmul_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """One large product where the second factor is one matrix; else a product for each pair of matrices."""
    a, b, out = first(operands), _second(operands), results[0]
    k, n = a.shape[-1], (b.shape[-1] if len(b.shape) > 1 else 1)
    pairs = product(b.shape[:-2])
    rows = out.elements / (n * pairs)
    return ((Gemm(rows, n, k, b.dtype, a.dtype, pairs), 1),)


def _gemm_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    a, b = first(operands).shape, _second(operands).shape
    rows = a[1] if attributes.get("transA") else a[0]
    return ((rows, b[0] if attributes.get("transB") else b[1]),)


def _gemm_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    a, b, out = first(operands), _second(operands), results[0]
    k = a.shape[0] if attributes.get("transA") else a.shape[1]
    return ((Gemm(out.shape[0], out.shape[1], k, b.dtype, a.dtype), 1),)


def _attention_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    query, value = first(operands), operands[2]
    assert value is not None
    groups = attributes.get("q_num_heads", 1) // attributes.get("kv_num_heads", 1)
    return ((*query.shape[:-1], value.shape[-1] * groups),)


def _attention_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Scores, softmax and weighted sum for each head, the scores written and read; `share` of the pairs are looked at.

    Where it is `fused`, one kernel does all three and keeps scores on the chip. Operands are queries, keys and values
    (..., heads, tokens, width); keys may have fewer heads, each for several. With `q_num_heads` and `kv_num_heads` they
    are (batch, tokens, heads * width) (ONNX, Attention-23).
    """
    query, key, value = first(operands), _second(operands), operands[2]
    assert value is not None
    side = attributes.get("q_num_heads", 1)
    heads = product(query.shape[:-2]) * side
    tokens, attended = query.shape[-2], key.shape[-2] * attributes.get("share", 1.0)
    scores = heads * tokens * attended
    if attributes.get("fused"):
        keys, shared = np.maximum(key.shape[-2], attended), product(key.shape[:-2]) * attributes.get("kv_num_heads", 1)
        shape = (heads, tokens, keys, attended, query.shape[-1] / side, results[0].shape[-1] / side)
        return ((FullAttention(*shape, query.dtype, shared), 1),)
    return (
        (Gemm(tokens, attended, query.shape[-1] / side, key.dtype, query.dtype, heads), 1),
        (Elementwise(scores, 1.0, 1.0, 5.0, query.dtype, "softmax"), 1),
        (Gemm(tokens, results[0].shape[-1] / side, attended, value.dtype, query.dtype, heads), 1),
    )


PRODUCT = {
    "MatMul": Kind(_matmul_shapes, _matmul_work),
    "Gemm": Kind(_gemm_shapes, _gemm_work),
    "Attention": Kind(_attention_shapes, _attention_work),
}
