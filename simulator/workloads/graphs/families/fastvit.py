"""FastViT (Vasu et al., arXiv:2303.14189): depth-wise mixing with its branches merged, attention in the last stage."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import divisible, layer_scale, normed, squeeze_excitation
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (2, 2, 6, 2),
    mlp: int = 4,
    attends: int = 1,
    head_width: int = 32,
    resolution: int = 256,
    classes: int = 1000,
) -> Graph:
    """Four stages, the last `attends` of which have attention. Norms and parallel branches are folded, as deployed."""
    g = Builder("fastvit", format)
    x = g.act(_folded(g, g.input(batch, 3, resolution, resolution), widths[0], 3, 2), "Gelu")
    x = g.act(_depth_wise(g, x, 3, 2), "Gelu")
    x = g.act(_folded(g, x, widths[0]), "Gelu")
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if number:
            x = g.conv(x, width, 7, 2, g.channels(x), bias=True)
            x = g.act(_folded(g, x, width), "Gelu")
        attending = number >= len(widths) - attends
        x = _depth_wise(g, x, 7) if attending else x
        for _ in range(depth):
            x = g.add(x, layer_scale(g, _attended(g, x, head_width))) if attending else _depth_wise(g, x, 3)
            y = normed(g, x, g.channels(x), 7, groups=g.channels(x), act=None)
            y = g.act(g.conv(y, mlp * width, bias=True), "Gelu")
            x = g.add(x, layer_scale(g, g.conv(y, width, bias=True)))
    x = g.conv(x, 2 * widths[-1], 3, groups=widths[-1], bias=True)
    x = g.act(squeeze_excitation(g, x, divisible(widths[-1] / 8)), "Gelu")
    return g.build(g.linear(g.global_pool(x), classes))


def _folded(g: Builder, x: str, filters: int, kernel: int = 1, stride: int = 1) -> str:
    return g.conv(x, filters, kernel, stride, bias=True)


def _depth_wise(g: Builder, x: str, kernel: int, stride: int = 1) -> str:
    return g.conv(x, g.channels(x), kernel, stride, g.channels(x), bias=True)


def _attended(g: Builder, x: str, head_width: int) -> str:
    n, c, h, w = g.shape(x)
    heads, tokens = int(c) // head_width, int(h) * int(w)
    y = g.transpose(g.reshape(g.batch_norm(x), n, c, tokens), 0, 2, 1)
    joint = g.reshape(g.linear(y, 3 * int(c), bias=False), n, tokens, 3, heads, head_width)
    parts = g.split(g.transpose(joint, 2, 0, 3, 1, 4), 3, axis=0)
    query, key, value = (g.reshape(p, n, heads, tokens, head_width) for p in parts)
    y = g.reshape(g.transpose(g.attention(query, key, value), 0, 2, 1, 3), n, tokens, c)
    return g.reshape(g.transpose(g.linear(y, c), 0, 2, 1), n, c, h, w)
