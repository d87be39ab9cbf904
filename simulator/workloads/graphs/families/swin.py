"""Swin transformers (Liu et al., arXiv:2103.14030): attention inside windows, which every other layer shifts."""

from __future__ import annotations

from collections.abc import Sequence

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
    width: int = 96,
    depths: Sequence[int] = (2, 2, 6, 2),
    heads: Sequence[int] = (3, 6, 12, 24),
    window: int = 7,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Four stages, each merging 2x2 positions and doubling the channels; maps are padded to whole windows."""
    g = Builder("swin", format)
    x = g.conv(g.input(batch, 3, resolution, resolution), width, 4, 4, pad=0, bias=True)
    x = g.layer_norm(g.transpose(x, 0, 2, 3, 1))
    for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        if stage:
            x = _merged(g, x)
        for number in range(depth):
            x = _layer(g, x, count, window, shifted=number % 2 == 1)
    return g.build(g.linear(g.mean(g.layer_norm(x), 1, 2), classes))


def _layer(g: Builder, x: str, heads: int, window: int, *, shifted: bool) -> str:
    n, h, w, c = g.shape(x)
    rows, columns = -(-h // window), -(-w // window)
    y = g.layer_norm(x)
    if (rows * window, columns * window) != (h, w):
        y = g.add_node("Pad", [y], pads=[0, 0, 0, 0, 0, rows * window - h, columns * window - w, 0])
    y = _rolled(g, y) if shifted else y
    y = g.transpose(g.reshape(y, n, rows, window, columns, window, c), 0, 1, 3, 2, 4, 5)
    y = g.reshape(y, n * rows * columns, window * window, c)
    y = attention(g, y, heads, table=((2 * window - 1) ** 2, heads))
    y = g.transpose(g.reshape(y, n, rows, columns, window, window, c), 0, 1, 3, 2, 4, 5)
    y = g.reshape(y, n, rows * window, columns * window, c)
    y = _rolled(g, y) if shifted else y
    if (rows * window, columns * window) != (h, w):
        y = g.add_node("Slice", [y], shape=[n, h, w, c], axes=[1, 2])
    x = g.add(x, y)
    return g.add(x, mlp(g, g.layer_norm(x), 4 * c))


def _rolled(g: Builder, x: str) -> str:
    """A cyclic shift: every number moves once."""
    return g.add_node("Slice", [x], shape=list(g.shape(x)), axes=[1, 2])


def _merged(g: Builder, x: str) -> str:
    n, h, w, c = g.shape(x)
    x = g.transpose(g.reshape(x, n, h // 2, 2, w // 2, 2, c), 0, 1, 3, 2, 4, 5)
    x = g.layer_norm(g.reshape(x, n, h // 2, w // 2, 4 * c))
    return g.linear(x, 2 * c, bias=False)
