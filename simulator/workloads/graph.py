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
from simulator.workloads.operators import Call, Collective, Elementwise, ExpertGemm, Gather, Gemm, Size
from simulator.workloads.parallelism import Parallelism, Precision, kv_heads_per_device, stage_layers
from simulator.workloads.transformer import Attention, Experts, FeedForward, Layer, Transformer


@dataclass(frozen=True, slots=True)
class Span:
    """Which earlier tokens a layer attends to: all (`tokens` None), the last `tokens`, or its own chunk of them."""

    tokens: int | None = None
    chunked: bool = False

    def attended(self, position: int) -> int:
        """Tokens that the token at 1-based `position` attends to, itself included."""
        if self.tokens is None:
            return position
        if self.chunked:
            return (position - 1) % self.tokens + 1
        return min(position, self.tokens)

    def pairs(self, cached: int, new: int) -> int:
        """(query, attended) pairs of `new` tokens that follow `cached` ones, causally."""
        return self._pairs_up_to(cached + new) - self._pairs_up_to(cached)

    def _pairs_up_to(self, n: int) -> int:
        size = self.tokens
        if size is None or n <= size:
            return n * (n + 1) // 2
        if self.chunked:
            whole, rest = divmod(n, size)
            return whole * (size * (size + 1) // 2) + rest * (rest + 1) // 2
        return size * (size + 1) // 2 + (n - size) * size

    def context(self, cached: int, new: int) -> int:
        """Cached tokens, the new ones included, that a pass over `new` tokens has to read."""
        total = cached + new
        if self.tokens is None:
            return total
        if self.chunked:
            return min(total, new + cached % self.tokens)
        return min(total, new + self.tokens - 1)


def spans(model: Transformer) -> tuple[Span, ...]:
    """Distinct attention spans of a model's layers, widest first."""
    found = {Span(a.window, a.chunked and a.window is not None) for a in (layer.attention for layer in model.layers)}
    return tuple(sorted(found, key=lambda s: (s.tokens is not None, -(s.tokens or 0), s.chunked)))


@dataclass(frozen=True, slots=True)
class AttentionLoad:
    """Attention work of one iteration under one span, summed over the batch (integers or arrays).

    `pairs` and `context` are of prompt tokens being computed; a decoding sequence attends to each token once,
    so `decode_context` serves as both.
    """

    prefill_tokens: Size = 0.0
    prefill_pairs: Size = 0.0
    prefill_context: Size = 0.0
    decode_sequences: Size = 0.0
    decode_context: Size = 0.0


def token_calls(
    model: Transformer, parallel: Parallelism, precision: Precision, tokens: Size, stage: int = 0
) -> list[Call]:
    """Operators of one stage whose cost depends only on the number of `tokens` in the iteration."""
    local = np.ceil(np.asarray(tokens, dtype=np.float64) / parallel.data)
    builder = _Layers(model, parallel, precision, np.asarray(tokens, dtype=np.float64), local)
    calls: list[Call] = []
    if stage == 0:
        calls += builder.embedding()
    for layer, count in Counter(_without_span(x) for x in stage_layers(model, parallel, stage)).items():
        calls += builder.layer(layer, count)
    if stage < parallel.pipeline - 1:
        calls.append(Call("pipeline send", Collective("send_recv", builder.hidden_bytes(), 2)))
    return calls


def _without_span(layer: Layer) -> Layer:
    """The layer with its attention span left out, so that layers of equal token cost compare equal."""
    a = layer.attention
    plain = Attention(
        a.q_heads, a.kv_heads, a.head_dim, a.v_head_dim, None, False, a.rope, a.qkv_bias, a.out_bias,
        a.qk_norm_parameters, a.sinks, a.latent,
    )  # fmt: skip
    return Layer(plain, layer.ffn, layer.norms, layer.norm_bias, layer.parallel_ffn)


@dataclass(frozen=True, slots=True)
class _Layers:
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

    def elementwise(self, width: float, reads: float, writes: float, flops: float) -> Elementwise:
        return Elementwise(self.local * width, reads, writes, flops, self.precision.activations)

    def all_reduce(self, name: str, count: int) -> list[Call]:
        world = self.parallel.tensor
        return [Call(name, Collective("all_reduce", self.hidden_bytes(), world), count)] if world > 1 else []

    def embedding(self) -> list[Call]:
        act = self.precision.activations
        return [Call("embedding", Gather(self.local, self.model.hidden, act)), *self.all_reduce("embedding sum", 1)]

    def layer(self, layer: Layer, count: int) -> list[Call]:
        hidden = self.model.hidden
        norm = Call("norm", self.elementwise(hidden, 2, 2, 4), count * layer.norms)
        attention = self.attention(layer.attention, count)
        ffn = self.experts(layer.ffn, count) if isinstance(layer.ffn, Experts) else self.dense(layer.ffn, count)
        if layer.parallel_ffn:
            return [norm, *attention, *ffn, *self.all_reduce("layer all-reduce", count)]
        reduce_attention = self.all_reduce("attention all-reduce", count)
        reduce_ffn = [] if isinstance(layer.ffn, Experts) else self.all_reduce("ffn all-reduce", count)
        return [norm, *attention, *reduce_attention, *ffn, *reduce_ffn]

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
            calls.append(Call("query/key norm", self.elementwise(rotated, 1, 1, 4), count))
        if a.rope:
            calls.append(Call("rotary embedding", self.elementwise(rotated, 1, 1, 6), count))
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
            Call("ffn activation", self.elementwise(width, 2 if ffn.gated else 1, 1, 8), count),
            Call("ffn down projection", self.gemm(hidden, width), count),
        ]

    def experts(self, ffn: Experts, count: int) -> list[Call]:
        p, hidden, act = self.parallel, self.model.hidden, self.precision.activations
        weight = self.precision.expert_weights
        visits = self.tokens * ffn.top_k / p.expert
        active = ffn.experts / p.expert * expected_active_share(ffn, self.tokens)
        width = ffn.expert.intermediate / p.expert_tensor
        gated = ffn.expert.gated
        calls = [
            Call("router", self.gemm(ffn.experts, hidden), count),
            Call("router top-k", self.elementwise(ffn.experts, 1, 1, 4), count),
        ]
        exchange = p.data > 1 and p.stage_devices > 1
        dispatched = self.tokens / p.stage_devices * min(ffn.top_k, p.expert) * hidden * act.bytes
        if exchange:
            calls.append(Call("expert dispatch", Collective("all_to_all", dispatched, p.stage_devices), count))
        calls += [
            Call(
                "expert up projection",
                ExpertGemm(visits, (2 if gated else 1) * width, hidden, active, weight, act),
                count,
            ),
            Call("expert activation", Elementwise(visits * width, 2 if gated else 1, 1, 8, act), count),
            Call("expert down projection", ExpertGemm(visits, hidden, width, active, weight, act), count),
            Call("expert combine", Elementwise(visits * hidden, 1, 1 / ffn.top_k, 2, act), count),
        ]
        if ffn.shared is not None:
            calls += [Call(f"shared {c.name}", c.op, c.count) for c in self.dense(ffn.shared, count)]
        if exchange:
            calls.append(Call("expert return", Collective("all_to_all", dispatched, p.stage_devices), count))
            if ffn.shared is not None:
                calls += self.all_reduce("shared ffn all-reduce", count)
        else:
            calls += self.all_reduce("expert all-reduce", count)
        return calls


