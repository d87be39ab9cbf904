"""MobileNetV4: universal inverted bottlenecks, with a depth-wise convolution before, inside, both or neither.

Qin et al., arXiv:2404.10518, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import divisible, normed
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class Layer:
    """`repeats` blocks with depth-wise windows `before` and inside (`kernel`; 0: none), or `plain` or `fused` ones.

    The `stride` is of the first and lies in the window inside where there is one.
    """

    filters: int
    kernel: int = 0
    before: int = 0
    stride: int = 1
    expand: float = 4.0
    repeats: int = 1
    plain: bool = False
    fused: bool = False


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    layers: Sequence[Mapping[str, Any]],
    stem: int = 32,
    last: int = 960,
    hidden: int = 1280,
    width: float = 1.0,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """A stride-2 convolution, `layers`, a 1x1 convolution of `last` filters, pooling, one of `hidden`, classes."""
    g = Builder("universal-inverted", format)
    x = normed(g, g.input(batch, 3, resolution, resolution), divisible(stem * width), 3, 2)
    for row in layers:
        layer = Layer(**row)
        for number in range(layer.repeats):
            x = _block(g, x, layer, divisible(layer.filters * width), layer.stride if number == 0 else 1)
    x = g.add_node("GlobalAveragePool", [normed(g, x, last)])
    x = g.add_node("Flatten", [normed(g, x, hidden)], axis=1)
    return g.build(g.linear(x, classes))


def _block(g: Builder, x: str, layer: Layer, filters: Size, stride: int) -> str:
    before = g.channels(x)
    if layer.plain:
        return normed(g, x, filters, layer.kernel, stride)
    hidden = divisible(before * layer.expand)
    if layer.fused:
        y = normed(g, x, hidden, layer.kernel, stride)
    else:
        outer = 1 if layer.kernel else stride
        y = normed(g, x, before, layer.before, outer, before, act=None) if layer.before else x
        y = normed(g, y, hidden)
        y = normed(g, y, hidden, layer.kernel, stride, hidden) if layer.kernel else y
    y = normed(g, y, filters, act=None)
    return g.add(x, y) if stride == 1 and np.array_equal(before, filters) else y
