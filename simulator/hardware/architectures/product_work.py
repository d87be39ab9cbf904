"""What products that are done otherwise ask of a machine that knows whole matrices of numbers only.

It multiplies zeros too, reads what is stored, and computes single bits and look-ups as the products they stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.workloads.operators import AnyOperator
from simulator.workloads.operators.products import (
    AnyProduct,
    BitSerial,
    Chained,
    DecodeAttention,
    FullAttention,
    Sparse,
)

if TYPE_CHECKING:
    from simulator.hardware.architectures.work import Work


def product_work(op: AnyProduct, work_of: Callable[[AnyOperator], Work]) -> Work:
    """The work of one call in terms of `work_of` of its parts."""
    if isinstance(op, FullAttention):
        return _attention(op)
    if isinstance(op, DecodeAttention):
        return _decoding(op)
    if isinstance(op, Chained):
        return _chain(op, work_of)
    if isinstance(op, Sparse):
        main = work_of(op.main)
        return replace(main, weights=main.weights + op.bytes() - op.main.bytes())
    format = "int8" if isinstance(op, BitSerial) else op.main.activation.compute
    return work_of(replace(op.main, weight=replace(op.main.weight, compute=format)))


def _chain(op: Chained, work_of: Callable[[AnyOperator], Work]) -> Work:
    """All products, what the first reads and the last writes; further operands are read too."""
    parts = [(work_of(part), times) for part, times in op.parts]
    products = tuple(replace(p, count=p.count * times) for work, times in parts for p in work.products)
    weights = sum((work.weights for work, _ in parts), 0.0)
    last = parts[-1][0]
    flops = op.more_flops + sum((work.flops * times for work, times in parts), 0.0)
    read = op.moved - weights - last.written
    return replace(parts[0][0], products=products, flops=flops, weights=weights, read=read, written=last.written)


def _attention(op: FullAttention) -> Work:
    from simulator.hardware.architectures.work import Product, Work

    each = op.activation.bytes
    scores = op.heads * op.tokens * op.attended
    products = (
        Product(op.tokens, op.attended, op.qk_width, op.heads), Product(op.tokens, op.v_width, op.attended, op.heads)
    )  # fmt: skip
    results = op.heads * op.tokens * op.v_width
    written = results * each
    return Work(products, 5.0 * scores, 0.0, op.bytes() - written, written, results, op.compute)


def _decoding(op: DecodeAttention) -> Work:
    from simulator.hardware.architectures.work import Product, Work

    products = (
        Product(op.group, op.keys, op.qk_width, op.pieces), Product(op.group, op.v_width, op.keys, op.pieces)
    )  # fmt: skip
    results = op.pieces * op.group * op.v_width
    written = results * op.activation.bytes
    softmax = 5.0 * op.pieces * op.group * op.keys
    return Work(products, softmax, 0.0, op.bytes() - written, written, results, op.compute)
