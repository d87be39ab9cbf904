"""U-Net (Ronneberger et al., arXiv:1505.04597): maps on the way down join those on the way up."""

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
    widths: Sequence[int] = (64, 128, 256, 512, 1024),
    channels: int = 1,
    resolution: int = 256,
    classes: int = 2,
    batch_norm: bool = False,
) -> Graph:
    """Two 3x3 convolutions a scale of `widths`; edges are padded, so that the result is as large as the image."""
    g = Builder("u-net", format)
    x = g.input(batch, channels, resolution, resolution)
    skips = []
    for number, width in enumerate(widths):
        x = _pair(g, g.max_pool(x, 2, 2) if number else x, width, batch_norm)
        skips.append(x)
    for width, skip in zip(reversed(widths[:-1]), reversed(skips[:-1]), strict=True):
        x = g.act(g.conv(g.upsample(x), width, 2, pad=0, bias=True))
        x = g.add_node("Pad", [x], pads=[0, 0, 0, 0, 0, 0, 1, 1])
        x = _pair(g, g.concat([skip, x]), width, batch_norm)
    return g.build(g.conv(x, classes, bias=True))


def _pair(g: Builder, x: str, width: int, batch_norm: bool) -> str:
    for _ in range(2):
        x = g.conv(x, width, 3, bias=True)
        x = g.act(g.batch_norm(x) if batch_norm else x)
    return x
