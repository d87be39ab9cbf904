"""Decoders of language models that the package knows by their published configurations: a prompt in one pass."""

from __future__ import annotations

from simulator.errors import InputError
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import heads_of, joined_heads
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.models import model as language_model
from simulator.workloads.operators import Size
from simulator.workloads.span import Span
from simulator.workloads.transformer import Attention, FeedForward, Layer, Transformer


def build(
    batch: Size = 1, format: DType = FP32, *, model: str = "llama-3-8b", tokens: int = 512, chunk: int = 0
) -> Graph:
    """Scores of the word after a prompt of `tokens`, by the language model of this name.

    Attention is causal and looks at half of the pairs, or at its window; with a `chunk` it is linear, in chunks of so
    many tokens (Yang et al., arXiv:2312.06635). Raises `InputError` for experts and latent attention, which serving
    scenarios know.
    """
    known = language_model(model)
    g = Builder("language-model", format)
    x = g.embedding(g.input(batch, tokens, name="words"), known.vocab, known.hidden)
    if known.learned_positions:
        x = g.add(x, g.embedding(g.input(batch, tokens, name="places"), known.learned_positions, known.hidden))
    for layer in known.layers:
        x = _layer(g, x, known, layer, tokens, chunk)
    x = _norm(g, x, bias=known.final_norm_bias) if known.final_norm else x
    last = g.add_node("Slice", [x], shape=[batch, 1, known.hidden], axes=[1])
    last = g.reshape(last, batch, known.hidden)
    if known.tied_embedding:
        return g.build(g.add_node("Gemm", [last, "table_0"], transB=1))
    return g.build(g.linear(last, known.vocab, bias=False))


def _layer(g: Builder, x: str, known: Transformer, layer: Layer, tokens: int, chunk: int) -> str:
    if not isinstance(layer.ffn, FeedForward) or layer.attention.latent is not None:
        raise InputError(f"model {known.name}: experts and latent attention are no operator graphs: serve it instead")
    y = _norm(g, x, bias=layer.norm_bias)
    attended = _attended(g, y, layer.attention, tokens, chunk)
    if layer.parallel_ffn:
        own = y if layer.norms == 1 else _norm(g, x, bias=layer.norm_bias)
        return g.add(x, attended, _fed(g, own, layer.ffn))
    x = g.add(x, attended)
    return g.add(x, _fed(g, _norm(g, x, bias=layer.norm_bias), layer.ffn))


def _norm(g: Builder, x: str, *, bias: bool) -> str:
    return g.layer_norm(x) if bias else g.rms_norm(x)


def _attended(g: Builder, x: str, like: Attention, tokens: int, chunk: int) -> str:
    widths = (like.q_heads * like.head_dim, like.kv_heads * like.head_dim, like.kv_heads * like.v_head_dim)
    counts = (like.q_heads, like.kv_heads, like.kv_heads)
    query, key, value = (
        heads_of(g, g.linear(x, width, bias=like.qkv_bias), heads) for width, heads in zip(widths, counts, strict=True)
    )
    if like.rope:
        query, key = (g.add_node("RotaryEmbedding", [side]) for side in (query, key))
    if chunk:
        y = g.add_node("LinearAttention", [query, key, value], chunk=chunk)
    else:
        pairs = Span(like.window, like.chunked).pairs(0, tokens)
        y = g.attention(query, key, value, share=pairs / tokens**2)
    return g.linear(joined_heads(g, y), g.shape(x)[-1], bias=like.out_bias)


def _fed(g: Builder, x: str, like: FeedForward) -> str:
    y = g.act(g.linear(x, like.intermediate, bias=like.bias), "Silu" if like.gated else "Gelu")
    if like.gated:
        y = g.mul(y, g.linear(x, like.intermediate, bias=like.bias))
    return g.linear(y, g.shape(x)[-1], bias=like.bias)
