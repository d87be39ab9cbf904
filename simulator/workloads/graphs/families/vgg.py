"""Plain stacks of convolutions (Simonyan and Zisserman, arXiv:1409.1556, table 1), and torchvision's AlexNet."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    layers: Sequence[int | str | Sequence[int]],
    batch_norm: bool = False,
    pool: int = 2,
    mapped: int = 7,
    hidden: Sequence[int] = (4096, 4096),
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """`layers` are filters of 3x3 convolutions, [filters, kernel, stride, pad] of others, and "pool".

    Their result, `mapped` positions wide after adaptive pooling, goes through layers of `hidden` units.
    """
    g = Builder("vgg", format)
    x = g.input(batch, 3, resolution, resolution)
    for layer in layers:
        if layer == "pool":
            x = g.max_pool(x, pool, 2)
            continue
        assert not isinstance(layer, str)
        filters, kernel, stride, pad = (layer, 3, 1, 1) if isinstance(layer, int) else layer
        x = g.conv(x, filters, kernel, stride, pad=pad, bias=True)
        x = g.act(g.batch_norm(x) if batch_norm else x)
    if g.shape(x)[2] != mapped:
        x = g.add_node("AdaptiveAveragePool", [x], output_size=[mapped, mapped])
    x = g.add_node("Flatten", [x], axis=1)
    for units in hidden:
        x = g.act(g.linear(x, units))
    return g.build(g.linear(x, classes))
