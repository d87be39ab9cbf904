"""Densely connected networks (Huang et al., arXiv:1608.06993, table 1)."""

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
    blocks: Sequence[int],
    growth: int = 32,
    stem: int = 64,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Each layer of a block adds `growth` channels to all that came before it; halves lie between blocks."""
    g = Builder("densenet", format)
    x = g.max_pool(normed(g, g.input(batch, 3, resolution, resolution), stem, 7, 2), 3, 2, 1)
    for number, layers in enumerate(blocks):
        if number:
            x = g.average_pool(g.conv(_activated(g, x), g.channels(x) // 2), 2, 2)
        for _ in range(layers):
            inner = g.conv(_activated(g, x), 4 * growth)
            x = g.concat([x, g.conv(_activated(g, inner), growth, 3)])
    return g.build(g.linear(g.global_pool(_activated(g, x)), classes))


def _activated(g: Builder, x: str) -> str:
    return g.act(g.batch_norm(x))
