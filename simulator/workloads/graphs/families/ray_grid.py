"""Neural light fields of one pass over a coarse grid of rays, enlarged at the end (MobileR2L, arXiv:2212.08057)."""

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
    height: int = 100,
    width: int = 100,
    encoded: int = 312,
    filters: int = 256,
    depth: int = 60,
    enlarged: Sequence[int] = (64, 64, 16),
) -> Graph:
    """`depth` 1x1 convolutions in residual pairs on `encoded` numbers a ray, then modules that each double the map."""
    g = Builder("ray-grid", format)
    x = normed(g, g.input(batch, encoded, height, width), filters)
    for _ in range((depth - 2) // 2):
        x = g.add(x, normed(g, normed(g, x, filters), filters))
    for wide in enlarged:
        x = g.act(g.batch_norm(g.deconv(x, wide, 4, 2, pad=1)))
        for _ in range(2):
            x = g.add(x, normed(g, normed(g, x, wide), wide))
    return g.build(g.act(g.conv(x, 3, bias=True), "Sigmoid"))
