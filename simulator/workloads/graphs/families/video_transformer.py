"""Diffusion transformers that attend to a text, on images or on videos with attention over space and time.

Chen et al., arXiv:2310.00426 (PixArt); Wan team, arXiv:2503.20314; Xie et al., arXiv:2410.10629 (SANA);
Chen et al., arXiv:2509.24695 (SANA-Video).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import heads_of, joined_heads, mlp
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class _Layer:
    """What all layers have in common: width and heads, attention and products, `share` of pairs looked at."""

    width: int
    heads: int
    hidden: int
    linear: bool
    convolved: bool
    normed: bool
    share: float
    grid: tuple[int, int, int]


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int,
    depth: int,
    heads: int,
    hidden: int,
    frames: int = 1,
    height: int = 64,
    across: int = 64,
    patch: int = 2,
    latent_channels: int = 16,
    results: int | None = None,
    text_width: int = 4096,
    text_tokens: int = 512,
    mixer: Literal["softmax", "linear"] = "softmax",
    products: Literal["dense", "convolved"] = "dense",
    normed: bool = True,
    share: float = 1.0,
) -> Graph:
    """One denoising step on latents of `frames` x `height` x `across`, in patches of `patch` x `patch`.

    `linear` attention sums keys and values; `convolved` products have a depth-wise convolution between gated ones
    (SANA). Queries and keys are `normed` in Wan. Each layer takes six vectors made of the time once for all layers.
    """
    g = Builder("video-transformer", format)
    rows, columns = height // patch, across // patch
    tokens = frames * rows * columns
    x = g.input(batch, latent_channels, frames, height, across)
    filters = (width, latent_channels, 1, patch, patch)
    x = g.add_node("Conv", [x], weights=[filters, (width,)], strides=[1, patch, patch])
    x = g.transpose(g.reshape(x, batch, width, tokens), 0, 2, 1)
    text = mlp_to(g, g.input(batch, text_tokens, text_width, name="text"), width)
    time = mlp_to(g, g.input(batch, 256, name="time"), width, "Silu")
    vectors = g.reshape(g.linear(g.act(time, "Silu"), 6 * width), batch, 6, width)
    like = _Layer(
        width, heads, hidden, mixer == "linear", products == "convolved", normed, share, (frames, rows, columns)
    )
    for _ in range(depth):
        x = _layer(g, x, text, g.add_node("Add", [vectors], weights=[(6, width)]), like)
    shift, scale = g.split(g.add_node("Add", [g.reshape(time, batch, 1, width)], weights=[(2, width)]), 2)
    x = g.linear(_modulated(g, x, shift, scale), patch * patch * (results or latent_channels))
    return g.build(x)


def mlp_to(g: Builder, x: str, width: Size, act: str = "Gelu") -> str:
    """Two products with an activation between, both of this width."""
    return g.linear(g.act(g.linear(x, width), act), width)


def _layer(g: Builder, x: str, text: str, vectors: str, like: _Layer) -> str:
    parts = g.split(vectors, 6)
    y = _attended(g, _modulated(g, x, parts[0], parts[1]), None, like)
    x = g.add(x, g.mul(y, parts[2]))
    x = g.add(x, _attended(g, g.layer_norm(x) if like.normed else x, text, like))
    y = _modulated(g, x, parts[3], parts[4])
    y = _convolved(g, y, like) if like.convolved else mlp(g, y, like.hidden)
    return g.add(x, g.mul(y, parts[5]))


def _attended(g: Builder, x: str, text: str | None, like: _Layer) -> str:
    """Attention to all of the video, or to the text, which is always by softmax."""
    linear = like.linear and text is None
    other = text or x
    sides = [g.linear(side, like.width, bias=not linear) for side in (x, other, other)]
    if like.normed:
        sides[:2] = [g.rms_norm(side) for side in sides[:2]]
    if linear:
        sides[:2] = [g.act(side) for side in sides[:2]]
    query, key, value = (heads_of(g, side, like.heads) for side in sides)
    if linear:
        y = g.add_node("LinearAttention", [query, key, value])
    else:
        y = g.attention(query, key, value, share=1.0 if text else like.share)
    return g.linear(joined_heads(g, y), like.width)


def _convolved(g: Builder, x: str, like: _Layer) -> str:
    """Gated products around a 3x3 depth-wise convolution of each frame (SANA, section 2.2)."""
    batch, tokens, width = g.shape(x)
    frames, rows, columns = like.grid
    y = g.act(g.linear(x, 2 * like.hidden), "Silu")
    y = g.reshape(g.transpose(y, 0, 2, 1), batch * frames, 2 * like.hidden, rows, columns)
    y = g.conv(y, 2 * like.hidden, 3, groups=2 * like.hidden, bias=True)
    value, gate = g.split(y, 2)
    y = g.mul(value, g.act(gate, "Silu"))
    return g.linear(g.transpose(g.reshape(y, batch, like.hidden, tokens), 0, 2, 1), width, bias=False)


def _modulated(g: Builder, x: str, shift: str, scale: str) -> str:
    """A norm without weights of its own, scaled and shifted."""
    return g.add(g.mul(g.add_node("LayerNormalization", [x], axis=-1), scale), shift)
