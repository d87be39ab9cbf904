"""Recurrences over a sequence that are not matrix products step by step: selective scans, linear attention."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, same_shape, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Gemm


def _scan_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """h = exp(delta A) h + delta B x, y = C h + D x for each channel's `state` numbers (Gu and Dao, arXiv:2312.00752).

    Operands are x (batch, tokens, channels), delta alike, A (channels, state), B and C (batch, tokens, state), and D.
    About 9 FLOPs a number of the state and token. States stay on the chip, or are written and read back at every token
    where `materialised` says so.
    """
    rates = operands[2]
    assert rates is not None
    state = rates.shape[-1]
    held = sum((t.bytes for t in operands if t is not None), 0.0)
    if attributes.get("materialised"):
        held = held + 2.0 * first(operands).bytes * state
    return streamed(operands, results, 9.0 * state, "scan", reads=held)


def _linear_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    query, value = first(operands), operands[2]
    assert value is not None
    return ((*query.shape[:-1], value.shape[-1]),)


def _linear_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Attention without softmax: keys and values are summed to one matrix a head, which queries multiply.

    Operands are queries, keys and values (..., heads, tokens, width). With a `chunk` (causal), tokens also meet those
    of their own chunk pair by pair, and the matrix is carried from chunk to chunk (Yang et al., arXiv:2312.06635, 3).
    """
    query, key, value = first(operands), operands[1], operands[2]
    assert key is not None
    assert value is not None
    heads, tokens, inner, width = product(query.shape[:-2]), query.shape[-2], query.shape[-1], value.shape[-1]
    chunk = attributes.get("chunk")
    if not chunk:
        return (
            (Gemm(inner, width, key.shape[-2], value.dtype, key.dtype, heads), 1),
            (Gemm(tokens, width, inner, value.dtype, query.dtype, heads), 1),
        )
    pieces = heads * (tokens / chunk)
    return (
        (Gemm(inner, width, chunk, value.dtype, key.dtype, pieces), 1),
        (Gemm(chunk, chunk, inner, key.dtype, query.dtype, pieces), 1),
        (Gemm(chunk, width, chunk, value.dtype, query.dtype, pieces), 1),
        (Gemm(chunk, width, inner, value.dtype, query.dtype, pieces), 1),
    )


SCAN = {"SelectiveScan": Kind(same_shape, _scan_work), "LinearAttention": Kind(_linear_shapes, _linear_work)}
