"""SHViT (Yun and Ro, arXiv:2401.16456): one head of attention on a part of the channels, on maps of stride 16."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import divisible, normed, squeeze_excitation
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    widths: Sequence[int],
    depths: Sequence[int],
    partial: Sequence[int],
    attends: Sequence[bool] = (False, True, True),
    key: int = 16,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Three stages of `depths` blocks, of which those of stages that `attends` look at `partial` channels."""
    g = Builder("shvit", format)
    x = g.input(batch, 3, resolution, resolution)
    for share in (8, 4, 2, 1):
        x = normed(g, x, widths[0] // share, 3, 2, act="Relu" if share > 1 else None)
    for width, depth, part, attending in zip(widths, depths, partial, attends, strict=True):
        if width != g.channels(x):
            x = _wide(g, _local(g, _merged(g, _wide(g, _local(g, x)), width)))
        for _ in range(depth):
            x = _local(g, x)
            x = g.add(x, _attended(g, x, part, key)) if attending else x
            x = _wide(g, x)
    return g.build(g.linear(g.add_node("BatchNormalization", [g.global_pool(x)], weights=[(widths[-1],)] * 2), classes))


def _local(g: Builder, x: str) -> str:
    return g.add(x, normed(g, x, g.channels(x), 3, 1, g.channels(x), act=None))


def _wide(g: Builder, x: str) -> str:
    return g.add(x, normed(g, normed(g, x, 2 * g.channels(x)), g.channels(x), act=None))


def _merged(g: Builder, x: str, width: int) -> str:
    hidden = 4 * g.channels(x)
    y = normed(g, normed(g, x, hidden), hidden, 3, 2, hidden)
    return normed(g, squeeze_excitation(g, y, divisible(hidden * 0.25)), width, act=None)


def _attended(g: Builder, x: str, part: int, key: int) -> str:
    n, c, h, w = g.shape(x)
    seen = g.add_node("Split", [x], outputs=2, axis=1, split=[part, c - part])
    projected = normed(g, g.group_norm(seen, 1), 2 * key + part, act=None)
    first = g.add_node("Split", [projected], outputs=3, axis=1, split=[key, key, part])
    rows = [(first, key), (f"{first}.1", key), (f"{first}.2", part)]
    query, keys, value = (g.transpose(g.reshape(y, n, 1, width, h * w), 0, 1, 3, 2) for y, width in rows)
    y = g.reshape(g.transpose(g.attention(query, keys, value), 0, 1, 3, 2), n, part, h, w)
    return normed(g, g.act(g.concat([y, f"{seen}.1"])), c, act=None)
