"""The image encoder of Segment Anything (Kirillov et al., arXiv:2304.02643): attention mostly in windows."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import heads_of, joined_heads, mlp
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    everywhere: Sequence[int] = (2, 5, 8, 11),
    window: int = 14,
    patch: int = 16,
    neck: int = 256,
    resolution: int = 1024,
) -> Graph:
    """Layers see the whole image `everywhere` and a `window` of patches elsewhere; maps are padded to whole windows."""
    g = Builder("windowed-vision", format)
    x = g.conv(g.input(batch, 3, resolution, resolution), width, patch, patch, pad=0, bias=True)
    side = resolution // patch
    x = g.add_node("Add", [g.transpose(x, 0, 2, 3, 1)], weights=[(1, side, side, width)])
    for layer in range(depth):
        y = g.layer_norm(x)
        y = _attended(g, y, heads) if layer in everywhere else _windowed(g, y, heads, window)
        x = g.add(x, y)
        x = g.add(x, mlp(g, g.layer_norm(x), 4 * width))
    x = g.transpose(x, 0, 3, 1, 2)
    for kernel in (1, 3):
        x = g.conv(x, neck, kernel)
        x = g.add_node("LayerNormalization", [x], weights=[(neck,)] * 2, axis=1)
    return g.build(x)


def _windowed(g: Builder, x: str, heads: int, window: int) -> str:
    n, h, w, c = g.shape(x)
    rows, columns = -(-h // window), -(-w // window)
    y = g.add_node("Pad", [x], pads=[0, 0, 0, 0, 0, rows * window - h, columns * window - w, 0])
    y = g.transpose(g.reshape(y, n, rows, window, columns, window, c), 0, 1, 3, 2, 4, 5)
    y = _attended(g, g.reshape(y, n * rows * columns, window, window, c), heads)
    y = g.transpose(g.reshape(y, n, rows, columns, window, window, c), 0, 1, 3, 2, 4, 5)
    y = g.reshape(y, n, rows * window, columns * window, c)
    return g.add_node("Slice", [y], shape=[n, h, w, c], axes=[1, 2])


def _attended(g: Builder, x: str, heads: int) -> str:
    """Attention with terms of the scores for rows and columns apart, products of queries and tables."""
    n, h, w, c = g.shape(x)
    rows = g.reshape(x, n, h * w, c)
    query, key, value = (heads_of(g, g.linear(rows, c), heads) for _ in range(3))
    places = [g.matmul(query, g.weight(c // heads, 2 * side - 1)) for side in (h, w)]
    y = g.add_node("Attention", [query, key, value, *places])
    return g.reshape(g.linear(joined_heads(g, y), c), n, h, w, c)
