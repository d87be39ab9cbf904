"""GhostNet (Han et al., arXiv:1911.11907): half of the channels come from the other half by depth-wise convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import divisible, normed, squeeze_excitation
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    blocks: Sequence[Sequence[float]],
    width: float = 1.0,
    stem: int = 16,
    last: int = 960,
    hidden: int = 1280,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """`blocks` are rows [kernel, channels inside, filters, share of squeeze-and-excitation, stride] (table 7)."""
    g = Builder("ghostnet", format)
    x = normed(g, g.input(batch, 3, resolution, resolution), divisible(stem * width, 4), 3, 2)
    for kernel, inside, filters, squeezed, stride in blocks:
        inner, wide = divisible(inside * width, 4), divisible(filters * width, 4)
        x = _block(g, x, int(kernel), inner, wide, squeezed, int(stride))
    x = g.add_node("GlobalAveragePool", [normed(g, x, divisible(last * width, 4))])
    x = g.act(g.conv(x, hidden, bias=True))
    return g.build(g.linear(g.add_node("Flatten", [x], axis=1), classes))


def _ghost(g: Builder, x: str, filters: Size, act: str | None) -> str:
    y = normed(g, x, filters // 2, act=act)
    return g.concat([y, normed(g, y, filters // 2, 3, 1, filters // 2, act=act)])


def _block(g: Builder, x: str, kernel: int, inner: Size, filters: Size, squeezed: float, stride: int) -> str:
    y = _ghost(g, x, inner, "Relu")
    if stride > 1:
        y = normed(g, y, inner, kernel, stride, inner, act=None)
    if squeezed:
        y = squeeze_excitation(g, y, divisible(inner * squeezed, 4), gate="HardSigmoid")
    y = _ghost(g, y, filters, None)
    before = g.channels(x)
    if stride > 1 or before != filters:
        x = normed(g, normed(g, x, before, kernel, stride, before, act=None), filters, act=None)
    return g.add(y, x)
