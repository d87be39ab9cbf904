"""Next-ViT (Li et al., arXiv:2207.05501): grouped convolutions, and every few blocks attention with fewer keys."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import divisible, normed
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

HEAD = 32
# Channels of the stem, of each stage's convolving blocks, and of their attending ones; keys a side of these.
STEM = (64, 32, 64)
CONVOLVING = (96, 192, 384, 768)
ATTENDING = (None, 256, 512, 1024)
REDUCED = (8, 4, 2, 1)
# Share of an attending block's channels that attention makes (section 3.4).
MIXED = 0.75


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    deep: int = 2,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Four stages; the third repeats four convolving blocks and an attending one `deep` times (table 2)."""
    g = Builder("nextvit", format)
    x = normed(g, g.input(batch, 3, resolution, resolution), STEM[0], 3, 2)
    for filters in STEM[1:]:
        x = normed(g, x, filters, 3)
    x = normed(g, x, STEM[0], 3, 2)
    rows: tuple[Sequence[bool], ...] = (
        (False,) * 3,
        (False,) * 3 + (True,),
        ((False,) * 4 + (True,)) * deep,
        (False,) * 2 + (True,),
    )
    for stage, blocks in enumerate(rows):
        for number, attending in enumerate(blocks):
            stride = 2 if stage and number == 0 else 1
            wide = ATTENDING[stage] if attending else None
            x = _attending(g, x, wide, REDUCED[stage]) if wide else _convolving(g, x, CONVOLVING[stage], stride)
    x = g.global_pool(g.batch_norm(x))
    return g.build(g.linear(x, classes))


def _embedded(g: Builder, x: str, filters: int, stride: int = 1) -> str:
    """Means of two by two where the map shrinks, and other channels where they change."""
    if stride > 1:
        x = g.average_pool(x, 2, 2, ceil=True)
    elif g.channels(x) == filters:
        return x
    return normed(g, x, filters, act=None)


def _grouped(g: Builder, x: str) -> str:
    """Multi-head convolution: a group a head, and a mix of them."""
    c = int(g.channels(x))
    return g.add(x, g.conv(normed(g, x, c, 3, groups=c // HEAD), c))


def _mlp(g: Builder, x: str, ratio: int) -> str:
    y = g.act(g.conv(g.batch_norm(x), ratio * int(g.channels(x)), bias=True))
    return g.add(x, g.conv(y, g.channels(x), bias=True))


def _convolving(g: Builder, x: str, filters: int, stride: int) -> str:
    return _mlp(g, _grouped(g, _embedded(g, x, filters, stride)), 3)


def _attending(g: Builder, x: str, filters: int, reduced: int) -> str:
    """Attention, then convolutions of its result's projection, laid side by side."""
    inner = int(divisible(filters * MIXED, HEAD))
    x = _embedded(g, x, inner)
    x = g.add(x, _attended(g, g.batch_norm(x), reduced))
    return _mlp(g, g.concat([x, _grouped(g, _embedded(g, x, filters - inner))]), 2)


def _attended(g: Builder, x: str, reduced: int) -> str:
    n, c, h, w = (int(s) for s in g.shape(x))
    y = g.transpose(g.reshape(x, n, c, h * w), 0, 2, 1)
    fewer = y
    if reduced > 1:
        flat = g.average_pool(g.reshape(x, n, c, h * w), reduced**2, reduced**2)
        fewer = g.transpose(g.batch_norm(flat), 0, 2, 1)
    rows = [(g.linear(y, c), h * w), *((g.linear(fewer, c), int(g.shape(fewer)[1])) for _ in range(2))]
    query, key, value = (g.transpose(g.reshape(p, n, t, c // HEAD, HEAD), 0, 2, 1, 3) for p, t in rows)
    y = g.reshape(g.transpose(g.attention(query, key, value), 0, 2, 1, 3), n, h * w, c)
    return g.reshape(g.transpose(g.linear(y, c), 0, 2, 1), n, c, h, w)
