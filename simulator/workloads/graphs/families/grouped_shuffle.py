"""ShuffleNet (Zhang et al., arXiv:1707.01083, table 1): grouped 1x1 convolutions, channels of groups take turns."""

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
    groups: int = 3,
    widths: Sequence[int] = (240, 480, 960),
    repeats: Sequence[int] = (4, 8, 4),
    stem: int = 24,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Three stages; the first 1x1 convolution of all is not grouped."""
    g = Builder("grouped-shuffle", format)
    x = g.max_pool(normed(g, g.input(batch, 3, resolution, resolution), stem, 3, 2), 3, 2, 1)
    for place, (width, count) in enumerate(zip(widths, repeats, strict=True)):
        for number in range(count):
            x = _unit(g, x, width, groups, shrinks=number == 0, whole=place == number == 0)
    return g.build(g.linear(g.global_pool(x), classes))


def _unit(g: Builder, x: str, width: int, groups: int, *, shrinks: bool, whole: bool) -> str:
    """A quarter of the channels inside; where the map shrinks its means are laid beside the result (figure 2)."""
    inner, stride = width // 4, 2 if shrinks else 1
    y = _shuffled(g, normed(g, x, inner, groups=1 if whole else groups), groups)
    y = normed(g, y, inner, 3, stride, inner, act=None)
    y = normed(g, y, width - int(g.channels(x)) if shrinks else width, groups=groups, act=None)
    return g.act(g.concat([g.average_pool(x, 3, 2, 1), y]) if shrinks else g.add(x, y))


def _shuffled(g: Builder, x: str, groups: int) -> str:
    n, c, h, w = g.shape(x)
    return g.reshape(g.transpose(g.reshape(x, n, groups, c // groups, h, w), 0, 2, 1, 3, 4), n, c, h, w)
