"""Attention of (batch, tokens, heads * width) with packed heads, caches and shared keys, as one operator.

Sources: onnxruntime, docs/ContribOperators.md (Attention, MultiHeadAttention, GroupQueryAttention); ONNX, Attention-23.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import Elementwise, Gemm, Size
from simulator.workloads.operators.products import DecodeAttention, FullAttention

MOST_DECODED = 16  # tokens a sequence up to which kernels for decoding are taken, drafts to be checked included


def _maybe(operands: Operands, at: int) -> Tensor | None:
    return operands[at] if at < len(operands) else None


def _cached(past: Tensor | None) -> Size:
    """Tokens of a cache (batch, heads, tokens, width)."""
    return 0 if past is None else past.shape[-2]


def attended(
    query: Tensor, key: Tensor, batch: Size, heads: Size, tokens: Size, seen: Size, width: Size, out: Size
) -> Work:
    """Scores of all pairs, softmax, and the weighted sum of values, for each head."""
    pairs = batch * heads
    return (
        (Gemm(tokens, seen, width, key.dtype, query.dtype, pairs), 1),
        (Elementwise(pairs * tokens * seen, 1.0, 1.0, 5.0, query.dtype, "softmax"), 1),
        (Gemm(tokens, out, seen, key.dtype, query.dtype, pairs), 1),
    )


def _packed_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Operands x, weights (width, 3 * inner), bias, mask, past: the projection is part of the operator."""
    x, inner = first(operands), _inner(attributes, operands)
    return ((*x.shape[:-1], inner),)


def _inner(attributes: Attributes, operands: Operands) -> Size:
    """Width of the values; `qkv_hidden_sizes` states all three where they differ."""
    sizes = attributes.get("qkv_hidden_sizes")
    weights = operands[1]
    assert weights is not None
    return sizes[2] if sizes else weights.shape[-1] // 3


def _packed_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    x, weights, heads = first(operands), operands[1], attributes["num_heads"]
    assert weights is not None
    batch, tokens, features = x.shape
    out = _inner(attributes, operands)
    width = (weights.shape[-1] - out) // 2
    seen = tokens + _cached(_maybe(operands, 4))
    projection = Gemm(batch * tokens, weights.shape[-1], features, weights.dtype, x.dtype)
    return ((projection, 1), *attended(x, x, batch, heads, tokens, seen, width / heads, out / heads))


def _heads_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Operands query, key, value; a query (batch, tokens, heads, 3, width) holds all three."""
    query, value = first(operands), _maybe(operands, 2)
    if len(query.shape) == 5:
        return ((*query.shape[:2], query.shape[2] * query.shape[4]),)
    if value is None:
        return (query.shape,)
    heads = attributes["num_heads"]
    out = value.shape[-1] if len(value.shape) == 3 else heads * value.shape[-1]
    return ((*query.shape[:2], out),)


def _heads_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    query, key, heads = first(operands), _maybe(operands, 1), attributes["num_heads"]
    batch, tokens = query.shape[:2]
    out = results[0].shape[-1] / heads
    width = query.shape[4] if len(query.shape) == 5 else query.shape[-1] / heads
    own = tokens if key is None else key.shape[1] if len(key.shape) != 4 else key.shape[2]
    seen = own + _cached(_maybe(operands, 6))
    return attended(query, query if key is None else key, batch, heads, tokens, seen, width, out)


def _grouped_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Operands query, key, value, past key, past value; without keys the query holds all three."""
    query, shared = first(operands), attributes["kv_num_heads"]
    heads, past = attributes["num_heads"], _cached(_maybe(operands, 3))
    batch, tokens = query.shape[:2]
    packed = _maybe(operands, 1) is None
    width = query.shape[2] // (heads + 2 * shared) if packed else query.shape[2] // heads
    present = (batch, shared, tokens + past, width)
    return (batch, tokens, heads * width), present, present


def _grouped_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Heads that share keys read them once: their queries are rows of one product.

    Of all pairs the `share` is looked at that causality and windows leave. With `split` one kernel does all of it and
    deals the cache to a device's units in this way; prompts have rows enough for kernels of whole sequences.
    """
    query, heads, shared = first(operands), attributes["num_heads"], attributes["kv_num_heads"]
    batch, tokens, width = query.shape[0], query.shape[1], results[0].shape[2] / heads
    known = tokens + _cached(_maybe(operands, 3))
    seen = known * attributes.get("share", 1.0)
    key = _maybe(operands, 3) or _maybe(operands, 1) or query
    if "split" in attributes:
        group = tokens * heads / shared
        if tokens > MOST_DECODED:
            whole = FullAttention(batch * heads, tokens, known, seen, width, width, query.dtype, batch * shared)
            return ((whole, 1),)
        return (
            (DecodeAttention(batch, shared, group, seen, width, width, query.dtype, key.dtype, attributes["split"]), 1),
        )
    return attended(query, key, batch, shared, tokens * heads / shared, seen, width, width)


FUSED_ATTENTION = {
    "PackedAttention": Kind(_packed_shapes, _packed_work),
    "MultiHeadAttention": Kind(_heads_shapes, _heads_work),
    "GroupQueryAttention": Kind(_grouped_shapes, _grouped_work),
}
