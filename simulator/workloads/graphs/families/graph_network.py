"""Graph networks on sampled neighbourhoods: GraphSAGE, GCN and GAT, with the vertices' features on device or host.

Hamilton et al., arXiv:1706.02216; Kipf and Welling, arXiv:1609.02907; Veličković et al., arXiv:1710.10903.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1024,
    format: DType = FP32,
    *,
    layer: Literal["sage", "gcn", "gat"],
    graph: Mapping[str, float],
    fanouts: Sequence[int] | None = (15, 10, 5),
    hidden: int = 256,
    heads: int = 4,
    depth: int = 3,
    features: Literal["device", "host"] = "device",
    line: int = 1,
    batch_norm: bool = False,
) -> Graph:
    """Classes of `batch` vertices from their neighbours' neighbours, `fanouts` of each hop from the vertices outwards.

    `graph` gives its `vertices`, `edges`, `features` a vertex and `classes`. Without fanouts all vertices are computed
    with all edges. Features on the host cross the link; a device that reads them itself moves whole lines of `line`
    bytes.
    """
    vertices, wide, classes = graph["vertices"], int(graph["features"]), int(graph["classes"])
    sizes, edges = _sampled(batch, fanouts, vertices) if fanouts else _whole(vertices, graph["edges"], depth)
    g = Builder("graph-network", format)
    rows = g.input(sizes[-1], name="rows")
    if features == "host":
        x = g.add_node("HostGather", [rows], row=[wide], line=line)
    else:
        x = g.add_node("Gather", [g.input(vertices, wide, name="features"), rows], axis=0)
    for number in range(len(edges)):
        last = number == len(edges) - 1
        width = classes if last else hidden
        x = _layer(g, x, layer, sizes[-2 - number], edges[-1 - number], width, heads, last)
        if not last:
            x = g.act(g.batch_norm(x) if batch_norm else x, "Elu" if layer == "gat" else "Relu")
    return g.build(x)


def _whole(vertices: float, edges: float, depth: int) -> tuple[list[Size], list[Size]]:
    return [vertices] * (depth + 1), [edges] * depth


def _sampled(batch: Size, fanouts: Sequence[int], vertices: float) -> tuple[list[Size], list[Size]]:
    """Expected vertices after each hop and edges of it: vertices that are drawn twice or there already count once.

    Of V vertices n uniform draws meet each with 1 - (1 - 1/V)^n; hubs of real graphs are met more often, so that this
    is the most that there are.
    """
    sizes: list[Size] = [batch]
    edges: list[Size] = []
    for fanout in fanouts:
        edges.append(sizes[-1] * fanout)
        chance = 1.0 - (1.0 - 1.0 / vertices) ** edges[-1]
        sizes.append(sizes[-1] + (vertices - sizes[-1]) * chance)
    return sizes, edges


def _layer(g: Builder, x: str, layer: str, targets: Size, edges: Size, width: int, heads: int, last: bool) -> str:
    """One hop: neighbours are summed and multiplied; narrower sides are summed where the order is free (GCN, GAT)."""
    if layer == "gat":
        return _attending(g, x, targets, edges, width, heads, last)
    if layer == "gcn":
        return g.add_node("Add", [_sum(g, g.linear(x, width, bias=False), targets, edges)], weights=[(width,)])
    own = g.add_node("Slice", [x], shape=[targets, g.shape(x)[1]], axes=[0])
    return g.add(g.linear(_sum(g, x, targets, edges), width), g.linear(own, width, bias=False))


def _sum(g: Builder, x: str, targets: Size, edges: Size, *weights: str) -> str:
    return g.add_node("Aggregate", [x, *weights], vertices=targets, edges=edges)


def _attending(g: Builder, x: str, targets: Size, edges: Size, width: int, heads: int, last: bool) -> str:
    """Heads side by side, the mean of them in the last layer, and a linear shortcut (PyTorch Geometric's example)."""
    inner = width if last else width // heads
    wide = heads * inner
    own = g.add_node("Slice", [x], shape=[targets, g.shape(x)[1]], axes=[0])
    y = g.linear(x, wide, bias=False)
    scores = [_scored(g, y, heads, inner) for _ in range(2)]
    weights = g.add_node("EdgeSoftmax", scores, edges=edges)
    y = _sum(g, y, targets, edges, weights)
    if last:
        y = g.mean(g.reshape(y, targets, heads, inner), 1)
    y = g.add_node("Add", [y], weights=[(width,)])
    return g.add(y, g.linear(own, width))


def _scored(g: Builder, x: str, heads: int, inner: int) -> str:
    """A vector a head meets the head's own columns."""
    rows = g.shape(x)[0]
    y = g.add_node("Mul", [g.reshape(x, rows, heads, inner)], weights=[(heads, inner)])
    return g.add_node("ReduceSum", [y], axes=[2], keepdims=0)
