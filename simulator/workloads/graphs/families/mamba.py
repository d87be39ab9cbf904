"""Selective state space models (Gu and Dao, arXiv:2312.00752): a scan over the sequence in place of attention."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int,
    depth: int,
    state: int = 16,
    expand: int = 2,
    kernel: int = 4,
    vocabulary: int = 50280,
    tokens: int = 1024,
    classes: int = 0,
    patch: int = 1,
    materialised: bool = False,
) -> Graph:
    """Scores of the word after the last of `tokens`, or of `classes` of sequences of bytes in strides of `patch`.

    Scans that are `materialised` write and read their states at every token, as those without a fused kernel do.
    """
    g = Builder("mamba", format)
    if classes:
        x = g.conv(g.input(batch, 1, tokens * patch), width, patch, patch, pad=0, bias=True)
        x = g.add_node("Add", [g.transpose(x, 0, 2, 1)], weights=[(1, tokens, width)])
    else:
        x = g.embedding(g.input(batch, tokens, name="words"), vocabulary, width)
    for _ in range(depth):
        x = g.add(x, _mixed(g, g.rms_norm(x), expand * width, state, kernel, materialised))
    last = g.reshape(g.add_node("Slice", [g.rms_norm(x)], shape=[batch, 1, width], axes=[1]), batch, width)
    return g.build(g.linear(last, classes) if classes else g.add_node("Gemm", [last, "table_0"], transB=1))


def _mixed(g: Builder, x: str, inner: int, state: int, kernel: int, materialised: bool) -> str:
    """A gated block around a short convolution and the scan, whose rates and matrices depend on the operand."""
    batch, tokens, width = g.shape(x)
    rank = -(-int(width) // 16)
    y, gate = g.split(g.linear(x, 2 * inner, bias=False), 2, axis=-1)
    y = g.conv(g.transpose(y, 0, 2, 1), inner, kernel, groups=inner, pad=kernel - 1, bias=True)
    y = g.add_node("Slice", [y], shape=[batch, inner, tokens], axes=[2])
    y = g.transpose(g.act(y, "Silu"), 0, 2, 1)
    sizes = [rank, state, state]
    parts = g.add_node("Split", [g.linear(y, sum(sizes), bias=False)], outputs=3, axis=-1, split=sizes)
    rates = g.act(g.linear(parts, inner), "Softplus")
    matrix = g.weight(inner, state)
    y = g.add_node(
        "SelectiveScan", [y, rates, matrix, f"{parts}.1", f"{parts}.2"], weights=[(inner,)], materialised=materialised
    )
    return g.linear(g.mul(y, g.act(gate, "Silu")), width, bias=False)
