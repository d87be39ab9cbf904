"""Graphs of one operator, or of a few in a row, by their sizes."""

from __future__ import annotations

from collections.abc import Callable

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph


def _images(name: str, size: int, channels: int, build: Callable[[Builder, str], str]) -> Graph:
    g = Builder(name)
    return g.build(build(g, g.input(1, channels, size, size)))


def _rows(name: str, rows: int, columns: int, build: Callable[[Builder, str], str]) -> Graph:
    g = Builder(name)
    return g.build(build(g, g.input(1, rows, columns)))


def _chain(name: str, length: int) -> Graph:
    """Sums with one row of weights, each its own, that no runtime joins."""

    def build(g: Builder, x: str) -> str:
        for _ in range(length):
            x = g.add_node("Add", [x], weights=[(16,)])
        return x

    return _rows(name, 1, 16, build)


def _conv_graph(
    name: str, size: int, channels: int, filters: int, kernel: int, stride: int, groups: int = 1, length: int = 1
) -> Graph:
    def build(g: Builder, x: str) -> str:
        for _ in range(length):
            x = g.conv(x, filters, kernel, stride, groups, bias=True)
        return x

    return _images(name, size, channels, build)


def _depthwise_graph(name: str, size: int, channels: int, kernel: int, stride: int, length: int = 1) -> Graph:
    return _conv_graph(name, size, channels, channels, kernel, stride, channels, length)


def _linear(name: str, rows: int, inner: int, columns: int, length: int = 1) -> Graph:
    def build(g: Builder, x: str) -> str:
        for _ in range(length):
            x = g.linear(x, columns)
        return x

    return _rows(name, rows, inner, build)


def _swept_graph(name: str, type: str, size: int, channels: int) -> Graph:
    """Convolutions of single pixels, an activation after each."""

    def build(g: Builder, x: str) -> str:
        for _ in range(4):
            x = g.act(g.conv(x, channels, 1, bias=True), type)
        return x

    return _images(name, size, channels, build)


def _pair(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> Graph:
    g = Builder(name)
    return g.build(g.matmul(g.input(*a, name="a"), g.input(*b, name="b")))


def _scores(name: str, heads: int, tokens: int, width: int) -> Graph:
    return _pair(name, (1, heads, tokens, width), (1, heads, width, tokens))


def _weighted(name: str, heads: int, tokens: int, width: int) -> Graph:
    return _pair(name, (1, heads, tokens, tokens), (1, heads, tokens, width))


def _pointwise(name: str, type: str, elements: int) -> Graph:
    g = Builder(name)
    x = g.input(1, elements)
    return g.build(g.add_node(type, [x, g.input(1, elements, name="other")] if type in ("Add", "Mul") else [x]))


def _skipped(name: str, rows: int, columns: int) -> Graph:
    g = Builder(name)
    return g.build(g.layer_norm(g.add(g.input(1, rows, columns), g.input(1, rows, columns, name="other"))))


def _scaled(name: str, size: int, channels: int) -> Graph:
    """Channels times a number each, as gates do."""
    g = Builder(name)
    return g.build(g.mul(g.input(1, channels, size, size), g.input(1, channels, 1, 1, name="gate")))


def _split(name: str, rows: int, columns: int) -> Graph:
    g = Builder(name)
    return g.build(*g.split(g.input(1, rows, columns), 2))


def _embedding(name: str, rows: int, columns: int) -> Graph:
    g = Builder(name)
    return g.build(g.embedding(g.input(1, rows), 30000, columns))


MAKERS: dict[str, Callable[..., Graph]] = {
    "chain": _chain, "conv": _conv_graph, "depthwise": _depthwise_graph, "scores": _scores, "weighted": _weighted,
    "pointwise": _pointwise, "skipped": _skipped, "scaled": _scaled, "split": _split, "embedding": _embedding,
    "linear": _linear, "swept": _swept_graph,
    "softmax": lambda name, rows, columns: _rows(name, rows, columns, lambda g, x: g.softmax(x)),
    "norm": lambda name, rows, columns: _rows(name, rows, columns, lambda g, x: g.layer_norm(x)),
    "mean": lambda name, rows, columns: _rows(name, rows, columns, lambda g, x: g.mean(x, -1)),
    "transpose": lambda name, rows, columns: _rows(name, rows, columns, lambda g, x: g.transpose(x, 0, 2, 1)),
    "concat": lambda name, rows, columns: _rows(name, rows, columns, lambda g, x: g.concat([x, x])),
    "slice": lambda name, rows, columns: _rows(
        name, rows, columns, lambda g, x: g.add_node("Slice", [x], shape=[1, rows // 2, columns])
    ),
    "max": lambda name, size, channels: _images(name, size, channels, lambda g, x: g.max_pool(x, 3, 2, 1)),
    "global": lambda name, size, channels: _images(name, size, channels, lambda g, x: g.global_pool(x)),
    "upsample": lambda name, size, channels: _images(name, size, channels, lambda g, x: g.upsample(x)),
    "relaid": lambda name, size, channels: _images(
        name, size, channels, lambda g, x: g.transpose(x, 0, 2, 3, 1)
    ),
}  # fmt: skip
