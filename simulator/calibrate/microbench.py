"""Real kernels timed on this machine's CPU through NumPy, as rows in the layout of measured kernels.

Each kernel is warmed up and then run until its median is steady; operands that a model would read from memory are
rotated among copies larger than the caches. A row says how noisy it was (`noise`, interquartile range by median).
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.calibrate.numpy_kernels import (
    decode_attention,
    prompt_attention,
    rms_norm,
    rotate,
    sample,
    silu_mul,
)

Array = NDArray[np.float32]
Kernel = Callable[[int], object]

COLD_BYTES = 256e6
BLOCK = 16  # tokens of a KV block
LEAST_REPEATS = 5
QUICK_SECONDS, FULL_SECONDS = 0.04, 0.25


@dataclass(frozen=True, slots=True)
class Bench:
    """One kernel at one shape: the row's fields, how to make it (given a generator), and how many bytes it reads."""

    fields: dict[str, Any]
    make: Callable[[np.random.Generator], Kernel]


def measure(*, quick: bool = True, seed: int = 0, say: Callable[[str], None] = lambda _: None) -> pd.DataFrame:
    """Time every kernel of the suite; one row each, latency in microseconds."""
    rng = np.random.default_rng(seed)
    rows = []
    for bench in suite(quick=quick, seed=seed):
        seconds, noise, repeats = timed(bench.make(rng), QUICK_SECONDS if quick else FULL_SECONDS)
        rows.append({**bench.fields, "latency_us": seconds * 1e6, "noise": noise, "repeats": repeats})
    frame = pd.DataFrame(rows)
    say(f"timed {len(frame)} kernels, median noise {frame['noise'].median():.1%}")
    return frame.assign(
        dtype="fp32", backend="numpy", version=np.__version__, threads=threads(), source=f"measured on {cpu_name()}"
    )


def timed(kernel: Kernel, budget: float) -> tuple[float, float, int]:
    """Median seconds of a call, its noise, and the number of timed calls within about `budget` seconds."""
    kernel(0)
    kernel(1)
    taken: list[float] = []
    started = time.perf_counter()
    while len(taken) < LEAST_REPEATS or time.perf_counter() - started < budget:
        before = time.perf_counter()
        kernel(len(taken))
        taken.append(time.perf_counter() - before)
    low, middle, high = np.quantile(taken, [0.25, 0.5, 0.75])
    return float(middle), float((high - low) / middle), len(taken)


def suite(*, quick: bool, seed: int = 0) -> Iterator[Bench]:
    """The kernels and shapes: matrix products, attention, norms, activations, rotary, gather, sampling."""
    rng = np.random.default_rng(seed)
    count = 1 if quick else 3
    yield from _gemms(rng, 150 * count)
    yield from _prefills(rng, 50 * count)
    yield from _decodes(rng, 75 * count)
    yield from _streams(rng, 30 * count)


def _gemms(rng: np.random.Generator, count: int) -> Iterator[Bench]:
    for _ in range(count):
        m, n, k = int(2 ** rng.integers(0, 10)), int(2 ** rng.integers(8, 13)), int(2 ** rng.integers(8, 13))
        yield Bench({"op": "gemm", "m": m, "n": n, "k": k}, _gemm(m, n, k))


def _gemm(m: int, n: int, k: int) -> Callable[[np.random.Generator], Kernel]:
    def make(rng: np.random.Generator) -> Kernel:
        x = _random(rng, (m, k))
        weights = _copies(rng, (k, n))
        out = np.empty((m, n), np.float32)
        return lambda i: np.matmul(x, weights[i % len(weights)], out=out)

    return make


def _prefills(rng: np.random.Generator, count: int) -> Iterator[Bench]:
    for _ in range(count):
        batch, new = int(rng.integers(1, 4)), int(2 ** rng.integers(3, 10))
        heads, width = int(2 ** rng.integers(1, 4)), int(rng.choice([64, 128]))
        fields = {"op": "attention_prefill", "batch": batch, "seq_q": new, "seq_kv": new, "window": 0}
        yield Bench(fields | _heads(heads, heads, width), _prefill(batch, new, heads, width))


def _prefill(batch: int, new: int, heads: int, width: int) -> Callable[[np.random.Generator], Kernel]:
    def make(rng: np.random.Generator) -> Kernel:
        q, k, v = (_random(rng, (heads, new, width)) for _ in range(3))

        def run(_: int) -> object:
            for _ in range(batch):
                found = prompt_attention(q, k, v)
            return found

        return run

    return make


