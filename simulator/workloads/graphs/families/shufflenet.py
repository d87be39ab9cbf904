"""ShuffleNet V2 (Ma et al., arXiv:1807.11164, table 5): half of the channels pass each block untouched."""

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
    widths: Sequence[int],
    repeats: Sequence[int] = (4, 8, 4),
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """`widths` are channels of stem, of three stages, and of the last convolution."""
    g = Builder("shufflenet", format)
    stem, *stages, head = widths
    x = g.max_pool(normed(g, g.input(batch, 3, resolution, resolution), stem, 3, 2), 3, 2, 1)
    for filters, count in zip(stages, repeats, strict=True):
        half = filters // 2
        for number in range(count):
            left, right = (x, x) if number == 0 else g.split(x, 2)
            stride = 2 if number == 0 else 1
            if number == 0:
                left = normed(g, _depth_wise(g, left, stride), half)
            right = normed(g, _depth_wise(g, normed(g, right, half), stride), half)
            x = _shuffled(g, g.concat([left, right]))
    return g.build(g.linear(g.global_pool(normed(g, x, head)), classes))


def _depth_wise(g: Builder, x: str, stride: int) -> str:
    return normed(g, x, g.channels(x), 3, stride, g.channels(x), act=None)


def _shuffled(g: Builder, x: str) -> str:
    """Channels of both halves take turns."""
    n, c, h, w = g.shape(x)
    return g.reshape(g.transpose(g.reshape(x, n, 2, c // 2, h, w), 0, 2, 1, 3, 4), n, c, h, w)
