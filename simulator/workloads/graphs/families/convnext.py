"""ConvNeXt (Liu et al., arXiv:2201.03545): 7x7 depth-wise convolutions and two products a position."""

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
    widths: Sequence[int],
    depths: Sequence[int],
    kernel: int = 7,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Four stages of `depths` blocks, `widths` wide; norms run over the channels of each position."""
    g = Builder("convnext", format)
    x = _norm(g, g.conv(g.input(batch, 3, resolution, resolution), widths[0], 4, 4, pad=0, bias=True))
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if number:
            x = g.conv(_norm(g, x), width, 2, 2, pad=0, bias=True)
        for _ in range(depth):
            y = g.conv(x, width, kernel, groups=width, bias=True)
            y = g.layer_norm(g.transpose(y, 0, 2, 3, 1))
            y = g.linear(g.act(g.linear(y, 4 * width), "Gelu"), width)
            y = g.add_node("Mul", [y], weights=[(width,)])  # the layer's own scale
            x = g.add(g.transpose(y, 0, 3, 1, 2), x)
    return g.build(g.linear(g.layer_norm(g.global_pool(x)), classes))


def _norm(g: Builder, x: str) -> str:
    return g.add_node("LayerNormalization", [x], weights=[(g.channels(x),)] * 2, axis=1)
