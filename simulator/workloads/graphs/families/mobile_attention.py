"""Attention blocks of MobileNetV4's hybrid models (Qin et al., arXiv:2404.10518, section 3.2), by themselves."""

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
    width: int = 512,
    side: int = 12,
    heads: int = 8,
    head_width: int = 64,
    shared: bool = True,
    depth: int = 1,
) -> Graph:
    """`depth` blocks on a map of `side` x `side`; keys and values are `shared` by all heads or there for each."""
    g = Builder("mobile-attention", format)
    x = g.input(batch, width, side, side)
    for _ in range(depth):
        y = _attended(g, g.batch_norm(x), heads, head_width, 1 if shared else heads)
        x = g.add(x, g.add_node("Mul", [y], weights=[(width, 1, 1)]))
    return g.build(x)


def _attended(g: Builder, x: str, heads: int, head_width: int, groups: int) -> str:
    n, c, h, w = g.shape(x)
    tokens = int(h) * int(w)
    parts = [
        g.transpose(g.reshape(g.conv(x, count * head_width), n, count, head_width, tokens), 0, 1, 3, 2)
        for count in (heads, groups, groups)
    ]
    y = g.transpose(g.attention(parts[0], parts[1], parts[2]), 0, 1, 3, 2)
    return g.conv(g.reshape(y, n, heads * head_width, h, w), c)
