"""SwiftFormer (Shaker et al., arXiv:2303.15446): convolutional stages that end in additive attention."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import layer_scale, quartered
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    widths: Sequence[int],
    depths: Sequence[int],
    mlp: int = 4,
    heads: int = 2,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Four stages, each with additive attention in its last block; `heads` classifiers are averaged."""
    g = Builder("swiftformer", format)
    x = quartered(g, g.input(batch, 3, resolution, resolution), widths[0])
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if number:
            x = g.batch_norm(g.conv(x, width, 3, 2, bias=True))
        for _ in range(depth - 1):
            x = _local(g, x, mlp * width)
        x = _local(g, x, width)
        x = g.add(x, layer_scale(g, _attended(g, x)))
        y = g.conv(g.act(g.conv(g.batch_norm(x), mlp * width, bias=True), "Gelu"), width, bias=True)
        x = g.add(x, layer_scale(g, y))
    x = g.global_pool(g.batch_norm(x))
    return g.build(*(g.linear(x, classes) for _ in range(heads)))


def _local(g: Builder, x: str, hidden: int) -> str:
    c = g.channels(x)
    y = g.batch_norm(g.conv(x, c, 3, groups=c, bias=True))
    return g.add(x, layer_scale(g, g.conv(g.act(g.conv(y, hidden, bias=True), "Gelu"), c, bias=True)))


def _attended(g: Builder, x: str) -> str:
    """One global query, a weighted sum of all, multiplies the keys (section 3.1)."""
    n, c, h, w = g.shape(x)
    y = g.reshape(g.transpose(x, 0, 2, 3, 1), n, h * w, c)
    query, key = (g.add_node("LpNormalization", [g.linear(y, c)], axis=-1) for _ in range(2))
    weights = g.add_node("LpNormalization", [g.linear(query, 1, bias=False)], axis=1)
    whole = g.mean(g.mul(query, weights), 1, keep=True)
    y = g.linear(g.add(g.linear(g.mul(key, whole), c), query), c)
    return g.transpose(g.reshape(y, n, h, w, c), 0, 3, 1, 2)
