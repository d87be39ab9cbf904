"""MobileViTv2 (Mehta and Rastegari, arXiv:2206.02680): separable attention, linear in the positions of a map."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.families.inverted_residual import Stage, block
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

PATCH = 2


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: float = 1.0,
    widths: Sequence[int] = (64, 128, 256, 384, 512),
    depths: Sequence[int] = (2, 4, 3),
    stem: int = 32,
    resolution: int = 256,
    classes: int = 1000,
) -> Graph:
    """Five stages, all `width` times as wide, the last three with transformers of `depths` layers half as wide."""
    g = Builder("mobilevit-v2", format)
    filters = [int(w * width) for w in widths]
    x = normed(g, g.input(batch, 3, resolution, resolution), int(stem * width), 3, 2, act="Silu")
    stage = Stage(0, expand=2.0, act="Silu")
    x = block(g, x, stage, filters[0], 1)
    for stride in (2, 1):
        x = block(g, x, stage, filters[1], stride)
    for wide, depth in zip(filters[2:], depths, strict=True):
        x = _global(g, block(g, x, stage, wide, 2), wide // 2, depth)
    return g.build(g.linear(g.global_pool(x), classes))


def _global(g: Builder, x: str, inner: int, depth: int) -> str:
    """Positions at the same place of each patch attend to one another; maps are (batch, width, places, patches)."""
    n, c, h, w = g.shape(x)
    rows, columns = int(h) // PATCH, int(w) // PATCH
    y = g.conv(normed(g, x, c, 3, groups=c, act="Silu"), inner)
    y = g.transpose(g.reshape(y, n, inner, rows, PATCH, columns, PATCH), 0, 1, 3, 5, 2, 4)
    y = g.reshape(y, n, inner, PATCH * PATCH, rows * columns)
    for _ in range(depth):
        y = g.add(y, _separable(g, g.group_norm(y, 1)))
        hidden = g.act(g.conv(g.group_norm(y, 1), 2 * inner, bias=True), "Silu")
        y = g.add(y, g.conv(hidden, inner, bias=True))
    y = g.reshape(g.group_norm(y, 1), n, inner, PATCH, PATCH, rows, columns)
    y = g.reshape(g.transpose(y, 0, 1, 4, 2, 5, 3), n, inner, rows * PATCH, columns * PATCH)
    return normed(g, y, c, act=None)


def _separable(g: Builder, x: str) -> str:
    """Scores of one number a position weigh the keys, whose sum multiplies the values (figure 4)."""
    inner = int(g.channels(x))
    joint = g.conv(x, 1 + 2 * inner, bias=True)
    query = g.add_node("Split", [joint], outputs=3, axis=1, split=[1, inner, inner])
    whole = g.add_node("ReduceSum", [g.mul(f"{query}.1", g.softmax(query))], axes=[3], keepdims=1)
    return g.conv(g.mul(g.act(f"{query}.2"), whole), inner, bias=True)
