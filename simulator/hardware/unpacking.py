"""What processors do to weights of a few bits before they multiply: no instruction of theirs takes such numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Gemm, main_of

if TYPE_CHECKING:
    from simulator.hardware.law import TimingLaw

# For each vector of 8-bit numbers: a mask or shift, an offset, and the sum's conversion and product with its block's
# scale (llama.cpp, ggml-cpu/arch/arm/quants.c, ggml_vec_dot_q4_0_q8_0). Fewer bits take no fewer.
UNPACKING_INSTRUCTIONS = 4
ROWS = 4  # rows of inputs that weights are unpacked for at once (llamafile, tinyBLAS)


def unpacked(op: AnyOperator) -> bool:
    """Whether a product has weights that a processor unpacks."""
    leaf = main_of(op)
    return isinstance(leaf, Gemm) and leaf.weight.bits < 8 and leaf.weight.compute != "binary"


def with_unpacking(law: TimingLaw, op: AnyOperator, roofs: Roofs) -> Roofs:
    """The roofs with the instructions that spread weights of fewer than eight bits out to whole bytes."""
    leaf = main_of(op)
    if not isinstance(leaf, Gemm) or not unpacked(leaf):
        return roofs
    # an fp32 lane holds four bytes, and a fused multiply-add counts as two operations
    rate = 4.0 * law.peak("fp32") / 2.0 / UNPACKING_INSTRUCTIONS
    share = law.calibrations.find("gemm", "fp32").curve.compute
    passes = np.ceil(np.asarray(leaf.m) / ROWS)
    return replace(roofs, compute=roofs.compute + leaf.n * leaf.k * leaf.batch * passes / (rate * share))
