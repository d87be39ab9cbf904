"""Supernets of differentiable search: every candidate block of a layer runs, and their results are weighed and summed.

FBNet (Wu et al., arXiv:1812.03443): section 3.1 and tables 1 and 2 for layers and blocks, equation 7 for the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

# Kernel, expansion, and groups of the 1x1 convolutions of each block; beside them a layer may be skipped.
BLOCKS = ((3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1))
STAGES = ((16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    stages: Sequence[Sequence[int]] = STAGES,
    blocks: Sequence[Sequence[int]] = BLOCKS,
    stem: int = 16,
    head: int = 1984,
    resolution: int = 224,
    classes: int = 100,
) -> Graph:
    """Stages of (filters, layers, stride of the first), each layer with all `blocks` (kernel, expansion, groups).

    Layers that keep their shape can be skipped too.
    """
    g = Builder("supernet", format)
    x = normed(g, g.input(batch, 3, resolution, resolution), stem, 3, 2)
    for filters, layers, stride in stages:
        for number in range(layers):
            x = _layer(g, x, filters, stride if number == 0 else 1, blocks)
    return g.build(g.linear(g.global_pool(normed(g, x, head)), classes))


def _layer(g: Builder, x: str, filters: int, stride: int, blocks: Sequence[Sequence[int]]) -> str:
    """All blocks, with a weight that is drawn for each."""
    same = stride == 1 and g.channels(x) == filters
    results = [_block(g, x, filters, stride, *block) for block in blocks] + ([x] if same else [])
    return g.add(*(g.add_node("Mul", [y], weights=[(1,)]) for y in results))


def _block(g: Builder, x: str, filters: int, stride: int, kernel: int, expand: int, groups: int) -> str:
    hidden = g.channels(x) * expand
    y = normed(g, x, hidden, groups=groups)
    y = normed(g, y, hidden, kernel, stride, hidden)
    y = normed(g, y, filters, groups=groups, act=None)
    return g.add(x, y) if stride == 1 and g.channels(x) == filters else y
