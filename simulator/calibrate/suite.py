"""What the microbenchmark suite times: operators and shapes, the same for every library and device.

Each case is a row in the layout of measured kernels (see `docs/accuracy.md`) that still lacks its latency. `cache`
says whether operands are met in the caches ("warm") or, as in a model's forward pass, in memory ("cold").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Case = dict[str, Any]
STREAMS = ("rmsnorm", "silu_mul", "rope", "softmax", "elementwise")  # a model meets what the kernel before wrote
BANDWIDTHS = ("copy", "triad", "embedding")
ALL_REDUCE = "allreduce"


@dataclass(frozen=True, slots=True)
class Scale:
    """Largest sizes as powers of two: tokens, matrix sides, attended tokens, sequences, and elements of a stream."""

    tokens: int
    side: int
    context: int
    batch: int
    stream: int
    side_least: int = 8


CPU, GPU = Scale(9, 12, 10, 5, 21), Scale(13, 14, 14, 8, 28, side_least=9)


def suite(*, quick: bool, seed: int = 0, scale: Scale = CPU) -> Iterator[Case]:
    """The cases, drawn from a seed: three times as many where not `quick`."""
    rng = np.random.default_rng(seed)
    count = 1 if quick else 3
    yield {"op": "launch", "rows": 1, "cols": 1}
    yield from _gemms(rng, 130 * count, scale)
    yield from _batched_gemms(rng, 30 * count, scale)
    yield from _convolutions(rng, 48 * count, scale)
    yield from _prefills(rng, 45 * count, scale)
    yield from _decodes(rng, 70 * count, scale)
    yield from _streams(rng, 26 * count, scale)
    yield from _samplers(rng, 26 * count, scale)


def all_reduces(*, quick: bool, worlds: tuple[int, ...]) -> Iterator[Case]:
    """All-reduces between as many processes as `worlds` says, from 1 KB to 16 MB."""
    for world in worlds:
        for size in np.geomspace(1024, 2**24, 28 if quick else 56):
            yield {"op": ALL_REDUCE, "message_bytes": int(size) // (8 * world) * 8 * world, "world_size": world}


def _gemms(rng: np.random.Generator, count: int, scale: Scale) -> Iterator[Case]:
    for i in range(count):
        m, n, k = _two(rng, 0, scale.tokens), _side(rng, scale), _side(rng, scale)
        yield {"op": "gemm", "m": m, "n": n, "k": k, "cache": "warm" if i % 4 == 3 else "cold"}


def _batched_gemms(rng: np.random.Generator, count: int, scale: Scale) -> Iterator[Case]:
    for _ in range(count):
        batch, m = _two(rng, 1, scale.batch), _two(rng, 0, scale.tokens - 2)
        n, k = (_two(rng, scale.side_least - 2, scale.side - 3) for _ in range(2))
        yield {"op": "batched_gemm", "batch": batch, "m": m, "n": n, "k": k, "cache": "cold"}


def _convolutions(rng: np.random.Generator, count: int, scale: Scale) -> Iterator[Case]:
    for _ in range(count):
        pixels = int(rng.choice([7, 14, 28, 56]))
        channels, filters = (_two(rng, 4, 8 if pixels > 14 else 9) for _ in range(2))
        yield {
            "op": "conv2d", "batch": _two(rng, 0, scale.batch - 3), "channels": channels, "filters": filters,
            "height": pixels, "width": pixels, "kernel": int(rng.choice([1, 3, 3, 5])),
            "stride": int(rng.choice([1, 1, 2])), "cache": "cold",
        }  # fmt: skip


def _prefills(rng: np.random.Generator, count: int, scale: Scale) -> Iterator[Case]:
    for _ in range(count):
        batch, new = int(rng.integers(1, 4)), _two(rng, 3, scale.context)
        yield {
            "op": "attention_prefill", "batch": batch, "seq_q": new, "seq_kv": new, "window": 0, **_heads(rng, scale)
        }  # fmt: skip


def _decodes(rng: np.random.Generator, count: int, scale: Scale) -> Iterator[Case]:
    for _ in range(count):
        batch, context = _two(rng, 0, scale.batch), _two(rng, 4, scale.context)
        yield {
            "op": "attention_decode", "batch": batch, "seq_q": 1, "seq_kv": context, "window": 0, **_heads(rng, scale)
        }  # fmt: skip


def _heads(rng: np.random.Generator, scale: Scale) -> Case:
    heads, width = _two(rng, 1, 3 if scale is CPU else 5), int(rng.choice([64, 128]))
    group = 1 if scale is CPU else int(rng.choice([1, 4]))
    return {"q_heads": heads, "kv_heads": max(1, heads // group), "head_dim": width}


def _streams(rng: np.random.Generator, count: int, scale: Scale) -> Iterator[Case]:
    for op in STREAMS:
        for _ in range(count):
            cols = _two(rng, 7, 12)
            rows = _two(rng, 0, scale.stream - int(np.log2(cols)))
            yield {"op": op, "rows": rows, "cols": cols, "cache": "warm"}
    for op in BANDWIDTHS:
        for _ in range(count):
            cols = _two(rng, 9, 12)
            rows = _two(rng, 0 if op == "embedding" else 5, scale.stream + 1 - int(np.log2(cols)))
            yield {"op": op, "rows": rows, "cols": cols, "cache": "cold"}


def _samplers(rng: np.random.Generator, count: int, scale: Scale) -> Iterator[Case]:
    for _ in range(count):
        yield {"op": "sampler", "rows": _two(rng, 0, scale.tokens - 3), "cols": _two(rng, 12, 16), "cache": "cold"}


def _two(rng: np.random.Generator, least: int, most: int) -> int:
    return int(2 ** rng.integers(least, most + 1))


def _side(rng: np.random.Generator, scale: Scale) -> int:
    return _two(rng, scale.side_least, scale.side)
