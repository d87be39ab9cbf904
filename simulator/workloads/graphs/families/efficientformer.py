"""EfficientFormer (Li et al., arXiv:2206.01191): pooling mixes positions, attention only on the smallest maps."""

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
    attending: int,
    heads: int = 8,
    key: int = 32,
    mlp: int = 4,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Four stages; the last `attending` blocks of the last one are transformer layers, values wider than keys."""
    g = Builder("efficientformer", format)
    x = quartered(g, g.input(batch, 3, resolution, resolution), widths[0])
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if number:
            x = g.batch_norm(g.conv(x, width, 3, 2, bias=True))
        for _ in range(depth - (attending if number == len(widths) - 1 else 0)):
            pooled = g.add_node("Sub", [g.average_pool(x, 3, 1, 1), x])
            x = g.add(x, layer_scale(g, pooled))
            y = g.act(g.batch_norm(g.conv(x, mlp * width, bias=True)), "Gelu")
            x = g.add(x, layer_scale(g, g.batch_norm(g.conv(y, width, bias=True))))
    n, c, h, w = g.shape(x)
    x = g.reshape(g.transpose(x, 0, 2, 3, 1), n, h * w, c)
    for _ in range(attending):
        x = g.add(x, layer_scale(g, _attended(g, g.layer_norm(x), heads, key, mlp * key)))
        y = g.linear(g.act(g.linear(g.layer_norm(x), mlp * c), "Gelu"), c)
        x = g.add(x, layer_scale(g, y))
    x = g.mean(g.layer_norm(x), 1)
    return g.build(*(g.linear(x, classes) for _ in range(2)))


def _attended(g: Builder, x: str, heads: int, key: int, value: int) -> str:
    """Keys narrower than values, and a learned term of the scores for each distance."""
    n, tokens, c = g.shape(x)
    split = [heads * key, heads * key, heads * value]
    first = g.add_node("Split", [g.linear(x, sum(split))], outputs=3, axis=-1, split=split)
    rows = [(first, key), (f"{first}.1", key), (f"{first}.2", value)]
    parts = [g.transpose(g.reshape(y, n, tokens, heads, width), 0, 2, 1, 3) for y, width in rows]
    y = g.attention(parts[0], parts[1], parts[2], table=(heads, tokens))
    return g.linear(g.reshape(g.transpose(y, 0, 2, 1, 3), n, tokens, heads * value), c)
