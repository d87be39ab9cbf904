"""Residual networks for images of 32 x 32 (He et al., arXiv:1512.03385, section 4.2), and MLPerf Tiny's ResNet-8."""

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
    blocks: int = 3,
    widths: Sequence[int] = (16, 32, 64),
    projected: bool = False,
    resolution: int = 32,
    classes: int = 10,
) -> Graph:
    """Stages of `blocks` pairs of convolutions; shortcuts across them are `projected`, or padded with zeros."""
    g = Builder("small-residual", format)
    x = normed(g, g.input(batch, 3, resolution, resolution), widths[0], 3)
    for stage, width in enumerate(widths):
        for number in range(blocks):
            stride = 2 if stage and not number else 1
            y = normed(g, normed(g, x, width, 3, stride), width, 3, act=None)
            if g.channels(x) != width:
                x = g.conv(x, width, 1, stride, bias=True) if projected else _padded(g, x, width)
            x = g.act(g.add(y, x))
    return g.build(g.linear(g.global_pool(x), classes))


def _padded(g: Builder, x: str, width: int) -> str:
    """Every other position, and channels of zeros."""
    n, c, h, w = g.shape(x)
    y = g.add_node("Slice", [x], shape=[n, c, -(-h // 2), -(-w // 2)], axes=[2, 3])
    return g.add_node("Pad", [y], pads=[0, 0, 0, 0, 0, width - c, 0, 0])
