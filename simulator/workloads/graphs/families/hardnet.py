"""HarDNet (Chao et al., arXiv:1909.00948): dense blocks whose layers read those 1, 2, 4, ... before them."""

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
    stem: Sequence[int],
    widths: Sequence[int],
    growth: Sequence[int],
    layers: Sequence[int],
    halved: Sequence[bool],
    factor: float = 1.7,
    separable: bool = False,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Blocks of `layers` that each add `growth` channels, `factor` times more for each power of two in their number.

    A 1x1 convolution to `widths` follows each block, and where `halved` says so a map of half the size. `separable`
    layers (the DS models) are a 1x1 and a depth-wise convolution, which also take the place of pooling.
    """
    g = Builder("hardnet", format)
    x = _conv(g, g.input(batch, 3, resolution, resolution), stem[0], 3, 2)
    x = _conv(g, x, stem[1], 1 if separable else 3)
    x = _depth_wise(g, x, 2) if separable else g.max_pool(x, 3, 2, 1)
    for width, grown, count, half in zip(widths, growth, layers, halved, strict=True):
        x = _conv(g, _block(g, x, grown, count, factor, separable), width)
        if half:
            x = _depth_wise(g, x, 2) if separable else g.max_pool(x, 2, 2)
    return g.build(g.linear(g.global_pool(x), classes))


def _conv(g: Builder, x: str, filters: int, kernel: int = 1, stride: int = 1) -> str:
    return normed(g, x, filters, kernel, stride, act="Clip")


def _depth_wise(g: Builder, x: str, stride: int) -> str:
    return normed(g, x, g.channels(x), 3, stride, g.channels(x), act=None)


def _block(g: Builder, x: str, growth: int, count: int, factor: float, separable: bool) -> str:
    """Layers with odd numbers, and the last, are the block's result."""
    results = [x]
    for layer in range(1, count + 1):
        powers = [i for i in range(layer.bit_length()) if layer % (1 << i) == 0]
        filters = int(int(growth * factor ** (len(powers) - 1) + 1) / 2) * 2
        read = [results[layer - (1 << i)] for i in powers]
        y = g.concat(read) if len(read) > 1 else read[0]
        y = _depth_wise(g, _conv(g, y, filters), 1) if separable else _conv(g, y, filters, 3)
        results.append(y)
    kept = [y for layer, y in enumerate(results) if layer % 2 == 1 or layer == count]
    return g.concat(kept)
