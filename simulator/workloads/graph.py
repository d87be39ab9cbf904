"""A transformer's forward step as operators on one device, sharded, with its collectives.

An iteration of a serving engine is described by three shapes, which cost separately: the tokens that pass
through the linear layers, the sequences whose last token is sampled, and the attention that the tokens do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.workloads.operators import Attention as AttentionOp
from simulator.workloads.operators import (
    Call,
    Collective,
    Elementwise,
    Experts,
    Gather,
    Gemm,
    HeadShape,
    HostCopy,
    Size,
)
from simulator.workloads.parallelism import Parallelism, Precision, kv_heads_per_device, stage_layers
from simulator.workloads.span import Span
from simulator.workloads.transformer import Attention, FeedForward, Layer, Transformer
from simulator.workloads.transformer import Experts as ExpertLayer


def spans(model: Transformer) -> tuple[Span, ...]:
    """Distinct attention spans of a model's layers, widest first."""
    found = {Span(a.window, a.chunked and a.window is not None) for a in (layer.attention for layer in model.layers)}
    return tuple(sorted(found, key=lambda s: (s.tokens is not None, -(s.tokens or 0), s.chunked)))


def token_calls(
    model: Transformer, parallel: Parallelism, precision: Precision, tokens: Size, stage: int = 0
) -> list[Call]:
    """Operators of one stage whose cost depends only on the number of `tokens` in the iteration."""
    local = np.ceil(np.asarray(tokens, dtype=np.float64) / parallel.data)
    builder = LayerCalls(model, parallel, precision, np.asarray(tokens, dtype=np.float64), local)
    calls: list[Call] = []
    if stage == 0:
        calls += builder.embedding()
    for layer, count in Counter(_without_span(x) for x in stage_layers(model, parallel, stage)).items():
        calls += builder.layer(layer, count)
    if stage < parallel.pipeline - 1:
        calls.append(Call("pipeline send", Collective("send_recv", builder.hidden_bytes(), 2)))
    return calls


def prefetch_calls(
    model: Transformer, parallel: Parallelism, precision: Precision, tokens: Size, stage: int = 0
) -> list[Call]:
    """All loads of experts of one stage, those that a layer waits for and those beside other operators.

    Empty without a predictor: nothing then runs beside a load.
    """
    offload = parallel.experts.offload
    if offload is None or not offload.prefetched:
        return []
    total = np.asarray(tokens, dtype=np.float64)
    builder = LayerCalls(model, parallel, precision, total, total)
    layers = Counter(x.ffn for x in stage_layers(model, parallel, stage) if isinstance(x.ffn, ExpertLayer))
    return [
        c
        for ffn, count in layers.items()
        for c in builder.expert_loads("expert loads", ffn, offload.loaded_share, count)
    ]


def _without_span(layer: Layer) -> Layer:
    """The layer with its attention span left out, so that layers of equal token cost compare equal."""
    a = layer.attention
    plain = Attention(
        a.q_heads, a.kv_heads, a.head_dim, a.v_head_dim, None, False, a.rope, a.qkv_bias, a.out_bias,
        a.qk_norm_parameters, a.sinks, a.latent,
    )  # fmt: skip
    return Layer(plain, layer.ffn, layer.norms, layer.norm_bias, layer.parallel_ffn)


