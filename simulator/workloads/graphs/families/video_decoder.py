"""The decoder of a causal autoencoder of videos: latents to frames eight times as large, four times as many.

Wan team, arXiv:2503.20314, section 4.1; layers as in the published configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    frames: int = 21,
    height: int = 60,
    across: int = 104,
    latent_channels: int = 16,
    width: int = 96,
    factors: Sequence[int] = (4, 4, 2, 1),
    in_time: Sequence[bool] = (True, True, False),
    blocks: int = 3,
    first: bool = True,
) -> Graph:
    """Scales of `factors` times `width` channels with `blocks` residual blocks each; some of them double time as well.

    The first latent frame, if it is among the `frames`, stays one frame. Windows see earlier frames alone.
    """
    g = Builder("video-decoder", format)
    x = g.conv(g.input(batch, latent_channels, frames, height, across), latent_channels, (1, 1, 1), bias=True)
    x = g.conv(x, factors[0] * width, (3, 3, 3), bias=True)
    x = _residual(g, x, factors[0] * width)
    x = _residual(g, _attended(g, x), factors[0] * width)
    for number, factor in enumerate(factors):
        for _ in range(blocks):
            x = _residual(g, x, factor * width)
        if number < len(factors) - 1:
            x = _doubled(g, x, in_time=in_time[number], first=first)
    return g.build(g.conv(_activated(g, x), 3, (3, 3, 3), bias=True))


def _activated(g: Builder, x: str) -> str:
    scale = (g.channels(x), 1, 1, 1)
    return g.act(g.add_node("RMSNormalization", [x], weights=[scale]), "Silu")


def _residual(g: Builder, x: str, filters: int) -> str:
    y = g.conv(_activated(g, x), filters, (3, 3, 3), bias=True)
    y = g.conv(_activated(g, y), filters, (3, 3, 3), bias=True)
    return g.add(g.conv(x, filters, (1, 1, 1), bias=True) if g.channels(x) != filters else x, y)


def _attended(g: Builder, x: str) -> str:
    """One head of attention inside each frame."""
    n, c, t, h, w = g.shape(x)
    y = g.reshape(g.transpose(g.add_node("RMSNormalization", [x], weights=[(c, 1, 1)]), 0, 2, 3, 4, 1), n * t, h * w, c)
    query, key, value = (g.reshape(g.linear(y, c), n * t, 1, h * w, c) for _ in range(3))
    y = g.linear(g.reshape(g.attention(query, key, value), n * t, h * w, c), c)
    return g.add(x, g.transpose(g.reshape(y, n, t, h, w, c), 0, 4, 1, 2, 3))


def _doubled(g: Builder, x: str, *, in_time: bool, first: bool) -> str:
    """Twice as many frames by a convolution in time, all but the `first`; then each frame enlarged, channels halved."""
    n, c, t, h, w = g.shape(x)
    if in_time:
        y = g.conv(x, 2 * c, (3, 1, 1), bias=True)
        x, t = g.reshape(y, n, c, 2 * t, h, w), 2 * t - first
        if first:
            x = g.add_node("Slice", [x], shape=[n, c, t, h, w], axes=[2])
    y = g.upsample(g.reshape(g.transpose(x, 0, 2, 1, 3, 4), n * t, c, h, w))
    y = g.conv(y, c // 2, 3, bias=True)
    return g.transpose(g.reshape(y, n, t, c // 2, 2 * h, 2 * w), 0, 2, 1, 3, 4)
