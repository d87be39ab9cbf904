"""Diffusion transformers on patches of latents, told of time and class by norms (Peebles and Xie, arXiv:2212.09748)."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import attention, mlp
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 1152,
    depth: int = 28,
    heads: int = 16,
    patch: int = 2,
    latent: int = 32,
    latent_channels: int = 4,
    classes: int = 1000,
) -> Graph:
    """One denoising step; each layer takes six vectors from time and class, that scale, shift and gate it."""
    g = Builder("diffusion-transformer", format)
    side = latent // patch
    x = g.conv(g.input(batch, latent_channels, latent, latent), width, patch, patch, pad=0, bias=True)
    x = g.transpose(g.reshape(x, batch, width, side * side), 0, 2, 1)
    x = g.add(x, g.input(1, side * side, width, name="places"))
    time = g.linear(g.act(g.linear(g.input(batch, 256, name="time"), width), "Silu"), width)
    label = g.reshape(g.embedding(g.input(batch, 1, name="label"), classes + 1, width), batch, width)
    told = g.act(g.add(time, label), "Silu")
    for _ in range(depth):
        x = _layer(g, x, told, heads)
    shift, scale = g.split(_vectors(g, told, 2), 2, axis=1)
    x = g.linear(_modulated(g, x, shift, scale), patch * patch * 2 * latent_channels)
    return g.build(x)


def _layer(g: Builder, x: str, told: str, heads: int) -> str:
    width = g.shape(x)[-1]
    parts = g.split(_vectors(g, told, 6), 6, axis=1)
    y = attention(g, _modulated(g, x, parts[0], parts[1]), heads)
    x = g.add(x, g.mul(y, parts[2]))
    y = mlp(g, _modulated(g, x, parts[3], parts[4]), 4 * width)
    return g.add(x, g.mul(y, parts[5]))


def _vectors(g: Builder, told: str, count: int) -> str:
    batch, width = g.shape(told)
    return g.reshape(g.linear(told, count * width), batch, count, width)


def _modulated(g: Builder, x: str, shift: str, scale: str) -> str:
    """A norm without weights of its own, scaled and shifted."""
    return g.add(g.mul(g.add_node("LayerNormalization", [x], axis=-1), scale), shift)
