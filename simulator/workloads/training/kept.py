"""Formats of activations that are kept for the backward pass, and the operators that convert to them and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.workloads.dtypes import DType
from simulator.workloads.operators import AnyOperator, Elementwise, Gemm
from simulator.workloads.training.block import Block


@dataclass(frozen=True, slots=True)
class Kept:
    """Formats of what each kind of block keeps; None: that of all activations.

    `products` are inputs of matrix products with weights, `norms`, `activations` inputs of those functions,
    `attention` queries, keys, values and its output before the projection.
    """

    products: DType | None = None
    norms: DType | None = None
    activations: DType | None = None
    attention: DType | None = None


NOTHING = Kept()


def kept_as(block: Block, formats: Kept, act: DType, compute: DType, stored: DType) -> Block:
    """The block with what it keeps in the format for its kind, `act` being that of all activations."""
    wanted = _format(block, formats)
    if wanted is None or not block.saved:
        return block
    if isinstance(block.forward[0], Elementwise):
        return _within(block, block.forward[0], wanted, act)
    return _beside(block, wanted, act, compute, stored)


def _within(block: Block, op: Elementwise, wanted: DType, act: DType) -> Block:
    """A function of single numbers converts in its own kernel, by a scale for each small group in its reach.

    It writes the narrow copy as well, and its backward pass reads that one (COAT, arXiv:2410.19313, section 5.1).
    """
    ratio = wanted.bytes / act.bytes
    each = float(block.saved / act.bytes / np.asarray(op.elements))
    back = tuple(replace(b, reads=b.reads - each * (1.0 - ratio)) for b in block.inputs if isinstance(b, Elementwise))
    return replace(
        block, forward=(replace(op, writes=op.writes + each * ratio), *block.forward[1:]), inputs=back,
        saved=block.saved * ratio,
    )  # fmt: skip


def _beside(block: Block, wanted: DType, act: DType, compute: DType, stored: DType) -> Block:
    """Inputs of products and of attention are converted by kernels before them, and back unless a product takes them.

    Scales of whole tensors come from the largest numbers of groups, which kernels before find (COAT, section 5.2:
    group scaling), so that a conversion reads once. Products in a narrower format than weights are stored in convert
    their weights, and the gradients that come in.
    """
    elements, ratio = block.saved / act.bytes, wanted.bytes / act.bytes
    before: list[AnyOperator] = [Elementwise(elements, 1.0, ratio, 4.0, act)]
    back: list[AnyOperator] = []
    product = block.forward[0]
    narrow = isinstance(product, Gemm) and bool(block.weights)
    if not narrow or wanted.compute != compute.compute:
        back.append(Elementwise(elements, ratio, 1.0, 2.0, act))
    if narrow and compute.bytes < stored.bytes:
        assert isinstance(product, Gemm)
        before.append(Elementwise(product.n * product.k, 1.0, compute.bytes / stored.bytes, 2.0, stored))
        back.append(Elementwise(product.m * product.n, 1.0, compute.bytes / act.bytes, 4.0, act))
    return replace(
        block, forward=(*before, *block.forward), inputs=(*back, *block.inputs), saved=elements * wanted.bytes
    )


def _format(block: Block, formats: Kept) -> DType | None:
    """By what the block is: masks of dropout stay as they are."""
    if block.core:
        return formats.attention
    if block.weights:
        return formats.products
    kernel = getattr(block.forward[0], "kernel", "") if block.forward else ""
    return {"norm": formats.norms, "activation": formats.activations}.get(kernel)
