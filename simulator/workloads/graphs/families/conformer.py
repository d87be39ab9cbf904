"""Conformer and FastConformer encoders with transducers (RNN-T): a prediction network and a joint one in a loop.

Gulati et al., arXiv:2005.08100; Rekesh et al., arXiv:2305.05084 (FastConformer); Graves, arXiv:1211.3711.
"""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import heads_of, joined_heads
from simulator.workloads.graphs.graph import Graph, Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int,
    depth: int,
    heads: int,
    kernel: int = 32,
    prediction: int = 640,
    joint: int | None = None,
    vocabulary: int = 1024,
    bands: int = 80,
    seconds: float = 10.0,
    tokens_per_second: float = 4.0,
    subsampling: int | None = None,
    window: int | None = None,
    cached: float = 0.0,
) -> Model:
    """The encoder once; the prediction network for each token; the joint network for each frame and each token.

    Sound comes in 100 frames a second, of which two convolutions keep a quarter, or separable ones of `subsampling`
    filters an eighth (FastConformer). Greedy search moves on a frame or emits a token each time. Attention looks at
    `window` frames at most (None: at all), and at those of `cached` seconds before, whose keys and values are there
    (Noroozi et al., arXiv:2312.17279).
    """
    frames = int(seconds * 100)
    tokens = seconds * tokens_per_second
    inner = prediction if joint is None else joint
    encoder = Builder("conformer-encoder", format)
    x = _subsampled(encoder, encoder.input(batch, 1, frames, bands), width, subsampling)
    kept = int(encoder.shape(x)[1])
    past = round(kept * cached / seconds)
    for _ in range(depth):
        x = _layer(encoder, x, heads, kernel, min(1.0, window / kept) if window else 1.0, past)
    return Model(
        "conformer",
        (
            Part(encoder.build(encoder.linear(x, inner))),
            Part(_prediction(batch, format, prediction, inner, vocabulary), tokens),
            Part(_joint(batch, format, inner, vocabulary), kept + tokens),
        ),
    )


def _subsampled(g: Builder, x: str, width: int, separable: int | None) -> str:
    filters = width if separable is None else separable
    x = g.act(g.conv(x, filters, 3, 2, bias=True))
    for _ in range(1 if separable is None else 2):
        if separable is not None:
            x = g.conv(x, filters, 3, 2, filters, bias=True)
        x = g.act(g.conv(x, filters, 3 if separable is None else 1, 2 if separable is None else 1, bias=True))
    n, c, frames, bands = g.shape(x)
    return g.linear(g.reshape(g.transpose(x, 0, 2, 1, 3), n, frames, c * bands), width)


def _layer(g: Builder, x: str, heads: int, kernel: int, share: float, past: int) -> str:
    """Half a feed-forward layer, attention, convolution, the other half, a norm (figure 1)."""
    batch, tokens, width = g.shape(x)
    x = g.add(x, _feed_forward(g, x))
    x = g.add(x, _attention(g, g.layer_norm(x), heads, share, past))
    gate, y = g.split(g.linear(g.layer_norm(x), 2 * width), 2, axis=-1)
    y = g.transpose(g.mul(y, g.act(gate, "Sigmoid")), 0, 2, 1)
    y = g.conv(y, width, kernel, groups=width, pad=kernel // 2, bias=True)
    y = g.add_node("Slice", [y], shape=[batch, width, tokens], axes=[2])
    y = g.act(g.batch_norm(y), "Silu")
    x = g.add(x, g.linear(g.transpose(y, 0, 2, 1), width))
    return g.layer_norm(g.add(x, _feed_forward(g, x)))


def _feed_forward(g: Builder, x: str) -> str:
    width = g.shape(x)[-1]
    return g.linear(g.act(g.linear(g.layer_norm(x), 4 * width), "Silu"), width)


def _attention(g: Builder, x: str, heads: int, share: float, past: int) -> str:
    """Scores have a second product with the embedding of relative places (Transformer-XL, arXiv:1901.02860)."""
    batch, tokens, width = g.shape(x)
    query, key, value = (heads_of(g, g.linear(x, width), heads) for _ in range(3))
    apart = 2 * tokens - 1 + past
    places = g.linear(g.input(1, apart, width, name=f"places_{key}"), width, bias=False)
    places = g.transpose(g.reshape(places, 1, apart, heads, width // heads), 0, 2, 3, 1)
    scores = g.matmul(query, places)
    moved = g.add_node("Slice", [scores], shape=[batch, heads, tokens, tokens + past], axes=[3])
    if past:
        before = [g.input(batch, heads, past, width // heads, name=f"past_{side}") for side in (key, value)]
        key, value = (g.concat([old, this], axis=2) for old, this in zip(before, (key, value), strict=True))
    y = g.add_node("Attention", [query, key, value, moved], share=share)
    return g.linear(joined_heads(g, y), width)


def _prediction(batch: Size, format: DType, width: int, joint: int, vocabulary: int) -> Graph:
    """One step of a recurrent layer on the last token."""
    g = Builder("prediction", format)
    x = g.embedding(g.input(1, batch, name="token"), vocabulary, width)
    return g.build(g.linear(g.lstm(x, width), joint))


def _joint(batch: Size, format: DType, width: int, vocabulary: int) -> Graph:
    g = Builder("joint", format)
    x = g.act(g.add(g.input(batch, width, name="frame"), g.input(batch, width, name="token")), "Tanh")
    return g.build(g.linear(x, vocabulary))
