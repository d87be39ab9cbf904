"""The suite's cases made ready to run in PyTorch, on the CPU or on a CUDA device."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.calibrate.suite import Case
from simulator.errors import InputError

Kernel = Callable[[int], object]
Tensor = Any  # torch is optional, and so are its types

COLD_BYTES = 512e6
MOST_COPIES = 512
PICKS = 1 << 15  # rows that are looked up before the same come again
BLOCK = 16  # tokens of a KV block


@dataclass(frozen=True)
class TorchBench:
    """Makes and times kernels through PyTorch on `device` ("cpu" or "cuda") in its usual precision.

    On CUDA a call is timed on the device, by events around it.
    """

    torch: Any
    device: str

    @property
    def name(self) -> str:
        return "torch"

    @property
    def version(self) -> str:
        return str(self.torch.__version__)

    @property
    def dtype(self) -> str:
        return "fp32" if self.device == "cpu" else "bf16"

    @property
    def number(self) -> Any:
        """PyTorch's own name of the format."""
        return self.torch.float32 if self.device == "cpu" else self.torch.bfloat16

    def kernel(self, case: Case, rng: np.random.Generator) -> Kernel:
        """A call of the case's kernel; its argument counts the calls, so that cold operands take turns."""
        self.torch.manual_seed(int(rng.integers(2**31)))
        return MAKERS[case["op"]](self, case)

    def seconds(self, kernel: Kernel, number: int) -> float:
        """Seconds that one call takes."""
        with self.torch.no_grad():
            if self.device == "cpu":
                started = time.perf_counter()
                kernel(number)
                return time.perf_counter() - started
            before, after = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            kernel(number)
            after.record()
            after.synchronize()
            return float(before.elapsed_time(after)) * 1e-3

    def random(self, *shape: int) -> Tensor:
        """Normally distributed numbers."""
        return self.torch.randn(shape, dtype=self.number, device=self.device)

    def turns(self, case: Case, *shape: int, share: int = 1) -> list[Tensor]:
        """Equal tensors that take turns: so many that none is found in a cache, or one where the caches are warm."""
        one = self.random(*shape)
        if case["cache"] == "warm":
            return [one]
        size = one.numel() * one.element_size()
        return [one, *(one.clone() for _ in range(min(MOST_COPIES, int(COLD_BYTES / share // size))))]


def torch_bench(device: str) -> TorchBench:
    """PyTorch on a device. Raises `InputError` where it is not installed or sees no such device."""
    try:
        import torch
    except ImportError:
        raise InputError("this backend needs PyTorch: pip install torch, or use --backend cpu (NumPy)") from None
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch sees no CUDA device here: use --backend cpu or cpu-torch")
    return TorchBench(torch, device)


def _launch(bench: TorchBench, case: Case) -> Kernel:
    x = bench.random(1)
    return lambda _: x.add_(1.0)


def _gemm(bench: TorchBench, case: Case) -> Kernel:
    x, weights = bench.random(case["m"], case["k"]), bench.turns(case, case["n"], case["k"])
    return lambda i: bench.torch.nn.functional.linear(x, weights[i % len(weights)])


def _batched_gemm(bench: TorchBench, case: Case) -> Kernel:
    batch, m, n, k = (case[c] for c in ("batch", "m", "n", "k"))
    x, weights = bench.random(batch, m, k), bench.turns(case, batch, k, n)
    return lambda i: bench.torch.bmm(x, weights[i % len(weights)])


def _conv2d(bench: TorchBench, case: Case) -> Kernel:
    size = case["kernel"]
    images = bench.turns(case, case["batch"], case["channels"], case["height"], case["width"])
    weights = bench.random(case["filters"], case["channels"], size, size)
    convolve = bench.torch.nn.functional.conv2d
    return lambda i: convolve(images[i % len(images)], weights, stride=case["stride"], padding=size // 2)


def _prefill(bench: TorchBench, case: Case) -> Kernel:
    new, width, group = case["seq_q"], case["head_dim"], case["q_heads"] // case["kv_heads"]
    q = bench.random(case["batch"], case["q_heads"], new, width)
    k, v = (bench.random(case["batch"], case["kv_heads"], new, width) for _ in range(2))
    attend = bench.torch.nn.functional.scaled_dot_product_attention
    return lambda _: attend(q, _repeated(k, group), _repeated(v, group), is_causal=True)


def _decode(bench: TorchBench, case: Case) -> Kernel:
    """Attention of one token of each sequence to pages of its cache, which are gathered first."""
    batch, context, width = case["batch"], case["seq_kv"], case["head_dim"]
    heads, group, each = case["kv_heads"], case["q_heads"] // case["kv_heads"], -(-case["seq_kv"] // BLOCK)
    q = bench.random(batch, case["q_heads"], 1, width)
    page = BLOCK * heads * width * q.element_size()
    pages = max(batch * each, int(COLD_BYTES // (2 * page)))
    keys, values = (bench.torch.full((pages, BLOCK, heads, width), 0.1, dtype=q.dtype, device=q.device) for _ in "kv")
    tables = bench.torch.randperm(pages, device=q.device)
    attend = bench.torch.nn.functional.scaled_dot_product_attention

    def gathered(cache: Tensor, table: Tensor) -> Tensor:
        rows = cache[table].reshape(batch, each * BLOCK, heads, width)[:, :context]
        return _repeated(rows.transpose(1, 2), group)

    def run(i: int) -> object:
        first = i * batch * each % max(pages - batch * each, 1)
        table = tables[first : first + batch * each]
        return attend(q, gathered(keys, table), gathered(values, table))

    return run


def _repeated(heads: Tensor, group: int) -> Tensor:
    return heads if group == 1 else heads.repeat_interleave(group, dim=1)


def _stream(operands: int, compute: Callable[..., object]) -> Callable[[TorchBench, Case], Kernel]:
    """A maker of kernels over `operands` tensors of the case's rows and columns, and one to write into."""

    def make(bench: TorchBench, case: Case) -> Kernel:
        lists = [bench.turns(case, case["rows"], case["cols"], share=operands + 1) for _ in range(operands + 1)]
        return lambda i: compute(bench.torch, *(x[i % len(x)] for x in lists))

    return make


def _rmsnorm(torch: Any, x: Tensor, residual: Tensor, out: Tensor) -> Tensor:
    total = x + residual
    return torch.nn.functional.rms_norm(total, total.shape[-1:], out[0], eps=1e-6)


def _rope(bench: TorchBench, case: Case) -> Kernel:
    rows, half = case["rows"], case["cols"] // 2
    x, (sine, cosine) = bench.turns(case, rows, 2 * half), (bench.random(rows, half) for _ in range(2))

    def run(i: int) -> object:
        a, b = x[i % len(x)].split(half, dim=-1)
        return bench.torch.cat([a * cosine - b * sine, b * cosine + a * sine], dim=-1)

    return run


def _embedding(bench: TorchBench, case: Case) -> Kernel:
    rows, cols = case["rows"], case["cols"]
    size = bench.random(1).element_size()
    table = bench.torch.full((max(int(COLD_BYTES // (size * cols)), 1), cols), 0.1, dtype=bench.number).to(bench.device)
    picks = bench.torch.randint(len(table), (max(16, PICKS // rows), rows), device=bench.device)
    return lambda i: table.index_select(0, picks[i % len(picks)])


def _sampler(bench: TorchBench, case: Case) -> Kernel:
    logits = bench.turns(case, case["rows"], case["cols"])
    return lambda i: logits[i % len(logits)].softmax(-1).argmax(-1)


MAKERS: dict[str, Callable[[TorchBench, Case], Kernel]] = {
    "launch": _launch,
    "gemm": _gemm,
    "batched_gemm": _batched_gemm,
    "conv2d": _conv2d,
    "attention_prefill": _prefill,
    "attention_decode": _decode,
    "rmsnorm": _stream(2, _rmsnorm),
    "silu_mul": _stream(2, lambda torch, gate, up, _: torch.nn.functional.silu(gate) * up),
    "rope": _rope,
    "embedding": _embedding,
    "softmax": _stream(1, lambda torch, x, _: torch.softmax(x, -1)),
    "elementwise": _stream(2, lambda torch, a, b, out: torch.add(a, b, out=out)),
    "copy": _stream(1, lambda _, x, out: out.copy_(x)),
    "triad": _stream(2, lambda torch, b, c, out: torch.add(b, c, alpha=3.0, out=out)),
    "sampler": _sampler,
}
