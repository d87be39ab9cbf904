"""FasterNet (Chen et al., arXiv:2303.03667): a convolution of a part of the channels, the others pass untouched."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int,
    depths: Sequence[int],
    act: str = "Relu",
    part: int = 4,
    head: int = 1280,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Four stages, each twice as wide as the one before; 1 / `part` of the channels are convolved."""
    g = Builder("fasternet", format)
    x = g.batch_norm(g.conv(g.input(batch, 3, resolution, resolution), width, 4, 4, pad=0))
    for number, depth in enumerate(depths):
        if number:
            x = g.batch_norm(g.conv(x, 2 * int(g.channels(x)), 2, 2, pad=0))
        for _ in range(depth):
            x = _block(g, x, part, act)
    x = g.act(g.conv(g.add_node("GlobalAveragePool", [x]), head), act)
    return g.build(g.linear(g.add_node("Flatten", [x], axis=1), classes))


def _block(g: Builder, x: str, part: int, act: str) -> str:
    c = int(g.channels(x))
    convolved = g.add_node("Split", [x], outputs=2, axis=1, split=[c // part, c - c // part])
    y = g.concat([g.conv(convolved, c // part, 3), f"{convolved}.1"])
    return g.add(x, g.conv(normed(g, y, 2 * c, act=act), c))
