"""The suite's cases made ready to run in NumPy, in single precision."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.calibrate import numpy_kernels as kernels
from simulator.calibrate.suite import Case

Array = NDArray[np.float32]
Kernel = Callable[[int], object]

COLD_BYTES = 128e6
MOST_COPIES = 512
PICKS = 1 << 15  # rows that are looked up before the same come again
BLOCK = 16  # tokens of a KV block


@dataclass(frozen=True)
class NumpyBench:
    """Makes and times kernels through NumPy on the CPU."""

    name: str = "numpy"
    dtype: str = "fp32"
    version: str = np.__version__

    def kernel(self, case: Case, rng: np.random.Generator) -> Kernel:
        """A call of the case's kernel; its argument counts the calls, so that cold operands take turns."""
        return MAKERS[case["op"]](case, rng)

    def seconds(self, kernel: Kernel, number: int) -> float:
        """Seconds that one call takes."""
        started = time.perf_counter()
        kernel(number)
        return time.perf_counter() - started


def _launch(case: Case, rng: np.random.Generator) -> Kernel:
    x, out = _random(rng, (1,)), np.empty(1, np.float32)
    return lambda _: np.add(x, x, out=out)


def _gemm(case: Case, rng: np.random.Generator) -> Kernel:
    m, n, k = case["m"], case["n"], case["k"]
    x, weights, out = _random(rng, (m, k)), _turns(rng, (k, n), case), np.empty((m, n), np.float32)
    return lambda i: np.matmul(x, weights[i % len(weights)], out=out)


def _batched_gemm(case: Case, rng: np.random.Generator) -> Kernel:
    batch, m, n, k = (case[c] for c in ("batch", "m", "n", "k"))
    x, weights = _random(rng, (batch, m, k)), _turns(rng, (batch, k, n), case)
    out = np.empty((batch, m, n), np.float32)
    return lambda i: np.matmul(x, weights[i % len(weights)], out=out)


def _conv2d(case: Case, rng: np.random.Generator) -> Kernel:
    size = case["kernel"]
    images = _turns(rng, (case["batch"], case["channels"], case["height"], case["width"]), case)
    weights = _random(rng, (case["channels"] * size * size, case["filters"]))
    return lambda i: kernels.convolve(images[i % len(images)], weights, size, case["stride"])


def _prefill(case: Case, rng: np.random.Generator) -> Kernel:
    q, k, v = (_random(rng, (case["q_heads"], case["seq_q"], case["head_dim"])) for _ in range(3))

    def run(_: int) -> object:
        for _ in range(case["batch"]):
            found = kernels.prompt_attention(q, k, v)
        return found

    return run


def _decode(case: Case, rng: np.random.Generator) -> Kernel:
    batch, context, heads, width = (case[c] for c in ("batch", "seq_kv", "q_heads", "head_dim"))
    each = -(-context // BLOCK)
    q = _random(rng, (batch, heads, width))
    shape = (max(batch * each, int(COLD_BYTES // (8 * BLOCK * heads * width))), BLOCK, heads, width)
    keys, values = (np.full(shape, 0.1, np.float32) for _ in range(2))
    pages = rng.permutation(shape[0])

    def run(i: int) -> object:
        first = i * batch * each
        tables = [np.take(pages, range(first + b * each, first + (b + 1) * each), mode="wrap") for b in range(batch)]
        return kernels.decode_attention(q, keys, values, tables, [context] * batch)

    return run


def _stream(operands: int, compute: Callable[..., object]) -> Callable[[Case, np.random.Generator], Kernel]:
    """A maker of kernels over `operands` arrays of the case's rows and columns, and one to write into."""

    def make(case: Case, rng: np.random.Generator) -> Kernel:
        shape = (case["rows"], case["cols"])
        given = [_turns(rng, shape, case, share=operands + 1) for _ in range(operands)]
        out = _turns(rng, shape, case, share=operands + 1)
        return lambda i: compute(*(x[i % len(x)] for x in given), out[i % len(out)])

    return make


def _rmsnorm(x: Array, residual: Array, out: Array) -> Array:
    return kernels.rms_norm(x, residual, out[0])[1]


def _triad(b: Array, c: Array, out: Array) -> Array:
    np.multiply(c, np.float32(3.0), out=out)
    return np.add(out, b, out=out)


def _copy(x: Array, out: Array) -> Array:
    np.copyto(out, x)
    return out


def _rope(case: Case, rng: np.random.Generator) -> Kernel:
    rows, cols = case["rows"], case["cols"]
    x = _turns(rng, (rows, cols), case)
    sine, cosine = _random(rng, (rows, cols // 2)), _random(rng, (rows, cols // 2))
    return lambda i: kernels.rotate(x[i % len(x)], cosine, sine)


def _embedding(case: Case, rng: np.random.Generator) -> Kernel:
    rows, cols = case["rows"], case["cols"]
    table = np.full((max(int(COLD_BYTES // (4 * cols)), 1), cols), 0.1, np.float32)
    picks = rng.integers(0, len(table), (max(16, PICKS // rows), rows))
    return lambda i: table[picks[i % len(picks)]]


def _sampler(case: Case, rng: np.random.Generator) -> Kernel:
    logits = _turns(rng, (case["rows"], case["cols"]), case)
    return lambda i: kernels.sample(logits[i % len(logits)])


MAKERS: dict[str, Callable[[Case, np.random.Generator], Kernel]] = {
    "launch": _launch,
    "gemm": _gemm,
    "batched_gemm": _batched_gemm,
    "conv2d": _conv2d,
    "attention_prefill": _prefill,
    "attention_decode": _decode,
    "rmsnorm": _stream(2, _rmsnorm),
    "silu_mul": _stream(2, lambda gate, up, _: kernels.silu_mul(gate, up)),
    "rope": _rope,
    "embedding": _embedding,
    "softmax": _stream(1, lambda x, _: kernels.softmax(x)),
    "elementwise": _stream(2, lambda a, b, out: np.add(a, b, out=out)),
    "copy": _stream(1, _copy),
    "triad": _stream(2, _triad),
    "sampler": _sampler,
}


def _turns(rng: np.random.Generator, shape: tuple[int, ...], case: Case, share: int = 1) -> list[Array]:
    """Equal arrays that take turns: so many that none is found in a cache, or one where the caches are warm.

    `share` is the number of such lists that a kernel uses together.
    """
    one = _random(rng, shape)
    if case["cache"] == "warm":
        return [one]
    return [one, *(one.copy() for _ in range(min(MOST_COPIES, int(COLD_BYTES / share // one.nbytes))))]


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape, dtype=np.float32)
