"""What an operator asks of any machine: matrix products, other arithmetic, and bytes of each operand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError
from simulator.hardware.architectures.product_work import product_work
from simulator.hardware.formats import format_on
from simulator.workloads.operators import (
    Aggregation,
    AnyOperator,
    Attention,
    Collective,
    Convolution,
    Elementwise,
    Experts,
    Fused,
    Gather,
    Gemm,
    HostCopy,
    LowRank,
    Rounds,
    Size,
)
from simulator.workloads.operators.products import AnyProduct

if TYPE_CHECKING:
    from simulator.hardware.device import Device


@dataclass(frozen=True, slots=True)
class Product:
    """`count` matrix products of m x k by k x n each; the groups of a depth-wise convolution have n = 1."""

    m: Size
    n: Size
    k: Size
    count: Size = 1.0

    @property
    def macs(self) -> Size:
        return self.m * self.n * self.k * self.count


@dataclass(frozen=True, slots=True)
class Work:
    """Products, FLOPs of other arithmetic, and bytes of weights, of inputs and of results, in one arithmetic format.

    `results` are the numbers written, `elements` those that other arithmetic than products goes through (pooling reads
    more of them than it writes); `depthwise` is 1 where each input channel makes its own results, else 0.
    """

    products: tuple[Product, ...]
    flops: Size
    weights: Size
    read: Size
    written: Size
    results: Size
    format: str
    depthwise: Size = 0.0
    elements: Size = 0.0

    @property
    def macs(self) -> Size:
        return sum((p.macs for p in self.products), 0.0)

    @property
    def bytes(self) -> Size:
        return self.weights + self.read + self.written


def work_of(op: AnyOperator) -> Work:
    """The work of one call of `op`. Raises `InputError` for transfers between devices, which are no work of one."""
    if isinstance(op, Fused):
        main = work_of(op.main)
        # what the epilogue reads comes on top; results that shrink are written in their last size
        written = np.maximum(main.written + np.minimum(op.more_bytes, 0.0), 0.0)
        more = np.maximum(op.more_bytes, 0.0)
        return replace(main, flops=main.flops + op.more_flops, read=main.read + more, written=written)
    if isinstance(op, Collective | HostCopy | Rounds):
        raise InputError(f"{op.kind}: a device of this architecture runs operator graphs alone, not transfers")
    if isinstance(op, Gemm):
        return _gemm(op)
    if isinstance(op, Convolution):
        return _convolution(op)
    if isinstance(op, Experts | Attention):
        return _experts(op) if isinstance(op, Experts) else _attention(op)
    if isinstance(op, AnyProduct):
        return product_work(op, work_of)
    return _streamed(op)


def missing_format(op: AnyOperator, device: Device) -> str | None:
    """ "fp32 arithmetic" where the device has neither the operator's format nor a wider one."""
    name = work_of(op).format
    return None if format_on(device.peak_flops, name) else f"{name} arithmetic"


def _streamed(op: Elementwise | Gather | Aggregation | LowRank) -> Work:
    each, moved = op.activation.bytes, op.bytes()
    if isinstance(op, LowRank):
        return Work((), op.flops(), op.ranks * op.width * each, 0.0, moved, op.tokens, op.activation.compute)
    if isinstance(op, Elementwise):
        results, elements = op.elements * op.writes, op.elements
    else:
        results = elements = (op.rows if isinstance(op, Gather) else op.vertices) * op.columns
    read, written = moved - results * each, results * each
    return Work((), op.flops(), 0.0, read, written, results, op.activation.compute, elements=elements)


def _gemm(op: Gemm) -> Work:
    each = op.activation.bytes
    return Work(
        (Product(op.m, op.n, op.k, op.batch),),
        0.0,
        op.n * op.k * op.weight.bytes * op.batch,
        op.m * op.k * each * op.batch,
        op.m * op.n * each * op.batch,
        op.m * op.n * op.batch,
        op.compute,
    )


def _convolution(op: Convolution) -> Work:
    m, n, k = op.product
    each = op.activation.bytes
    grouped = np.asarray(op.groups) > 1.0
    return Work(
        (Product(m, n, k, op.groups),),
        0.0,
        n * k * op.groups * op.weight.bytes,
        op.batch * op.channels * op.read * each,
        op.results * each,
        op.results,
        op.compute,
        1.0 * (grouped & (np.asarray(op.groups) == np.asarray(op.channels))),
    )


def _experts(op: Experts) -> Work:
    """Up (twice where gated) and down for the tokens of each active expert."""
    active = op.active()
    rows = op.visits / np.maximum(active, 1e-9)
    ups = 2.0 if op.gated else 1.0
    up, down = (
        Product(rows, op.intermediate * ups, op.hidden, active),
        Product(rows, op.hidden, op.intermediate, active),
    )
    weights = active * op.hidden * op.intermediate * (ups + 1.0) * op.weight.bytes
    moved = op.bytes() - weights
    return Work((up, down), 0.0, weights, moved / 2.0, moved / 2.0, op.visits * op.hidden, op.compute)


def _attention(op: Attention) -> Work:
    """Scores and weighted sums of each head, the cache as the operand that stays; softmax at five FLOPs a score."""
    products: list[Product] = []
    scores = written = 0.0
    sides = [(op.prompt, float(op.span.pairs(cached, new)), float(new)) for cached, new in op.chunks]
    sides.append((op.decode, op.attended, op.sequences))
    for shape, pairs, rows in sides:
        if not rows:
            continue
        keys, heads = pairs / rows, float(shape.q_heads) * op.share
        products += [Product(rows, keys, float(shape.qk_dim), heads), Product(rows, float(shape.v_dim), keys, heads)]
        scores += pairs * heads
        written += rows * heads * float(shape.v_dim) * shape.activation_bytes
    moved = op.prompt_bytes() + op.decode_bytes()
    return Work(tuple(products), 5.0 * scores, 0.0, moved - written, written, scores, op.compute)
