"""SqueezeNet (Iandola et al., arXiv:1602.07360): fire modules squeeze channels before 3x3 convolutions."""

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
    stem: Sequence[int] = (64, 3),
    fires: Sequence[Sequence[int] | str],
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """`stem` gives filters and kernel of the first convolution, `fires` [squeezed, expanded] of modules, or "pool"."""
    g = Builder("squeezenet", format)
    x = g.act(g.conv(g.input(batch, 3, resolution, resolution), stem[0], stem[1], 2, pad=0, bias=True))
    for fire in ("pool", *fires):
        if isinstance(fire, str):
            x = g.max_pool(x, 3, 2, ceil=True)
            continue
        squeezed, expanded = fire
        s = g.act(g.conv(x, squeezed, bias=True))
        x = g.concat([g.act(g.conv(s, expanded, kernel, bias=True)) for kernel in (1, 3)])
    x = g.act(g.conv(x, classes, bias=True))
    return g.build(g.global_pool(x))
