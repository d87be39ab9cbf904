"""Fields of light by small networks: NeRF, hash grids, cached factors, and neural light fields on phones.

Mildenhall et al., arXiv:2003.08934; Müller et al., arXiv:2201.05989; Garbin et al., arXiv:2103.10380 (FastNeRF); Cao et
al., arXiv:2212.08057 (MobileR2L).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph, Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    field: Literal["perceptron", "grid", "cached"],
    samples: Sequence[int] = (64, 192),
    width: int = 256,
    depth: int = 8,
    levels: int = 16,
    rows: int = 1 << 19,
    features: int = 2,
    components: int = 8,
    cached: float = 1 << 27,
) -> Model:
    """`batch` rays, each with so many `samples` in each of its passes through a network of its own.

    "perceptron" is NeRF's network of `depth` layers, "grid" a hashed grid of `levels` before two small networks,
    "cached" two lookups in maps of `cached` cells, of `components` colours, and their inner product.
    """
    passes: dict[str, Callable[..., str]] = {"perceptron": _perceptron, "grid": _grid, "cached": _cached}
    shape = {"perceptron": (width, depth), "grid": (levels, rows, features), "cached": (components, cached)}[field]
    return Model("light-field", tuple(Part(_pass(passes[field], shape, batch, count, format)) for count in samples))


def _pass(field: Callable[..., str], shape: Sequence[float], batch: Size, samples: int, format: DType) -> Graph:
    """Colour and density of all samples, summed along each ray by how much light gets through (equation 3)."""
    g = Builder("light-field", format)
    y = field(g, batch * samples, *shape)
    weights = g.act(g.reshape(y, batch, samples, 4), "Exp")
    return g.build(g.add_node("ReduceSum", [weights], axes=[1], keepdims=0))


def _perceptron(g: Builder, points: Size, width: int, depth: int) -> str:
    """Places as 63 numbers (with their waves), which come again at the sixth layer, directions as 27 (figure 7)."""
    place = g.input(points, 63, name="place")
    x = place
    for layer in range(depth):
        x = g.concat([place, x]) if layer == 5 else x
        x = g.act(g.linear(x, width))
    density = g.linear(x, 1)
    x = g.concat([g.linear(x, width), g.input(points, 27, name="direction")])
    return g.concat([g.act(g.linear(g.act(g.linear(x, width // 2)), 3), "Sigmoid"), density])


def _grid(g: Builder, points: Size, levels: int, rows: int, features: int) -> str:
    """Features of a hashed grid to 16 numbers, and with the direction's harmonics to a colour (section 5.4)."""
    x = g.add_node("HashEncode", [g.input(points, 3, name="place"), g.weight(levels, rows, features)])
    x = g.linear(g.act(g.linear(x, 64, bias=False)), 16, bias=False)
    y = g.concat([x, g.input(points, 16, name="direction")])
    for _ in range(2):
        y = g.act(g.linear(y, 64, bias=False))
    density = g.add_node("Slice", [x], shape=[points, 1], axes=[1])
    return g.concat([g.linear(y, 3, bias=False), density])


def _cached(g: Builder, points: Size, components: int, cells: float) -> str:
    """A cell of colours and density for the place, one of weights for the direction (section 3.2), in one kernel."""
    tables = [g.weight(cells, 3 * components + 1), g.weight(cells / 128, components)]
    return g.add_node("FactoredLookup", [g.input(points, name="cells"), *tables], components=components)
