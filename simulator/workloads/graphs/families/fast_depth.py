"""FastDepth (Wofk et al., arXiv:1903.03273): a MobileNet, and a separable decoder to which its maps are added."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
# Layers of the encoder whose maps are added in the decoder, the last one first.
SKIPS = (5, 3, 1)


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    stem: int = 32,
    encoder: Sequence[int] = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
    decoder: Sequence[int] = (512, 256, 128, 64, 32),
    resolution: int = 224,
) -> Graph:
    """A depth for each pixel; `encoder` and `decoder` are the filters of their layers."""
    g = Builder("fast-depth", format)
    x = normed(g, g.input(batch, 3, resolution, resolution), stem, 3, 2)
    maps = [x]
    for filters, stride in zip(encoder, STRIDES, strict=True):
        x = _separable(g, x, filters, 3, stride)
        maps.append(x)
    for number, filters in enumerate(decoder):
        x = g.upsample(_separable(g, x, filters, 5, 1))
        if 1 <= number <= len(SKIPS):
            x = g.add(x, maps[SKIPS[number - 1]])
    return g.build(normed(g, x, 1))


def _separable(g: Builder, x: str, filters: int, kernel: int, stride: int) -> str:
    c = g.channels(x)
    return normed(g, normed(g, x, c, kernel, stride, c), filters)
