"""Denoising networks of latent diffusion: convolutions and attention to a text at several scales.

Rombach et al., arXiv:2112.10752; Podell et al., arXiv:2307.01952 (SDXL); layers as in the published configurations.
Hu et al., arXiv:2412.09619, 3.1 (SnapGen).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import attention
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class _Network:
    """What all blocks of one network share: the builder, what they are told of time and text, and their layers."""

    g: Builder
    time: str
    text: str
    heads: int | None
    head_width: int
    linear_projection: bool
    kv_heads: int | None
    hidden: int
    separable: int

    def block(self, x: str, filters: int, depth: int, alone: bool) -> str:
        """A residual block and, of `depth` layers, a transformer, with attention to the image itself if `alone`."""
        x = residual(self.g, x, filters, self.time, separable=self.separable)
        return self.transformer(x, depth, alone) if depth else x

    def transformer(self, x: str, depth: int, alone: bool) -> str:
        """Layers of attention to the image, attention to the text and gated products, on all positions."""
        g = self.g
        n, c, h, w = g.shape(x)
        heads = self.heads or int(c) // self.head_width
        y = g.group_norm(x)
        if not self.linear_projection:
            y = g.conv(y, c, bias=True)
        y = g.reshape(g.transpose(y, 0, 2, 3, 1), n, h * w, c)
        if self.linear_projection:
            y = g.linear(y, c)
        for _ in range(depth):
            for context in (None, self.text) if alone else (self.text,):
                z = g.layer_norm(y)
                y = g.add(y, attention(g, z, heads, context=context, bias=False, kv_heads=self.kv_heads))
            y = g.add(y, g.linear(gated(g, g.layer_norm(y), self.hidden * c), c))
        if self.linear_projection:
            y = g.linear(y, c)
        y = g.transpose(g.reshape(y, n, h, w, c), 0, 3, 1, 2)
        if not self.linear_projection:
            y = g.conv(y, c, bias=True)
        return g.add(x, y)


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    widths: Sequence[int] = (320, 640, 1280, 1280),
    depths: Sequence[int] = (1, 1, 1, 0),
    blocks: int = 2,
    latent: int = 64,
    latent_channels: int = 4,
    text_width: int = 768,
    text_tokens: int = 77,
    heads: int | None = 8,
    head_width: int = 64,
    linear_projection: bool = False,
    middle_depth: int = 1,
    added: int = 0,
    alone: Sequence[bool] | None = None,
    kv_heads: int | None = None,
    hidden: int = 4,
    separable: int = 0,
) -> Graph:
    """One denoising step. `depths` are transformer layers behind each residual block of a scale.

    `added` numbers of a further embedding (SDXL's pooled text and sizes) join the time's. Heads are `heads` everywhere,
    or `head_width` wide where that is None, and share keys where there are fewer `kv_heads`. Scales attend to the image
    itself where `alone` says so (None: all), and to the text. Products are `hidden` times as wide as what they read.
    `separable` convolutions are depth-wise before point-wise ones, so many times as wide inside a residual block.
    """
    g = Builder("latent-unet", format)
    x = g.input(batch, latent_channels, latent, latent)
    text = g.input(batch, text_tokens, text_width, name="text")
    time = _embedded(g, g.input(batch, widths[0], name="time"), 4 * widths[0])
    if added:
        time = g.add(time, _embedded(g, g.input(batch, added, name="added"), 4 * widths[0]))
    net = _Network(g, g.act(time, "Silu"), text, heads, head_width, linear_projection, kv_heads, hidden, separable)
    scales = list(zip(widths, depths, alone or (True,) * len(widths), strict=True))
    x = g.conv(x, widths[0], 3, bias=True)
    skips = [x]
    for number, (width, depth, itself) in enumerate(scales):
        for _ in range(blocks):
            x = net.block(x, width, depth, itself)
            skips.append(x)
        if number < len(widths) - 1:
            x = windowed(g, x, width, 2, separable=bool(separable))
            skips.append(x)
    x = net.block(x, widths[-1], middle_depth, scales[-1][2])
    x = net.block(x, widths[-1], 0, scales[-1][2])
    for number, (width, depth, itself) in enumerate(reversed(scales)):
        for _ in range(blocks + 1):
            x = net.block(g.concat([x, skips.pop()]), width, depth, itself)
        if number < len(widths) - 1:
            x = windowed(g, g.upsample(x), width, separable=bool(separable))
    return g.build(g.conv(g.act(g.group_norm(x), "Silu"), latent_channels, 3, bias=True))


def windowed(g: Builder, x: str, filters: Size, stride: int = 1, *, separable: bool = False) -> str:
    """A 3 x 3 convolution, or a depth-wise one and a point-wise one."""
    if not separable:
        return g.conv(x, filters, 3, stride, bias=True)
    c = g.channels(x)
    return g.conv(g.conv(x, c, 3, stride, groups=c, bias=True), filters, bias=True)


def residual(g: Builder, x: str, filters: Size, time: str | None, *, separable: int = 0) -> str:
    """Two convolutions beside a shortcut, told of the time in between; `separable` ones so many times as wide there."""
    inner = filters * (separable or 1)
    y = windowed(g, g.act(g.group_norm(x), "Silu"), inner, separable=bool(separable))
    if time is not None:
        n = g.shape(x)[0]
        y = g.add(y, g.reshape(g.linear(time, inner), n, inner, 1, 1))
    y = windowed(g, g.act(g.group_norm(y), "Silu"), filters, separable=bool(separable))
    return g.add(g.conv(x, filters, bias=True) if g.channels(x) != filters else x, y)


def gated(g: Builder, x: str, hidden: Size) -> str:
    """One half of a product times the other half's activation (GEGLU, arXiv:2002.05202)."""
    value, gate = g.split(g.linear(x, 2 * hidden), 2, axis=-1)
    return g.mul(value, g.act(gate, "Gelu"))


def _embedded(g: Builder, x: str, width: int) -> str:
    return g.linear(g.act(g.linear(x, width), "Silu"), width)