@dataclass(frozen=True, slots=True)
class LayerCalls:
    """Builds the calls of one device. `tokens` are those of the whole replica, `local` of one attention group."""

    model: Transformer
    parallel: Parallelism
    precision: Precision
    tokens: Size
    local: Size

    def hidden_bytes(self) -> Size:
        return self.local * self.model.hidden * self.precision.activations.bytes

    def gemm(self, n: float, k: float) -> Gemm:
        return Gemm(self.local, n, k, self.precision.weights, self.precision.activations)

    def elementwise(self, kernel: str, width: float, reads: float, writes: float, flops: float) -> Elementwise:
        return Elementwise(self.local * width, reads, writes, flops, self.precision.activations, kernel)

    def all_reduce(self, name: str, count: int) -> list[Call]:
        world = self.parallel.tensor
        return [Call(name, Collective("all_reduce", self.hidden_bytes(), world), count)] if world > 1 else []

    def embedding(self) -> list[Call]:
        act = self.precision.activations
        return [
            Call("embedding", Gather(self.local, self.model.hidden, act, "embedding")),
            *self.all_reduce("embedding sum", 1),
        ]

    def layer(self, layer: Layer, count: int) -> list[Call]:
        norm = self.norm(layer, count)
        attention = self.attention(layer.attention, count)
        ffn = self.experts(layer.ffn, count) if isinstance(layer.ffn, ExpertLayer) else self.dense(layer.ffn, count)
        if layer.parallel_ffn:
            return [norm, *attention, *ffn, *self.all_reduce("layer all-reduce", count)]
        reduce_attention = self.all_reduce("attention all-reduce", count)
        reduce_ffn = [] if isinstance(layer.ffn, ExpertLayer) else self.all_reduce("ffn all-reduce", count)
        return [norm, *attention, *reduce_attention, *ffn, *reduce_ffn]

    def norm(self, layer: Layer, count: int) -> Call:
        return Call("norm", self.elementwise("norm", self.model.hidden, 2, 2, 4), count * layer.norms)

    def attention(self, a: Attention, count: int) -> list[Call]:
        tensor, hidden = self.parallel.tensor, self.model.hidden
        q_heads = a.q_heads / tensor
        calls: list[Call] = []
        if a.latent is None:
            kv_heads = kv_heads_per_device(a.kv_heads, tensor)
            calls.append(
                Call(
                    "qkv projection",
                    self.gemm(q_heads * a.head_dim + kv_heads * (a.head_dim + a.v_head_dim), hidden),
                    count,
                )
            )
            rotated = q_heads * a.head_dim + kv_heads * a.head_dim
            written = kv_heads * (a.head_dim + a.v_head_dim)
        else:
            calls += self.latent_projections(a, count)
            rotated = (q_heads + 1) * a.latent.rope_dim
            written = a.kv_elements()
        if a.qk_norm_parameters:
            calls.append(Call("query/key norm", self.elementwise("norm", rotated, 1, 1, 4), count))
        if a.rope:
            calls.append(Call("rotary embedding", self.elementwise("rotary", rotated, 1, 1, 6), count))
        calls.append(Call("kv cache write", Gather(self.local, written, self.precision.kv_cache), count))
        calls.append(Call("output projection", self.gemm(hidden, q_heads * a.v_head_dim), count))
        return calls

    def latent_projections(self, a: Attention, count: int) -> list[Call]:
        """Low-rank projections of multi-head latent attention, absorbed as in DeepSeek-V2 (arXiv:2405.04434, 2.1.2)."""
        assert a.latent is not None
        latent, hidden = a.latent, self.model.hidden
        q_heads = a.q_heads / self.parallel.tensor
        down = latent.kv_rank + latent.rope_dim + (latent.q_rank or 0)
        q_in = latent.q_rank or hidden
        return [
            Call("latent down projection", self.gemm(down, hidden), count),
            Call("query projection", self.gemm(q_heads * a.head_dim, q_in), count),
            Call("query absorption", self.gemm(q_heads * latent.kv_rank, latent.nope_dim), count),
            Call("value absorption", self.gemm(q_heads * a.v_head_dim, latent.kv_rank), count),
        ]

    def dense(self, ffn: FeedForward, count: int) -> list[Call]:
        hidden = self.model.hidden
        width = ffn.intermediate / self.parallel.tensor
        up = self.gemm((2 if ffn.gated else 1) * width, hidden)
        return [
            Call("ffn up projection", up, count),
            Call("ffn activation", self.elementwise("activation", width, 2 if ffn.gated else 1, 1, 8), count),
            Call("ffn down projection", self.gemm(hidden, width), count),
        ]

    def experts(self, ffn: ExpertLayer, count: int) -> list[Call]:
        p, hidden, act = self.parallel, self.model.hidden, self.precision.activations
        calls = [self.router(ffn, count)]
        exchange = p.data > 1 and p.stage_devices > 1
        dispatched = self.tokens / p.stage_devices * min(ffn.top_k, p.expert) * hidden * act.bytes
        dispatched = dispatched * (1.0 - p.experts.local_share)
        if exchange:
            calls.append(Call("expert dispatch", Collective("all_to_all", dispatched, p.stage_devices), count))
        offload = p.experts.offload
        if offload is not None and offload.exposed_share:
            calls += self.expert_loads("expert load", ffn, offload.exposed_share, count)
        calls.append(self.routed(ffn, count))
        if ffn.shared is not None:
            calls += [Call(f"shared {c.name}", c.op, c.count) for c in self.dense(ffn.shared, count)]
        if exchange:
            calls.append(Call("expert return", Collective("all_to_all", dispatched, p.stage_devices), count))
            if ffn.shared is not None:
                calls += self.all_reduce("shared ffn all-reduce", count)
        else:
            calls += self.all_reduce("expert all-reduce", count)
        return calls

    def router(self, ffn: ExpertLayer, count: int) -> Call:
        return Call("router", self.gemm(ffn.experts, self.model.hidden), count)

    def routed(self, ffn: ExpertLayer, count: int) -> Call:
        p = self.parallel
        width = ffn.expert.intermediate / p.expert_tensor
        op = Experts(
            self.tokens, self.model.hidden, width, ffn.top_k, ffn.experts, p.expert, ffn.expert.gated,
            self.precision.expert_weights, self.precision.activations,
            p.experts.distribution, p.experts.busiest(ffn.experts, p.expert),
        )  # fmt: skip
        return Call("experts", op, count)

    def expert_loads(self, name: str, ffn: ExpertLayer, share: float, count: int) -> list[Call]:
        """Copies of `share` of the experts that the iteration needs and the device lacks; none where it has all."""
        p = self.parallel
        if p.experts.resident_share >= 1.0:
            return []
        loads = p.experts.missed(self.tokens, ffn.top_k, ffn.experts) * (share / p.expert)
        expert = ffn.expert.parameters(self.model.hidden) / p.expert_tensor * self.precision.expert_weights.bytes
        return [Call(name, HostCopy(loads * expert, loads), count)]


