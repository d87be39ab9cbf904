"""Graphs of one operator each, over the sizes that models have: what a runtime on a processor is calibrated by.

No model is among them. Each graph is built, written as a file and timed by the law in the same way as models are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from simulator.calibrate.graphs.makers import MAKERS
from simulator.workloads.graphs.graph import Graph

FUNCTIONS = ("Sigmoid", "Gelu", "Silu", "Erf", "Tanh")
SIMPLE = ("Relu", "Add", "Mul", "Clip")
SWEPT = ("Clip", "HardSwish", "HardSigmoid")  # over the results of convolutions, in their layout


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
    yield from _unaligned(np.random.default_rng([seed, 1]), 8 * count)
    yield from _swept(np.random.default_rng([seed, 2]), 5 * count)
    yield from _chained(rng, 16 * count)
    yield from _products(rng, 26 * count)
    yield from _streams(rng, count)


# Longer kernels are seldom left alone on a shared machine, and tell no more.
MOST_FLOPS = 2.5e8
UNHELD = 3 << 22  # numbers in the weights of a chain that no processor's cache holds from pass to pass


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
    for size, channels, kernel in ((7, 512, 3), (7, 1024, 1), (14, 256, 3), (14, 512, 1), (7, 256, 1), (28, 128, 3)):
        length = max(2, (UNHELD if channels > 256 else UNHELD // 4) // (channels * kernel) ** 2)
        yield Case("conv", {
            "size": size, "channels": channels, "filters": channels, "kernel": kernel, "stride": 1, "length": length
        })  # fmt: skip


def _depthwise(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for number in range(count):
        size = int(rng.choice([7, 14, 28, 56, 112]))
        channels = _near_two(rng, 5, 10 if size <= 14 else 8 if size <= 56 else 6)
        kernel = (3, 5, 3, 7)[number % 4]
        stride = 2 if number % 3 == 2 else 1
        yield Case("depthwise", {"size": size, "channels": channels, "kernel": kernel, "stride": stride})
        yield Case("depthwise", {"size": size, "channels": channels, "kernel": kernel, "stride": 1, "length": 4})


def _swept(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for type in SWEPT:
        for _ in range(count):
            size = int(rng.choice([7, 14, 28, 56]))
            channels = _near_two(rng, 4, 9 if size <= 14 else 7 if size <= 28 else 6)
            yield Case("swept", {"type": type, "size": size, "channels": channels})


def _unaligned(rng: np.random.Generator, count: int) -> Iterator[Case]:
    """Groups of channels that fill no blocks."""
    for number in range(count):
        size, channels = int(rng.choice([7, 14, 28, 56])), int(rng.choice([18, 30, 58, 90, 122]))
        yield Case("depthwise", {"size": size, "channels": channels, "kernel": 3, "stride": 1 + number % 2})
        yield _conv(size, 64, 64, 3, 1, groups=int(rng.choice([8, 16, 32])))


def _products(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for number in range(count):
        m = 1 if number % 4 == 0 else _near_two(rng, 1, 10)
        k, n = _near_two(rng, 6, 12), _near_two(rng, 6, 12)
        m = max(1, min(m, int(MOST_FLOPS / (2 * k * n))))
        yield Case("linear", {"rows": m, "inner": k, "columns": n})
    for m, k, n in ((1, 4096, 4096), (1, 8192, 4096), (4, 4096, 4096), (1, 2048, 1000), (1, 1280, 1000)):
        yield Case("linear", {"rows": m, "inner": k, "columns": n})
    for megabytes in (8, 16, 24, 32, 64):
        yield Case("linear", {"rows": 1, "inner": 1024, "columns": 1024, "length": megabytes // 4})
    for rows in (4, 8, 32, 64, 128):
        for side in (512, 1024, 2048):
            yield Case("linear", {"rows": rows, "inner": side, "columns": side, "length": UNHELD // side**2})
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
