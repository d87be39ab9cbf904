"""SegFormer (Xie et al., arXiv:2105.15203): a pyramid of transformers whose keys are thinned out, and a light head."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import heads_of, joined_heads
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    widths: Sequence[int] = (32, 64, 160, 256),
    depths: Sequence[int] = (2, 2, 2, 2),
    heads: Sequence[int] = (1, 2, 5, 8),
    thinned: Sequence[int] = (8, 4, 2, 1),
    head: int = 256,
    resolution: int = 512,
    classes: int = 150,
) -> Graph:
    """Four stages; keys and values are of a map `thinned` times as small in both directions."""
    g = Builder("segformer", format)
    x = g.input(batch, 3, resolution, resolution)
    maps = []
    for number, (width, depth, count, ratio) in enumerate(zip(widths, depths, heads, thinned, strict=True)):
        x = g.conv(x, width, 3 if number else 7, 2 if number else 4, bias=True)
        h, w = g.shape(x)[2:]
        y = g.layer_norm(_rows(g, x))
        for _ in range(depth):
            y = g.add(y, _attended(g, g.layer_norm(y), count, ratio, (h, w)))
            y = g.add(y, _mixed(g, g.layer_norm(y), (h, w)))
        x = _image(g, g.layer_norm(y), (h, w))
        maps.append(x)
    side = g.shape(maps[0])[2]
    parts = []
    for x in maps:
        h, w = g.shape(x)[2:]
        y = _image(g, g.linear(_rows(g, x), head), (h, w))
        parts.append(y if h == side else g.add_node("Resize", [y], scales=[1, 1, side / h, side / h], mode="linear"))
    y = g.act(g.batch_norm(g.conv(g.concat(parts), head)))
    return g.build(g.conv(y, classes, bias=True))


def _rows(g: Builder, x: str) -> str:
    n, c, h, w = g.shape(x)
    return g.transpose(g.reshape(x, n, c, h * w), 0, 2, 1)


def _image(g: Builder, x: str, side: tuple[Size, Size]) -> str:
    n, _, c = g.shape(x)
    return g.reshape(g.transpose(x, 0, 2, 1), n, c, *side)


def _attended(g: Builder, x: str, heads: int, ratio: int, side: tuple[Size, Size]) -> str:
    width = g.shape(x)[-1]
    query = heads_of(g, g.linear(x, width), heads)
    if ratio > 1:
        few = g.conv(_image(g, x, side), width, ratio, ratio, pad=0, bias=True)
        few = g.layer_norm(_rows(g, few))
    else:
        few = x
    key, value = (heads_of(g, g.linear(few, width), heads) for _ in range(2))
    return g.linear(joined_heads(g, g.attention(query, key, value)), width)


def _mixed(g: Builder, x: str, side: tuple[Size, Size]) -> str:
    """Two products with a depth-wise convolution between, which tells positions."""
    width = g.shape(x)[-1]
    y = _image(g, g.linear(x, 4 * width), side)
    y = _rows(g, g.conv(y, 4 * width, 3, groups=4 * width, bias=True))
    return g.linear(g.act(y, "Gelu"), width)
