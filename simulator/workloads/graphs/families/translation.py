"""Translation by an encoder and a decoder (Vaswani et al., arXiv:1706.03762), word by word or all words at once.

Re-translation (Arivazhagan et al., arXiv:1912.03393) translates what has been heard anew with each word; decoders that
are not autoregressive give all words in a few passes (Gu et al., arXiv:1711.02281).
"""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import encoder_layer, heads_of, joined_heads, mlp
from simulator.workloads.graphs.graph import Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 512,
    heads: int = 8,
    hidden: int = 2048,
    encoder_depth: int = 6,
    decoder_depth: int = 6,
    vocabulary: int = 37000,
    embedding: int | None = None,
    words: int = 30,
    passes: int | None = None,
    updates: int = 1,
) -> Model:
    """A sentence of `words` into as many, `updates` times over from prefixes that grow evenly to the whole.

    Without `passes` each word is a step that attends to those before; with them, a prefix takes so many passes over all
    its words. `embedding` factorises the table of words, whose rows are that wide (arXiv:1909.11942, 3.1). The encoder
    is given rows of the decoder's table, which is there once.
    """
    mean = round(words * (updates + 1) / (2 * updates))
    g = Builder("translation-encoder", format)
    x = g.input(batch, mean, width, name="rows")
    for _ in range(encoder_depth):
        x = encoder_layer(g, x, heads, hidden)
    x = g.layer_norm(x)
    sides = [heads_of(g, g.linear(x, width), heads) for _ in range(2 * decoder_depth)]
    new, known, times = (1, mean // 2, mean) if passes is None else (mean, 0, passes)
    d = Builder("translation-decoder", format)
    table = d.weight(vocabulary, embedding or width, name="words")
    y = d.add_node("Gather", [table, d.input(batch, new, name="tokens")], axis=0)
    y = y if embedding is None else d.linear(y, width, bias=False)
    for layer in range(decoder_depth):
        y = _decoder_layer(d, y, layer, heads, hidden, mean, known)
    y = d.layer_norm(y)
    y = y if embedding is None else d.linear(y, embedding, bias=False)
    y = d.add_node("Gemm", [d.reshape(y, batch * new, d.shape(y)[-1]), "words"], transB=1)
    return Model("translation", (Part(g.build(*sides), updates), Part(d.build(y), updates * times)))


def _decoder_layer(g: Builder, x: str, layer: int, heads: int, hidden: int, heard: int, known: int) -> str:
    """Attention to the words there are, attention to the `heard` ones, and two products."""
    batch, _, width = g.shape(x)
    shape = (batch, heads, known, width // heads)
    query, key, value = (heads_of(g, g.linear(y, width), heads) for y in [g.layer_norm(x)] * 3)
    if known:
        past = [g.input(*shape, name=f"past_{layer}_{side}") for side in (0, 1)]
        key, value = (g.concat([old, this], axis=2) for old, this in zip(past, (key, value), strict=True))
    x = g.add(x, g.linear(joined_heads(g, g.attention(query, key, value)), width))
    query = heads_of(g, g.linear(g.layer_norm(x), width), heads)
    other = [g.input(batch, heads, heard, width // heads, name=f"heard_{layer}_{side}") for side in (0, 1)]
    x = g.add(x, g.linear(joined_heads(g, g.attention(query, *other)), width))
    return g.add(x, mlp(g, g.layer_norm(x), hidden, "Relu"))
