"""MLP-Mixer (Tolstikhin et al., arXiv:2105.01601): products across patches and across channels by turns."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import mlp
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 768,
    depth: int = 12,
    patch: int = 16,
    across: int = 384,
    hidden: int = 3072,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """`depth` layers, `across` wide inside between patches and `hidden` between channels."""
    g = Builder("mixer", format)
    x = g.conv(g.input(batch, 3, resolution, resolution), width, patch, patch, pad=0, bias=True)
    side = resolution // patch
    x = g.transpose(g.reshape(x, batch, width, side * side), 0, 2, 1)
    for _ in range(depth):
        y = mlp(g, g.transpose(g.layer_norm(x), 0, 2, 1), across)
        x = g.add(x, g.transpose(y, 0, 2, 1))
        x = g.add(x, mlp(g, g.layer_norm(x), hidden))
    return g.build(g.linear(g.mean(g.layer_norm(x), 1), classes))
