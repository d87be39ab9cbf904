"""Layers of transformers on sequences (batch, tokens, width), and encoders of words as BERT's."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32, Shape
from simulator.workloads.operators import Size


def heads_of(g: Builder, x: str, heads: int) -> str:
    """(batch, tokens, width) as (batch, heads, tokens, width / heads)."""
    batch, tokens, width = g.shape(x)
    return g.transpose(g.reshape(x, batch, tokens, heads, width // heads), 0, 2, 1, 3)


def joined_heads(g: Builder, x: str) -> str:
    """The reverse of `heads_of`."""
    batch, heads, tokens, width = g.shape(x)
    return g.reshape(g.transpose(x, 0, 2, 1, 3), batch, tokens, heads * width)


def attention(
    g: Builder,
    x: str,
    heads: int,
    *,
    context: str | None = None,
    width: Size | None = None,
    bias: bool = True,
    table: Shape | None = None,
    kv_heads: int | None = None,
) -> str:
    """Multi-head attention of `x` to `context` (None: to itself), `width` inside (None: as wide as x).

    A `table` of this shape holds a term of the scores for each relative place. Heads share the keys and values of
    fewer `kv_heads` (Shazeer, arXiv:1911.02150).
    """
    inner = g.shape(x)[-1] if width is None else width
    other = context or x
    query = heads_of(g, g.linear(x, inner, bias=bias), heads)
    shared = kv_heads or heads
    key, value = (heads_of(g, g.linear(other, inner // heads * shared, bias=bias), shared) for _ in range(2))
    return g.linear(joined_heads(g, g.attention(query, key, value, table=table)), g.shape(x)[-1])


def mlp(g: Builder, x: str, hidden: Size, act: str = "Gelu") -> str:
    """Two products with an activation between."""
    return g.linear(g.act(g.linear(x, hidden), act), g.shape(x)[-1])


def encoder_layer(g: Builder, x: str, heads: int, hidden: Size, *, norm_first: bool = True) -> str:
    """Attention and two products, each beside a shortcut, norms before them or after."""
    if norm_first:
        x = g.add(x, attention(g, g.layer_norm(x), heads))
        return g.add(x, mlp(g, g.layer_norm(x), hidden))
    x = g.layer_norm(g.add(x, attention(g, x, heads)))
    return g.layer_norm(g.add(x, mlp(g, x, hidden)))


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    hidden: int = 3072,
    tokens: int = 128,
    vocabulary: int = 30522,
    positions: int = 512,
    types: int = 2,
    pooled: bool = True,
) -> Graph:
    """An encoder of `tokens` words (Devlin et al., arXiv:1810.04805); `pooled` adds the layer on the first of them."""
    g = Builder("transformer", format)
    words = g.input(batch, tokens, name="words")
    x = g.embedding(words, vocabulary, width)
    x = g.add_node("Add", [x], weights=[(positions, width)]) if tokens == positions else _position(g, x, positions)
    if types:
        x = g.add(x, g.embedding(g.input(batch, tokens, name="types"), types, width))
    x = g.layer_norm(x)
    for _ in range(depth):
        x = encoder_layer(g, x, heads, hidden, norm_first=False)
    if pooled:
        first = g.reshape(g.add_node("Slice", [x], shape=[batch, 1, width], axes=[1]), batch, width)
        return g.build(x, g.act(g.linear(first, width), "Tanh"))
    return g.build(x)


def _position(g: Builder, x: str, positions: int) -> str:
    return g.add(x, g.embedding(g.input(*g.shape(x)[:2], name="places"), positions, g.shape(x)[-1]))
