"""MobileViT (Mehta and Rastegari, arXiv:2110.02178): inverted residuals, and transformers across patches."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.families.inverted_residual import Stage, block
from simulator.workloads.graphs.families.transformer import attention, mlp
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

PATCH = 2


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    widths: Sequence[int],
    inside: Sequence[int],
    last: int,
    depths: Sequence[int] = (2, 4, 3),
    expand: float = 4.0,
    heads: int = 4,
    stem: int = 16,
    resolution: int = 256,
    classes: int = 1000,
) -> Graph:
    """`widths` of five stages, the last three with transformers of `depths` layers that are `inside` wide."""
    g = Builder("mobilevit", format)
    x = normed(g, g.input(batch, 3, resolution, resolution), stem, 3, 2, act="Silu")
    stage = Stage(0, expand=expand, act="Silu")
    x = block(g, x, stage, widths[0], 1)
    x = block(g, x, stage, widths[1], 2)
    for _ in range(2):
        x = block(g, x, stage, widths[1], 1)
    for width, inner, depth in zip(widths[2:], inside, depths, strict=True):
        x = _global(g, block(g, x, stage, width, 2), inner, depth, heads)
    return g.build(g.linear(g.global_pool(normed(g, x, last, act="Silu")), classes))


def _global(g: Builder, x: str, inner: int, depth: int, heads: int) -> str:
    """Positions at the same place of each patch attend to one another."""
    n, c, h, w = g.shape(x)
    rows, columns = -(-h // PATCH), -(-w // PATCH)
    y = g.conv(normed(g, x, c, 3, act="Silu"), inner)
    if (rows * PATCH, columns * PATCH) != (h, w):
        y = g.add_node("Resize", [y], scales=[1, 1, rows * PATCH / h, columns * PATCH / w], mode="linear")
    y = g.transpose(g.reshape(y, n, inner, rows, PATCH, columns, PATCH), 0, 3, 5, 2, 4, 1)
    y = g.reshape(y, n * PATCH * PATCH, rows * columns, inner)
    for _ in range(depth):
        y = g.add(y, attention(g, g.layer_norm(y), heads))
        y = g.add(y, mlp(g, g.layer_norm(y), 2 * inner, "Silu"))
    y = g.reshape(g.layer_norm(y), n, PATCH, PATCH, rows, columns, inner)
    y = g.reshape(g.transpose(y, 0, 5, 3, 1, 4, 2), n, inner, rows * PATCH, columns * PATCH)
    if (rows * PATCH, columns * PATCH) != (h, w):
        y = g.add_node("Resize", [y], scales=[1, 1, h / (rows * PATCH), w / (columns * PATCH)], mode="linear")
    return normed(g, g.concat([x, normed(g, y, c, act="Silu")]), c, 3, act="Silu")
