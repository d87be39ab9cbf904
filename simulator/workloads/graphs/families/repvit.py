"""RepViT (Wang et al., arXiv:2307.09283): convolutions in the order of a transformer's layers, branches merged."""

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
    widths: Sequence[int],
    depths: Sequence[int],
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Four stages; every other block weighs its channels. Norms and parallel branches are folded, as deployed."""
    g = Builder("repvit", format)
    x = g.act(normed(g, g.input(batch, 3, resolution, resolution), widths[0] // 2, 3, 2, act=None), "Gelu")
    x = normed(g, x, widths[0], 3, 2, act=None)
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if number:
            x = _block(g, x, squeezed=False)
            x = normed(g, normed(g, x, g.channels(x), 3, 2, g.channels(x), act=None), width, act=None)
            x = _mixed(g, x)
        for block in range(depth):
            x = _block(g, x, squeezed=block % 2 == 0)
    return g.build(g.linear(g.global_pool(x), classes))


def _block(g: Builder, x: str, *, squeezed: bool) -> str:
    x = normed(g, x, g.channels(x), 3, 1, g.channels(x), act=None)
    x = squeeze_excitation(g, x, divisible(g.channels(x) * 0.25)) if squeezed else x
    return _mixed(g, x)


def _mixed(g: Builder, x: str) -> str:
    y = normed(g, x, 2 * g.channels(x), act="Gelu")
    return g.add(x, normed(g, y, g.channels(x), act=None))
