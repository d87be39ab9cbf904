"""NASNet-A (Zoph et al., arXiv:1707.07012, figure 4): cells of five pairs of operators on the two maps before."""

from __future__ import annotations

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
    repeats: int = 4,
    filters: int = 44,
    stem: int = 32,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Three groups of `repeats` normal cells of `filters`, twice and four times as many, a reduction before each."""
    g = Builder("nasnet", format)
    before = normed(g, g.input(batch, 3, resolution, resolution), stem, 3, 2, act=None, pad=0)
    x = _reduction(g, before, None, filters // 4)
    before, x = x, _reduction(g, x, before, filters // 2)
    for group in range(3):
        width = filters << group
        if group:
            before, x = x, _reduction(g, x, before, width)
        for _ in range(repeats):
            before, x = x, _normal(g, x, before, width)
    return g.build(g.linear(g.global_pool(g.act(x)), classes))


def _squeezed(g: Builder, x: str, filters: int) -> str:
    return normed(g, g.act(x), filters, act=None)


def _fitted(g: Builder, before: str, x: str, filters: int) -> str:
    """The earlier map with as many channels, and as small where a reduction lies between: two shifted halves."""
    if g.shape(before)[2] == g.shape(x)[2]:
        return _squeezed(g, before, filters)
    y = g.act(before)
    halves = [g.conv(g.average_pool(y, 1, 2), filters // 2) for _ in range(2)]
    return g.batch_norm(g.concat(halves))


def _separable(g: Builder, x: str, kernel: int, stride: int = 1, filters: int | None = None) -> str:
    """Twice a depth-wise and a 1x1 convolution, activated before; the first of each pair has the stride."""
    for step in (stride, 1):
        c = g.channels(x)
        x = g.conv(g.act(x), c, kernel, step, c)
        x = normed(g, x, c if filters is None else filters, act=None)
    return x


def _normal(g: Builder, x: str, before: str, filters: int) -> str:
    here, there = _squeezed(g, x, filters), _fitted(g, before, x, filters)
    pairs = [
        g.add(_separable(g, here, 5), _separable(g, there, 3)),
        g.add(_separable(g, there, 5), _separable(g, there, 3)),
        g.add(g.average_pool(here, 3, 1, 1), there),
        g.add(g.average_pool(there, 3, 1, 1), g.average_pool(there, 3, 1, 1)),
        g.add(_separable(g, here, 3), here),
    ]
    return g.concat([there, *pairs])


def _reduction(g: Builder, x: str, before: str | None, filters: int) -> str:
    """Half the size; the very first one has but one map, and its separable convolutions choose the filters."""
    here = _squeezed(g, x, filters)
    there, wanted = (x, filters) if before is None else (_fitted(g, before, x, filters), None)
    first = g.add(_separable(g, here, 5, 2), _separable(g, there, 7, 2, wanted))
    second = g.add(g.max_pool(here, 3, 2, 1), _separable(g, there, 7, 2, wanted))
    third = g.add(g.average_pool(here, 3, 2, 1), _separable(g, there, 5, 2, wanted))
    fourth = g.add(second, g.average_pool(first, 3, 1, 1))
    fifth = g.add(_separable(g, first, 3), g.max_pool(here, 3, 2, 1))
    return g.concat([second, third, fourth, fifth])
