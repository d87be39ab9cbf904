"""Graphs of one operator each, over the sizes that models have: what a runtime on a processor is calibrated by.

No model is among them. Each graph is built, written as a file and timed by the law in the same way as models are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph

FUNCTIONS = ("Sigmoid", "Gelu", "Silu", "Erf", "Tanh")
SIMPLE = ("Relu", "Add", "Mul", "Clip", "HardSwish")


@dataclass(frozen=True, slots=True)
class Case:
    """A graph by how it is made: `make` (a key of `MAKERS`) and its sizes."""

    make: str
    sizes: dict[str, int | str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As it stands in files of measurements."""
        return " ".join([self.make, *(f"{name}={value}" for name, value in self.sizes.items())])

    def graph(self) -> Graph:
        return MAKERS[self.make](self.name, **self.sizes)


def case_named(name: str) -> Case:
    """The case whose `name` this is."""
    make, *given = name.split(" ")
    pairs = (part.split("=", 1) for part in given)
    return Case(make, {key: int(value) if value.isdigit() else value for key, value in pairs})


def cases(*, quick: bool = True, seed: int = 0) -> Iterator[Case]:
    """The suite, sizes drawn from a seed; three times as many where not `quick`."""
    rng = np.random.default_rng(seed)
    count = 1 if quick else 3
    yield from (Case("chain", {"length": n}) for n in (1, 4, 16, 64))
    yield from _convolutions(rng, 10 * count)
    yield from _depthwise(rng, 14 * count)
    yield from _chained(rng, 16 * count)
    yield from _products(rng, 26 * count)
    yield from _streams(rng, count)


# Longer kernels are seldom left alone on a shared machine, and tell no more.
MOST_FLOPS = 2.5e8


def _convolutions(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for kernel, stride in ((1, 1), (1, 1), (3, 1), (3, 2), (5, 1)):
        for _ in range(count):
            size = int(rng.choice([7, 10, 14, 20, 28, 40, 56, 80, 112]))
            most = 9 if size <= 28 else 8 if size <= 56 else 6
            channels, filters = (_near_two(rng, 4, most + (kernel == 1)) for _ in range(2))
            most_filters = MOST_FLOPS / (2 * channels * kernel**2 * (size // stride) ** 2)
            yield _conv(size, channels, min(filters, max(16, int(most_filters) // 16 * 16)), kernel, stride)
    for size, filters, kernel, stride in ((224, 64, 7, 2), (224, 32, 3, 2), (112, 64, 3, 1), (224, 16, 3, 2),
                                          (224, 96, 4, 4), (224, 192, 16, 16), (320, 16, 6, 2)):  # fmt: skip
        yield _conv(size, 3, filters, kernel, stride)
    for _ in range(count // 2):
        yield _conv(int(rng.choice([14, 28, 56])), 128, 128, 3, 1, groups=int(rng.choice([2, 4, 8, 32])))


def _conv(size: int, channels: int, filters: int, kernel: int, stride: int, groups: int = 1) -> Case:
    sizes = {"size": size, "channels": channels, "filters": filters, "kernel": kernel, "stride": stride}
    return Case("conv", {**sizes, "groups": groups} if groups > 1 else {**sizes})


def _chained(rng: np.random.Generator, count: int) -> Iterator[Case]:
    """Convolutions one after the other, each with weights of its own, between one pair of copies."""
    for number in range(count):
        size, kernel = int(rng.choice([7, 14, 28, 56])), (1, 3)[number % 2]
        channels = _near_two(rng, 4, 9 if size <= 14 else 7 if size <= 28 else 6)
        yield Case(
            "conv",
            {"size": size, "channels": channels, "filters": channels, "kernel": kernel, "stride": 1, "length": 4},
        )


def _depthwise(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for number in range(count):
        size = int(rng.choice([7, 14, 28, 56, 112]))
        channels = _near_two(rng, 5, 10 if size <= 14 else 8 if size <= 56 else 6)
        kernel = (3, 5, 3, 7)[number % 4]
        stride = 2 if number % 3 == 2 else 1
        yield Case("depthwise", {"size": size, "channels": channels, "kernel": kernel, "stride": stride})
        yield Case("depthwise", {"size": size, "channels": channels, "kernel": kernel, "stride": 1, "length": 4})


def _products(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for number in range(count):
        m = 1 if number % 4 == 0 else _near_two(rng, 1, 10)
        k, n = _near_two(rng, 6, 12), _near_two(rng, 6, 12)
        m = max(1, min(m, int(MOST_FLOPS / (2 * k * n))))
        yield Case("linear", {"rows": m, "inner": k, "columns": n})
    for m, k, n in ((1, 4096, 4096), (1, 8192, 4096), (4, 4096, 4096), (1, 2048, 1000), (1, 1280, 1000)):
        yield Case("linear", {"rows": m, "inner": k, "columns": n})
    for _ in range(count // 2):
        heads, tokens, width = int(rng.choice([3, 6, 8, 12, 48])), _near_two(rng, 4, 8), int(rng.choice([32, 64]))
        yield Case("scores", {"heads": heads, "tokens": tokens, "width": width})
        yield Case("weighted", {"heads": heads, "tokens": tokens, "width": width})


def _streams(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for type in (*SIMPLE, *FUNCTIONS):
        for _ in range(5 * count):
            yield Case("pointwise", {"type": type, "elements": _near_two(rng, 10, 22)})
    for make in ("softmax", "norm", "skipped", "mean"):
        for _ in range(8 * count):
            columns = _near_two(rng, 5, 10)
            yield Case(make, {"rows": _near_two(rng, 3, 20 - int(np.log2(columns))), "columns": columns})
    for make in ("transpose", "concat", "split", "slice"):
        for _ in range(7 * count):
            yield Case(make, {"rows": _near_two(rng, 4, 10), "columns": _near_two(rng, 4, 10)})
    for make in ("max", "global", "scaled", "upsample", "relaid"):
        for _ in range(6 * count):
            yield Case(make, {"size": int(rng.choice([7, 14, 28, 56, 80])), "channels": _near_two(rng, 5, 8)})
    for rows in (1, 16, 128, 512):
        yield Case("embedding", {"rows": rows, "columns": 768})


def _near_two(rng: np.random.Generator, least: int, most: int) -> int:
    """A power of two, or one and a half of it: sizes that networks have."""
    power = int(rng.integers(least, most + 1))
    return int(2**power) if power == most or rng.random() < 0.6 else int(3 * 2 ** (power - 1))


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
    "linear": lambda name, rows, inner, columns: _rows(name, rows, inner, lambda g, x: g.linear(x, columns)),
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
