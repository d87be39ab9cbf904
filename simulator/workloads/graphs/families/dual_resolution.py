"""DDRNet (Hong et al., arXiv:2101.06085): a deep branch and a fine one, which exchange their maps twice."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

# Windows and strides of the poolings of the last stage, the coarsest of which is the mean of all (figure 5).
POOLS = ((5, 2), (9, 4), (17, 8))


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 32,
    depth: int = 2,
    pooled: int = 128,
    head: int = 64,
    resolution: Sequence[int] = (1024, 2048),
    classes: int = 19,
) -> Graph:
    """Stages of `depth` residual blocks, the fine branch 2 * `width` wide at an eighth of the `resolution`."""
    g = Builder("ddrnet", format)
    fine_width = 2 * width
    x = g.input(batch, 3, *resolution)
    for _ in range(2):
        x = normed(g, x, width, 3, 2)
    x = g.act(_stage(g, x, width, depth, 1))
    x = g.act(_stage(g, x, 2 * width, depth, 2))
    deep, fine = _stage(g, x, 4 * width, depth, 2), _stage(g, x, fine_width, depth, 1)
    deep, fine = _exchanged(g, deep, fine, [4 * width])
    deep, fine = _stage(g, deep, 8 * width, depth, 2), _stage(g, fine, fine_width, depth, 1)
    deep, fine = _exchanged(g, deep, fine, [4 * width, 8 * width])
    fine = _bottleneck(g, fine, fine_width, 1)
    deep = _pooled(g, _bottleneck(g, deep, 8 * width, 2), pooled, 4 * width)
    x = g.add(_enlarged(g, deep, fine), fine)
    x = g.act(normed(g, _before(g, x), head, 3, act=None))
    scores = g.conv(x, classes, bias=True)
    return g.build(g.upsample(scores, 8, mode="linear"))


def _before(g: Builder, x: str) -> str:
    """Norm and activation, which stand before a convolution here."""
    return g.act(g.batch_norm(x))


def _stage(g: Builder, x: str, filters: int, depth: int, stride: int) -> str:
    for number in range(depth):
        step = stride if number == 0 else 1
        y = normed(g, normed(g, x, filters, 3, step), filters, 3, act=None)
        same = step == 1 and g.channels(x) == filters
        x = g.add(y, x if same else normed(g, x, filters, 1, step, act=None))
        x = x if number == depth - 1 else g.act(x)
    return x


def _bottleneck(g: Builder, x: str, filters: int, stride: int) -> str:
    y = normed(g, normed(g, normed(g, x, filters), filters, 3, stride), 2 * filters, act=None)
    return g.add(y, normed(g, x, 2 * filters, 1, stride, act=None))


def _exchanged(g: Builder, deep: str, fine: str, widths: Sequence[int]) -> tuple[str, str]:
    """Each branch with the other's map added: shrunk by convolutions of `widths`, or compressed and enlarged."""
    down = g.act(fine)
    for number, width in enumerate(widths):
        down = normed(g, down, width, 3, 2, act="Relu" if number < len(widths) - 1 else None)
    up = _enlarged(g, normed(g, g.act(deep), g.channels(fine), act=None), fine)
    return g.act(g.add(deep, down)), g.act(g.add(fine, up))


def _enlarged(g: Builder, x: str, like: str) -> str:
    factors = [a / b for a, b in zip(g.shape(like)[2:], g.shape(x)[2:], strict=True)]
    return g.add_node("Resize", [x], scales=[1, 1, *factors], mode="linear")


def _pooled(g: Builder, x: str, inner: int, filters: int) -> str:
    """Maps of ever larger windows, each added to the one before (deep aggregation pyramid pooling, figure 5)."""
    found = [g.conv(_before(g, x), inner)]
    means = [g.average_pool(x, window, stride, window // 2) for window, stride in POOLS]
    for mean in (*means, g.add_node("GlobalAveragePool", [x])):
        y = g.add(_enlarged(g, g.conv(_before(g, mean), inner), found[0]), found[-1])
        found.append(g.conv(_before(g, y), inner, 3))
    return g.add(g.conv(_before(g, g.concat(found)), filters), g.conv(_before(g, x), filters))
