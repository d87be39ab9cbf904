"""Whisper: an encoder of 30 seconds of speech and a decoder that is asked for one token after the other.

Radford et al., arXiv:2212.04356, section 2.2.
"""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import encoder_layer, heads_of, joined_heads, mlp
from simulator.workloads.graphs.graph import Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

POSITIONS = 448


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int,
    depth: int,
    heads: int,
    bands: int = 80,
    frames: int = 3000,
    tokens: int = 100,
    prompt: int = 4,
    vocabulary: int = 51865,
    decoder_depth: int | None = None,
) -> Model:
    """The encoder on `frames` of `bands`, with keys and values for the decoder; then a step for each of `tokens`.

    Steps attend to as many tokens as are there halfway. Of the `prompt` the last token's step is among `tokens`.
    """
    layers = depth if decoder_depth is None else decoder_depth
    encoder = Builder("whisper-encoder", format)
    x = encoder.act(encoder.conv(encoder.input(batch, bands, frames), width, 3, bias=True), "Gelu")
    x = encoder.act(encoder.conv(x, width, 3, 2, bias=True), "Gelu")
    heard = encoder.shape(x)[2]
    x = encoder.add_node("Add", [encoder.transpose(x, 0, 2, 1)], weights=[(heard, width)])
    for _ in range(depth):
        x = encoder_layer(encoder, x, heads, 4 * width)
    x = encoder.layer_norm(x)
    sides = [heads_of(encoder, encoder.linear(x, width), heads) for _ in range(2 * layers)]
    step = _step(batch, format, width, layers, heads, int(heard), prompt + tokens // 2, vocabulary)
    return Model("whisper", (Part(encoder.build(*sides)), Part(step.build(_word(step)), tokens)))


def _step(
    batch: Size, format: DType, width: int, depth: int, heads: int, heard: int, known: int, vocabulary: int
) -> Builder:
    """Layers of one step on the embedding of one token, as far as the last norm, which is named "state"."""
    g = Builder("whisper-decoder", format)
    x = g.embedding(g.input(batch, 1, name="token"), vocabulary, width)
    x = g.add(x, g.embedding(g.input(batch, 1, name="place"), POSITIONS, width))
    for layer in range(depth):
        y = g.layer_norm(x)
        query, key, value = (heads_of(g, g.linear(y, width), heads) for _ in range(3))
        past = [g.input(batch, heads, known, width // heads, name=f"past_{layer}_{side}") for side in (0, 1)]
        key, value = (g.concat([old, this], axis=2) for old, this in zip(past, (key, value), strict=True))
        x = g.add(x, g.linear(joined_heads(g, g.attention(query, key, value)), width))
        query = heads_of(g, g.linear(g.layer_norm(x), width), heads)
        speech = [g.input(batch, heads, heard, width // heads, name=f"speech_{layer}_{side}") for side in (0, 1)]
        x = g.add(x, g.linear(joined_heads(g, g.attention(query, speech[0], speech[1])), width))
        x = g.add(x, mlp(g, g.layer_norm(x), 4 * width))
    g.add_node("LayerNormalization", [x], weights=[(width,)] * 2, axis=-1, name="state")
    return g


def _word(g: Builder) -> str:
    """Scores of all words by the table of their embeddings."""
    batch, _, width = g.shape("state")
    return g.add_node("Gemm", [g.reshape("state", batch, width), "table_0"], transB=1)
