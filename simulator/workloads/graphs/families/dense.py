"""Dense layers alone, with or without norms: autoencoders and other small perceptrons."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1, format: DType = FP32, *, widths: Sequence[int], batch_norm: bool = False, act: str = "Relu"
) -> Graph:
    """Layers between `widths`, all but the last with an activation function."""
    g = Builder("dense", format)
    x = g.input(batch, widths[0])
    for width in widths[1:-1]:
        x = g.linear(x, width)
        x = g.act(g.batch_norm(x) if batch_norm else x, act)
    return g.build(g.linear(x, widths[-1]))
