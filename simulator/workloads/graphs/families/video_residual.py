"""Residual networks on clips: 3D, mixed and factorised convolutions (Tran et al., arXiv:1711.11248)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

WIDTHS = (64, 128, 256, 512)
Way = Literal["space-time", "space", "factorised"]


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    ways: Sequence[Way],
    blocks: Sequence[int] = (2, 2, 2, 2),
    frames: int = 16,
    resolution: int = 112,
    classes: int = 400,
) -> Graph:
    """Four groups of `blocks`, whose windows reach over "space-time", "space" alone, or one after the other."""
    g = Builder("video-residual", format)
    x = g.input(batch, 3, frames, resolution, resolution)
    if ways[0] == "factorised":
        x = g.act(g.batch_norm(g.conv(x, 45, (1, 7, 7), (1, 2, 2))))
        x = g.act(g.batch_norm(g.conv(x, 64, (3, 1, 1))))
    else:
        x = g.act(g.batch_norm(g.conv(x, 64, (3, 7, 7), (1, 2, 2))))
    for number, (way, count) in enumerate(zip(ways, blocks, strict=True)):
        for block in range(count):
            x = _block(g, x, WIDTHS[number], 2 if number and not block else 1, way)
    return g.build(g.linear(g.global_pool(x), classes))


def _block(g: Builder, x: str, filters: int, stride: int, way: Way) -> str:
    # both convolutions of a block have as many filters inside as the first one's parameters would give
    inner = int(g.channels(x)) * filters * 27 // (int(g.channels(x)) * 9 + 3 * filters)
    y = g.act(g.batch_norm(_conv(g, x, filters, stride, way, inner)))
    y = g.batch_norm(_conv(g, y, filters, 1, way, inner))
    if stride > 1 or g.channels(x) != filters:
        x = g.batch_norm(g.conv(x, filters, (1, 1, 1), (1 if way == "space" else stride, stride, stride)))
    return g.act(g.add(y, x))


def _conv(g: Builder, x: str, filters: int, stride: int, way: Way, inner: int) -> str:
    if way == "space-time":
        return g.conv(x, filters, (3, 3, 3), stride)
    if way == "space":
        return g.conv(x, filters, (1, 3, 3), (1, stride, stride))
    y = g.act(g.batch_norm(g.conv(x, inner, (1, 3, 3), (1, stride, stride))))
    return g.conv(y, filters, (3, 1, 1), (stride, 1, 1))
