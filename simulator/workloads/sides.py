"""A layer's operators and weights in two parts: attention, and what another pool of devices feeds forward.

Norms, attention's projections, the router, embedding and output head are of the attention side, which thus knows
where each token goes before it sends it. Experts, shared experts and dense feed-forward parts are of the pool:
`expert` groups of `tensor` devices, each with its share of the experts and a copy of every other part, of whose tokens
it takes its share (MegaScale-Infer, arXiv:2504.02263, section 3: one expert a node, tensor parallel inside).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from simulator.workloads.graph import LayerCalls
from simulator.workloads.operators import Call, Collective, Size
from simulator.workloads.parallelism import Parallelism, Precision, weight_bytes
from simulator.workloads.transformer import Experts, FeedForward, Layer, Transformer


def attention_side(
    model: Transformer, parallel: Parallelism, precision: Precision, tokens: Size, layer: Layer
) -> list[Call]:
    """What one attention device does of one layer for `tokens` of all groups, attention itself left out.

    The all-reduce stands for the reduce-scatter before tokens are sent and the all-gather after they come back,
    which move as much.
    """
    builder = _builder(model, parallel, precision, tokens)
    routers = [builder.router(layer.ffn, 1)] if isinstance(layer.ffn, Experts) else []
    attention = builder.attention(layer.attention, 1)
    return [builder.norm(layer, 1), *attention, *builder.all_reduce("attention all-reduce", 1), *routers]


def embedding_calls(model: Transformer, parallel: Parallelism, precision: Precision, tokens: Size) -> list[Call]:
    """Embedding of `tokens` of all groups on one attention device."""
    return _builder(model, parallel, precision, tokens).embedding()


def attention_side_calls(model: Transformer, parallel: Parallelism, precision: Precision, tokens: Size) -> list[Call]:
    """Embedding and the attention side of all layers on one attention device."""
    layers = [
        replace(call, count=call.count * count)
        for layer, count in layer_kinds(model)
        for call in attention_side(model, parallel, precision, tokens, layer)
    ]
    return [*embedding_calls(model, parallel, precision, tokens), *layers]


def feed_forward_side_calls(model: Transformer, pool: Parallelism, precision: Precision, tokens: Size) -> list[Call]:
    """The feed-forward side of all layers on one device of the pool."""
    return [
        replace(call, count=call.count * count)
        for layer, count in layer_kinds(model)
        for call in feed_forward_side(model, pool, precision, tokens, layer)
    ]


def layer_kinds(model: Transformer) -> list[tuple[Layer, int]]:
    """Distinct layers in the order of their first, and how many there are of each."""
    return list(Counter(model.layers).items())


def feed_forward_side(
    model: Transformer, pool: Parallelism, precision: Precision, tokens: Size, layer: Layer
) -> list[Call]:
    """What one device of the pool does of one layer for `tokens` of all attention groups."""
    builder, ffn = _builder(model, pool, precision, tokens), layer.ffn
    if isinstance(ffn, Experts):
        shared = [] if ffn.shared is None else builder.dense(ffn.shared, 1)
        calls = [builder.routed(ffn, 1), *(replace(c, name=f"shared {c.name}") for c in shared)]
    else:
        calls = builder.dense(ffn, 1)
    if pool.tensor == 1:
        return calls
    rows = builder.tokens * copies(layer, pool) / pool.expert * busiest(layer, pool)
    message = rows * model.hidden * precision.activations.bytes
    return [*calls, Call("feed-forward all-reduce", Collective("all_reduce", message, pool.tensor))]


def copies(layer: Layer, pool: Parallelism) -> int:
    """Groups of the pool that a token is sent to: those of its experts, and one for a part that all tokens meet."""
    if not isinstance(layer.ffn, Experts):
        return 1
    return min(layer.ffn.top_k + (layer.ffn.shared is not None), pool.expert)


def busiest(layer: Layer, pool: Parallelism) -> float:
    """How many times the mean load of a group the one has that the others wait for."""
    return pool.experts.busiest(layer.ffn.experts, pool.expert) if isinstance(layer.ffn, Experts) else 1.0


def without_feed_forward(model: Transformer) -> Transformer:
    """The model with feed-forward parts of no width: what attention devices hold weights of, routers included."""
    layers = tuple(replace(layer, ffn=_hollow(layer.ffn)) for layer in model.layers)
    return replace(model, name=f"attention of {model.name}", layers=layers)


def feed_forward_bytes(model: Transformer, pool: Parallelism, precision: Precision) -> float:
    """Bytes of weights on one device of the pool."""
    rest = weight_bytes(without_feed_forward(model), pool, precision)
    return weight_bytes(model, pool, precision) - rest


def _hollow(ffn: FeedForward | Experts) -> FeedForward | Experts:
    if isinstance(ffn, Experts):
        return replace(ffn, expert=FeedForward(0), shared=None, shared_gate=False)
    return FeedForward(0)


def _builder(model: Transformer, parallel: Parallelism, precision: Precision, tokens: Size) -> LayerCalls:
    every = np.asarray(tokens, dtype=np.float64)
    return LayerCalls(model, parallel, precision, every, np.ceil(every / parallel.data))
