"""Encoders of text with relative places and gated products: T5 and UMT5 (arXiv:1910.10683; arXiv:2304.09151)."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import heads_of, joined_heads
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

BUCKETS = 32  # of distances


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 4096,
    depth: int = 24,
    heads: int = 64,
    head_width: int = 64,
    hidden: int = 10240,
    vocabulary: int = 32128,
    own_places: bool = False,
    tokens: int = 512,
) -> Graph:
    """`depth` layers on `tokens` words; the terms for distances are the first layer's, or each layer's own (UMT5)."""
    g = Builder("text-to-text", format)
    x = g.embedding(g.input(batch, tokens, name="words"), vocabulary, width)
    places = g.weight(BUCKETS, heads)
    for number in range(depth):
        if number and own_places:
            places = g.weight(BUCKETS, heads)
        y = g.rms_norm(x)
        query, key, value = (heads_of(g, g.linear(y, heads * head_width, bias=False), heads) for _ in range(3))
        y = joined_heads(g, g.add_node("Attention", [query, key, value, places]))
        x = g.add(x, g.linear(y, width, bias=False))
        y = g.rms_norm(x)
        gate = g.act(g.linear(y, hidden, bias=False), "Gelu")
        x = g.add(x, g.linear(g.mul(gate, g.linear(y, hidden, bias=False)), width, bias=False))
    return g.build(g.rms_norm(x))
