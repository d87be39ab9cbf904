"""Decoder-only language models: the prefill of a prompt, or the decoding of a token over a cache of earlier ones.

Layers are those of `simulator.workloads.transformer`, so that any model that is served can run as a graph too.
"""

from __future__ import annotations

from dataclasses import replace

from simulator.errors import InputError
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph, Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.models import model as transformer
from simulator.workloads.operators import Size
from simulator.workloads.span import Span
from simulator.workloads.transformer import Attention, Experts, FeedForward, Layer, Transformer


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    model: str | None = None,
    tokens: int = 1,
    context: int = 0,
    steps: float = 1.0,
    every_place: bool = False,
    width: int = 0,
    depth: int = 0,
    heads: int = 0,
    kv_heads: int | None = None,
    head_width: int | None = None,
    hidden: int | None = None,
    experts: int = 0,
    top_k: int = 1,
    gated: bool = False,
    bias: bool = True,
    vocabulary: int = 50257,
    positions: int = 1024,
) -> Model:
    """`tokens` new tokens of each sequence behind `context` cached ones, and the scores of the word after the last.

    This as often as there are `steps`, with the context that they have on average. A `model` by its name or config.json
    (of which `depth` gives the first layers alone), or sizes: `width`, `depth`, `heads`, ... with a tied embedding, and
    biases as GPT-2 has them (`positions` 0: rotary). Fewer heads of a `head_width`, a narrower `hidden` part and a
    smaller vocabulary are a device's share under tensor parallelism. Scores of `every_place` are what checking drafts
    takes. With `experts` each token goes to `top_k` of so many feed-forward parts. Raises `InputError` for latent
    attention, whose two forms graphs do not tell apart.
    """
    if tokens < 1 or context < 0:
        raise InputError("tokens: give at least 1, and a context of at least 0")
    if model is not None:
        made = transformer(model)
        made = replace(made, layers=made.layers[: depth or None])
    elif width and depth and heads:
        ffn = FeedForward(hidden or 4 * width, gated, bias)
        layer = Layer(_heads(head_width or width // heads, heads, kv_heads or heads, bias, not positions),
                      Experts(experts, top_k, ffn) if experts else ffn, norm_bias=bias)  # fmt: skip
        made = Transformer("decoder", "sizes", width, vocabulary, (layer,) * depth, positions or context + tokens,
                           True, positions, final_norm_bias=bias)  # fmt: skip
    else:
        raise InputError("model: give a model's name, or width, depth and heads")
    graph = _Decoder(Builder("decoder", format), made, batch, tokens, context).build(every_place=every_place)
    return Model("decoder", (Part(graph, steps),))


def _heads(each: int, heads: int, kv_heads: int, bias: bool, rope: bool) -> Attention:
    return Attention(heads, kv_heads, each, each, rope=rope, qkv_bias=bias, out_bias=bias)


class _Decoder:
    """One pass of a model."""

    def __init__(self, g: Builder, model: Transformer, batch: Size, tokens: int, context: int) -> None:
        self.g = g
        self.model = model
        self.batch = batch
        self.tokens = tokens
        self.context = context

    def build(self, *, every_place: bool) -> Graph:
        g, model = self.g, self.model
        words = g.input(self.batch, self.tokens, name="words")
        table = g.weight(model.vocab, model.hidden, name="embedding")
        x = g.add_node("Gather", [table, words], axis=0)
        if model.learned_positions:
            places = g.input(self.batch, self.tokens, name="places")
            x = g.add(x, g.embedding(places, model.learned_positions, model.hidden))
        for number, layer in enumerate(model.layers):
            g.scope(f"layer_{number}")
            x = self.layer(x, layer)
        g.scope("")
        if not every_place and self.tokens > 1:
            x = g.add_node("Slice", [x], shape=[self.batch, 1, model.hidden], axes=[1])
        if model.final_norm:
            x = self.norm(x, model.final_norm_bias)
        if model.tied_embedding:
            rows = self.batch * (self.tokens if every_place else 1)
            return g.build(g.add_node("Gemm", [g.reshape(x, rows, model.hidden), table], transB=1))
        return g.build(g.linear(x, model.vocab, bias=False))

    def layer(self, x: str, layer: Layer) -> str:
        """Attention and feed-forward part beside their shortcuts, one after the other or side by side."""
        attended = self.norm(x, layer.norm_bias)
        if layer.parallel_ffn:
            fed = self.norm(x, layer.norm_bias) if layer.norms > 1 else attended
            both = self.g.add(self.attention(attended, layer.attention), self.feed_forward(fed, layer))
            return self.g.add(x, both)
        y = self.attention(attended, layer.attention)
        x = self.g.add(x, self.norm(y, layer.norm_bias) if layer.norms > 2 else y)
        y = self.feed_forward(self.norm(x, layer.norm_bias), layer)
        return self.g.add(x, self.norm(y, layer.norm_bias) if layer.norms > 3 else y)

    def attention(self, x: str, a: Attention) -> str:
        """Heads that share keys read the cache once; only what a window lets through is read and multiplied."""
        if a.latent is not None:
            raise InputError(f"model: {self.model.name} has latent attention, which runs in serving scenarios alone")
        g, span = self.g, Span(a.window, a.chunked and a.window is not None)
        seen = max(span.context(self.context, self.tokens), self.tokens)
        query, key = (g.linear(x, n * a.head_dim, bias=a.qkv_bias) for n in (a.q_heads, a.kv_heads))
        value = g.linear(x, a.kv_heads * a.v_head_dim, bias=a.qkv_bias)
        if a.rope:
            query, key = g.act(query, "RotaryEmbedding"), g.act(key, "RotaryEmbedding")
        cached = (self.batch, a.kv_heads, seen - self.tokens)
        widths = {"key": a.head_dim, "value": a.v_head_dim} if seen > self.tokens else {}
        past = [g.input(*cached, width, name=f"past_{what}_{query}") for what, width in widths.items()]
        y = g.add_node(
            "GroupQueryAttention", [query, key, value, *past], num_heads=a.q_heads, kv_num_heads=a.kv_heads,
            share=span.pairs(self.context, self.tokens) / (self.tokens * seen),
        )  # fmt: skip
        return g.linear(y, self.model.hidden, bias=a.out_bias)

    def feed_forward(self, x: str, layer: Layer) -> str:
        ffn = layer.ffn
        if isinstance(ffn, FeedForward):
            return self.mlp(x, ffn)
        y = self.experts(x, ffn)
        return y if ffn.shared is None else self.g.add(y, self.mlp(x, ffn.shared))

    def mlp(self, x: str, ffn: FeedForward) -> str:
        g = self.g
        up = g.linear(x, ffn.intermediate, bias=ffn.bias)
        gate = g.linear(x, ffn.intermediate, bias=ffn.bias) if ffn.gated else None
        up = g.act(up, "Gelu") if gate is None else g.mul(g.act(gate, "Silu"), up)
        return g.linear(up, self.model.hidden, bias=ffn.bias)

    def experts(self, x: str, ffn: Experts) -> str:
        g, hidden, each = self.g, self.model.hidden, ffn.expert
        scores = g.linear(x, ffn.experts, bias=ffn.router_bias)
        up = (2 if each.gated else 1) * each.intermediate
        weights = [(ffn.experts, hidden, up), (ffn.experts, each.intermediate, hidden)]
        return g.add_node("MoE", [x, scores], weights=weights, k=ffn.top_k)

    def norm(self, x: str, bias: bool) -> str:
        return self.g.layer_norm(x) if bias else self.g.rms_norm(x)