def expected_active_share(ffn: Experts, tokens: Size) -> Size:
    """Expected share of experts that `tokens` tokens visit, each choosing `top_k` at random: 1 - (1 - k/E)^T."""
    return 1.0 - (1.0 - ffn.top_k / ffn.experts) ** np.asarray(tokens, dtype=np.float64)


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
        Call("final norm", Elementwise(rows * model.hidden, 2, 1, 4, act)),
        Call("output head", Gemm(rows, vocab, model.hidden, act, act)),
    ]
    if tensor > 1:
        calls.append(Call("logits gather", Collective("all_gather", rows * model.vocab * act.bytes, tensor)))
    calls.append(Call("sampling", Elementwise(rows * model.vocab, 2, 1, 4, act)))
    return calls


def attention_calls(
    model: Transformer,
    parallel: Parallelism,
    precision: Precision,
    loads: Sequence[AttentionLoad],
    stage: int = 0,
) -> list[Call]:
    """Attention of one stage; `loads` holds one entry for each of `spans(model)`, in that order."""
    known = spans(model)
    shapes = Counter(
        (
            known.index(Span(x.attention.window, x.attention.chunked and x.attention.window is not None)),
            _heads(x, parallel),
        )
        for x in stage_layers(model, parallel, stage)
    )
    calls: list[Call] = []
    for (index, heads), count in shapes.items():
        load = loads[index]
        label = "attention" if known[index].tokens is None else f"attention (window {known[index].tokens})"
        for decode in (False, True):
            op = _attention_op(load, heads, decode, parallel.data, precision)
            calls.append(Call(f"{'decode' if decode else 'prefill'} {label}", op, count))
    return calls


@dataclass(frozen=True, slots=True)
class _Heads:
    """Head shape of one device's attention; latent attention reads one shared vector a token."""

    q_heads: float
    qk_dim: int
    v_dim: int
    kv_elements: float


def _heads(layer: Layer, parallel: Parallelism) -> _Heads:
    a = layer.attention
    q_heads = a.q_heads / parallel.tensor
    if a.latent is not None:
        return _Heads(q_heads, a.latent.kv_rank + a.latent.rope_dim, a.latent.kv_rank, a.kv_elements())
    kv_heads = kv_heads_per_device(a.kv_heads, parallel.tensor)
    return _Heads(q_heads, a.head_dim, a.v_head_dim, kv_heads * (a.head_dim + a.v_head_dim))


def _attention_op(load: AttentionLoad, h: _Heads, decode: bool, data: int, precision: Precision) -> AttentionOp:
    if decode:
        pairs, queries, context = load.decode_context, load.decode_sequences, load.decode_context
    else:
        pairs, queries, context = load.prefill_pairs, load.prefill_tokens, load.prefill_context
    return AttentionOp(
        pairs / data, queries / data, context / data, h.q_heads, h.qk_dim, h.v_dim, h.kv_elements, decode,
        precision.activations, precision.kv_cache,
    )  # fmt: skip