def _decodes(rng: np.random.Generator, count: int) -> Iterator[Bench]:
    for _ in range(count):
        batch, context = int(2 ** rng.integers(0, 6)), int(2 ** rng.integers(4, 11))
        heads, width = int(2 ** rng.integers(1, 4)), int(rng.choice([64, 128]))
        fields = {"op": "attention_decode", "batch": batch, "seq_q": 1, "seq_kv": context, "window": 0}
        yield Bench(fields | _heads(heads, heads, width), _decode(batch, context, heads, width))


def _decode(batch: int, context: int, heads: int, width: int) -> Callable[[np.random.Generator], Kernel]:
    def make(rng: np.random.Generator) -> Kernel:
        each = -(-context // BLOCK)
        q = _random(rng, (batch, heads, width))
        shape = (max(batch * each, int(COLD_BYTES // (8 * BLOCK * heads * width))), BLOCK, heads, width)
        keys, values = (np.full(shape, 0.1, np.float32) for _ in range(2))
        pages = rng.permutation(shape[0])

        def run(i: int) -> object:
            first = i * batch * each
            tables = [
                np.take(pages, range(first + b * each, first + (b + 1) * each), mode="wrap") for b in range(batch)
            ]
            return decode_attention(q, keys, values, tables, [context] * batch)

        return run

    return make


def _heads(q_heads: int, kv_heads: int, width: int) -> dict[str, Any]:
    return {"q_heads": q_heads, "kv_heads": kv_heads, "head_dim": width, "kv_dtype": "fp32"}


def _streams(rng: np.random.Generator, count: int) -> Iterator[Bench]:
    makers = {
        "rmsnorm": _rmsnorm,
        "silu_mul": _silu_mul,
        "rope": _rope,
        "embedding": _embedding,
        "sampler": _sampler,
    }
    for op, maker in makers.items():
        for _ in range(count):
            rows = int(2 ** rng.integers(0, 10))
            cols = int(2 ** rng.integers(12, 16)) if op == "sampler" else int(2 ** rng.integers(7, 13))
            rows = min(rows, 64) if op == "sampler" else rows
            yield Bench({"op": op, "rows": rows, "cols": cols}, maker(rows, cols))


def _rmsnorm(rows: int, cols: int) -> Callable[[np.random.Generator], Kernel]:
    def make(rng: np.random.Generator) -> Kernel:
        x, r, w = _random(rng, (rows, cols)), _random(rng, (rows, cols)), _random(rng, (cols,))

        return lambda _: rms_norm(x, r, w)[1]

    return make


def _silu_mul(rows: int, cols: int) -> Callable[[np.random.Generator], Kernel]:
    def make(rng: np.random.Generator) -> Kernel:
        gate, up = _random(rng, (rows, cols)), _random(rng, (rows, cols))
        return lambda _: silu_mul(gate, up)

    return make


def _rope(rows: int, cols: int) -> Callable[[np.random.Generator], Kernel]:
    def make(rng: np.random.Generator) -> Kernel:
        x = _random(rng, (rows, cols))
        sine, cosine = _random(rng, (rows, cols // 2)), _random(rng, (rows, cols // 2))

        return lambda _: rotate(x, cosine, sine)

    return make


def _embedding(rows: int, cols: int) -> Callable[[np.random.Generator], Kernel]:
    def make(rng: np.random.Generator) -> Kernel:
        table = np.full((int(COLD_BYTES // (4 * cols)), cols), 0.1, np.float32)
        picks = rng.integers(0, len(table), (16, rows))
        return lambda i: table[picks[i % 16]]

    return make


def _sampler(rows: int, cols: int) -> Callable[[np.random.Generator], Kernel]:
    def make(rng: np.random.Generator) -> Kernel:
        logits = _random(rng, (rows, cols))
        return lambda _: sample(logits)

    return make


def _copies(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Array]:
    """Enough equal arrays that rotating among them finds none in a cache, 64 at most."""
    one = _random(rng, shape)
    return [one, *(one.copy() for _ in range(min(63, int(COLD_BYTES // one.nbytes))))]


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape, dtype=np.float32)


def threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's own name for itself."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()