def head_calls(
    model: Transformer, parallel: Parallelism, precision: Precision, sequences: Size, stage: int = 0
) -> list[Call]:
    """Final norm, output head and sampling for `sequences` rows; empty before the last stage."""
    if stage != parallel.pipeline - 1:
        return []
    act, tensor = precision.activations, parallel.tensor
    rows = np.ceil(np.asarray(sequences, dtype=np.float64) / parallel.data)
    vocab = model.vocab / tensor
    calls = [
        Call("final norm", Elementwise(rows * model.hidden, 2, 1, 4, act, "norm")),
        Call("output head", Gemm(rows, vocab, model.hidden, act, act)),
    ]
    if tensor > 1:
        calls.append(Call("logits gather", Collective("all_gather", rows * model.vocab * act.bytes, tensor)))
    calls.append(Call("sampling", Elementwise(rows * model.vocab, 1, 0, 4, act, "sampling")))
    return calls


def attention_shapes(
    model: Transformer, parallel: Parallelism, precision: Precision, stage: int = 0
) -> list[tuple[int, HeadShape, HeadShape, int]]:
    """Distinct attention layers of one stage: index into `spans(model)`, heads for prompts and for decoding, count."""
    known = spans(model)
    shapes = Counter(
        (
            known.index(Span(x.attention.window, x.attention.chunked and x.attention.window is not None)),
            *_heads(x.attention, parallel, precision),
        )
        for x in stage_layers(model, parallel, stage)
    )
    return [(index, prompt, decode, count) for (index, prompt, decode), count in shapes.items()]


def attention_calls(
    model: Transformer,
    parallel: Parallelism,
    precision: Precision,
    chunks: Sequence[tuple[int, int]],
    contexts: Sequence[int],
    stage: int = 0,
) -> list[Call]:
    """Attention of one stage for prompt `chunks` (cached, new) and sequences that decode after `contexts` tokens."""
    known = spans(model)
    calls: list[Call] = []
    for index, prompt, decode, count in attention_shapes(model, parallel, precision, stage):
        span = known[index]
        label = "attention" if span.tokens is None else f"attention (window {span.tokens})"
        attended = sum(span.attended(c + 1) for c in contexts)
        op = AttentionOp(span, prompt, decode, tuple(chunks), len(contexts), attended, 1.0 / parallel.data)
        calls.append(Call(label, op, count))
    return calls


def _heads(a: Attention, parallel: Parallelism, precision: Precision) -> tuple[HeadShape, HeadShape]:
    """Heads of one device for prompts and for decoding.

    Latent attention decodes on the shared latent vectors, but expands them to full heads for prompts
    (DeepSeek-V2, arXiv:2405.04434, 2.1.2, and what engines do).
    """
    q_heads = a.q_heads / parallel.tensor
    formats = (precision.activations, precision.kv_cache)
    if a.latent is None:
        kv_heads = kv_heads_per_device(a.kv_heads, parallel.tensor)
        plain = HeadShape(
            q_heads, kv_heads, a.head_dim, a.v_head_dim, kv_heads * (a.head_dim + a.v_head_dim), *formats
        )  # fmt: skip
        return plain, plain
    rank, rope = a.latent.kv_rank, a.latent.rope_dim
    prompt = HeadShape(q_heads, q_heads, a.head_dim, a.v_head_dim, q_heads * (a.head_dim + a.v_head_dim), *formats)
    return prompt, HeadShape(q_heads, 1, rank + rope, rank, a.kv_elements(), *formats, latent=True)
