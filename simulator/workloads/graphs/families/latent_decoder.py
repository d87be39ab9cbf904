"""The decoder of a latent autoencoder: from latents to an image eight times as large (arXiv:2112.10752, appendix G)."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.latent_unet import residual
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    latent: int = 64,
    latent_channels: int = 4,
    widths: Sequence[int] = (512, 512, 256, 128),
    blocks: int = 3,
) -> Graph:
    """`blocks` residual blocks a scale, between which the map doubles, after one head of attention on the latents."""
    g = Builder("latent-decoder", format)
    x = g.conv(g.input(batch, latent_channels, latent, latent), latent_channels, bias=True)
    x = g.conv(x, widths[0], 3, bias=True)
    x = residual(g, _attended(g, residual(g, x, widths[0], None)), widths[0], None)
    for number, width in enumerate(widths):
        for _ in range(blocks):
            x = residual(g, x, width, None)
        if number < len(widths) - 1:
            x = g.conv(g.upsample(x), width, 3, bias=True)
    return g.build(g.conv(g.act(g.group_norm(x), "Silu"), 3, 3, bias=True))


def _attended(g: Builder, x: str) -> str:
    n, c, h, w = g.shape(x)
    y = g.reshape(g.transpose(g.group_norm(x), 0, 2, 3, 1), n, h * w, c)
    query, key, value = (g.reshape(g.linear(y, c), n, 1, h * w, c) for _ in range(3))
    y = g.linear(g.reshape(g.attention(query, key, value), n, h * w, c), c)
    return g.add(x, g.transpose(g.reshape(y, n, h, w, c), 0, 3, 1, 2))
