"""Depth-wise separable networks for keywords in sound (Zhang et al., arXiv:1711.07128, section 3.5)."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    filters: int = 64,
    layers: int = 4,
    frames: int = 49,
    bands: int = 10,
    classes: int = 12,
) -> Graph:
    """A 10x4 convolution of stride 2 over `frames` of `bands`, and `layers` of depth-wise and 1x1 ones, with biases."""
    g = Builder("keyword", format)
    image = g.input(batch, 1, frames, bands)
    x = g.add_node("Conv", [image], weights=[(filters, 1, 10, 4), (filters,)], strides=[2, 2], auto_pad="SAME_UPPER")
    x = g.act(g.batch_norm(x))
    for _ in range(layers):
        x = g.act(g.batch_norm(g.conv(x, filters, 3, groups=filters, bias=True)))
        x = g.act(g.batch_norm(g.conv(x, filters, bias=True)))
    return g.build(g.linear(g.global_pool(x), classes))
