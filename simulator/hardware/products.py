"""What a device makes of products with zeros, of single bits, by tables, in chains, and of fused attention.

Each rests on the device's own roofs and on counts of instructions; none is measured here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.hardware.decode_attention import decode_attention_roofs
from simulator.hardware.kernels import Roofs
from simulator.hardware.kernels.attention import SMALLEST_TILE, Work
from simulator.hardware.kernels.machine import quicker
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import AnyOperator, HeadShape, Size, main_of
from simulator.workloads.operators.products import (
    AnyProduct,
    BitSerial,
    Chained,
    DecodeAttention,
    FullAttention,
    Lookup,
    Sparse,
)

if TYPE_CHECKING:
    from simulator.hardware.law import TimingLaw

# Tensor cores that skip two of every four weights (NVIDIA Ampere whitepaper, 2020, and its successors').
TWO_OF_FOUR = ("ampere", "ada", "hopper", "blackwell")
# Tensor cores that multiply single bits, at eight times the rate of int8 (NVIDIA A100 whitepaper, table 3; CUDA C++
# guide, sub-byte operations).
SINGLE_BITS, BITS_OVER_INT8 = ("turing", "ampere"), 8.0
# Vector units of GPUs reach 27 % of their fp32 peak on unstructured weights (Sputnik, arXiv:2006.10901, abstract).
UNSTRUCTURED_GPU = 0.27
BLOCK_ON_TENSOR_CORES = 16  # blocks of so many outputs and inputs fill a tensor core's instruction
VECTORS = 4  # vector registers of outputs that a sparse CPU kernel holds (XNNPACK, 16 numbers wide)
XNOR_INSTRUCTIONS = 3  # exclusive or, population count, add, on vectors of bits
# A look-up of a vector of bytes, and additions of its halves to wider sums (T-MAC, arXiv:2407.00088, 4).
LOOKUP_INSTRUCTIONS = 3
# Share of peak that attention without a mask reaches at most (FlashAttention-2, arXiv:2307.08691, abstract); curves are
# of kernels with a causal mask, which skip a part of what is counted as theirs.
FULL_ATTENTION = 0.73
BANKS = 32  # table entries that one unit of a GPU reads a cycle from shared memory (CUDA C++ programming guide)


def by_instructions(op: AnyOperator) -> bool:
    """Whether a processor's own kernel of an operator is timed here by its instructions."""
    return isinstance(main_of(op), Sparse | BitSerial | Lookup | Chained)


def product_roofs(law: TimingLaw, op: AnyProduct) -> Roofs:
    """Seconds under each roof of one call."""
    if isinstance(op, Sparse):
        return _sparse(law, op)
    if isinstance(op, BitSerial):
        return _bit_serial(law, op)
    if isinstance(op, Lookup):
        return _lookup(law, op)
    if isinstance(op, DecodeAttention):
        return decode_attention_roofs(law, op)
    return _chained(law, op) if isinstance(op, Chained) else _full_attention(law, op)


def _sparse(law: TimingLaw, op: Sparse) -> Roofs:
    dense = law.roofs(op.main)
    memory = dense.memory * (op.bytes() / op.main.bytes())
    return Roofs(_sparse_compute(law, op, dense.compute), memory, dense.overhead, dense.sharpness)


def _sparse_compute(law: TimingLaw, op: Sparse, dense: Size) -> Size:
    """By what the units can skip: half of 2:4, whole blocks, or single weights on vector units; else nothing."""
    device, pattern = law.device, op.pattern
    if op.dense:
        return dense
    if device.kind == "gpu":
        if pattern.n_of_m:
            skips = device.generation in TWO_OF_FOUR and 2 * pattern.kept <= pattern.of
            return dense * (0.5 if skips else 1.0)
        if min(pattern.rows, pattern.columns) >= BLOCK_ON_TENSOR_CORES:
            return dense * op.density
        return op.flops() / (law.peak("fp32") * UNSTRUCTURED_GPU)
    if device.kind == "cpu":
        return op.flops() / (law.peak(op.compute) * multiplying_share(pattern.rows))
    return dense


def multiplying_share(rows: int) -> float:
    """Share of a sparse CPU kernel's instructions that multiply, for blocks of so many output channels.

    For each block: `VECTORS` loads of inputs, a load of each weight and of a place, then every weight times every
    vector (Fast Sparse ConvNets, arXiv:1911.09723, 3.1).
    """
    products = VECTORS * rows
    return products / (products + VECTORS + rows + 1)


def _bit_serial(law: TimingLaw, op: BitSerial) -> Roofs:
    """On vector units of a CPU 128 (or as many as fit) bits an instruction; on others whole bytes are multiplied.

    Tensor cores that multiply bits have so much more arithmetic; what feeds them stays.
    """
    as_bytes = replace(op.main.weight, compute="int8")
    dense = law.roofs(replace(op.main, weight=as_bytes))
    compute, memory = dense.compute, dense.memory
    if law.device.kind == "cpu":
        # an fp32 lane holds 32 bits, and a fused multiply-add counts twice as a product of bits does
        share = law.calibrations.find("gemm", "fp32").curve.compute
        compute = op.flops() / (law.peak("fp32") * 32.0 / XNOR_INSTRUCTIONS * share)
    elif law.device.generation in SINGLE_BITS:
        compute = (
            _with_peak(law, "int8", law.peak("int8") * BITS_OVER_INT8 / op.planes)
            .roofs(replace(op.main, weight=as_bytes))
            .compute
        )
    if law.device.architecture is not None:
        # caches and registers hold planes, a bit of each pair where a whole product takes a byte
        least = op.bytes() / law.device.memory_bandwidth
        memory = np.maximum(memory * np.minimum(op.planes / 8.0, 1.0), least)
    return Roofs(compute, memory, dense.overhead, dense.sharpness)


def _with_peak(law: TimingLaw, compute: str, peak: float) -> TimingLaw:
    """The law of a device whose peak of one format is another."""
    return replace(law, device=replace(law.device, peak_flops={**law.device.peak_flops, compute: peak}))


def _lookup(law: TimingLaw, op: Lookup) -> Roofs:
    """Look-ups a second by the bytes of all vector lanes of a CPU, or by the banks of a GPU's shared memory."""
    stored = replace(op.main.weight, compute="int8")  # indices and entries of tables are bytes
    dense = law.roofs(replace(op.main, weight=stored))
    added = law.peak("fp32") / 2.0
    rate = 4.0 * added / LOOKUP_INSTRUCTIONS if law.device.kind == "cpu" else law.machine.cycles * BANKS
    share = law.calibrations.find("gemm", "fp32").curve.compute
    compute = (op.lookups / rate + op.entries / added) / share
    return Roofs(compute, dense.memory, dense.overhead, dense.sharpness)


def _chained(law: TimingLaw, op: Chained) -> Roofs:
    """Arithmetic of all parts, traffic of what leaves the chip at the parts' speed, one launch."""
    parts = [(law.roofs(part), part.bytes(), times) for part, times in op.parts]
    compute = sum((r.compute * times for r, _, times in parts), 0.0) + op.more_flops / law.peak("fp32")
    memory = sum((r.memory for r, _, _ in parts), 0.0) * (op.moved / sum((b for _, b, _ in parts), 0.0))
    overhead: Size = 0.0
    for roofs, _, _ in parts:
        overhead = np.maximum(overhead, roofs.overhead)
    return Roofs(compute, memory, overhead, parts[0][0].sharpness)


def _full_attention(law: TimingLaw, op: FullAttention) -> Roofs:
    """Every tile of queries meets all the keys that it looks at, by the curve of prompts.

    A single query fills no tile: its keys are split over the units, by the curve of decoding.
    """
    activation = op.activation if op.activation.name in DTYPES else DTYPES["bf16"]
    both: Any = op.qk_width + op.v_width
    shape = HeadShape(op.heads, op.kv_heads, op.qk_width, op.v_width, both * op.kv_heads, activation, activation)
    known = law.calibrations.find("attention", shape.format)
    curve = known.curve
    tokens = np.asarray(op.tokens, dtype=np.float64)
    tile = np.clip(2.0 ** np.ceil(np.log2(tokens)), SMALLEST_TILE, curve.rows)
    tiles: Any = np.ceil(tokens / tile)
    width = both * activation.bytes
    row_keys: Any = op.heads * tile * tiles * op.attended
    keys: Any = op.kv_heads * op.keys * width
    queries: Any = op.heads * op.tokens * width
    longest: Any = op.attended * (tile / curve.rows)  # the curve's tail is of a whole tile
    work = Work(row_keys, tiles * op.heads, keys, queries, longest)
    costs = curve.costs(shape, peak=law.peak(op.compute), machine=law.machine)
    roofs: Callable[[Work], Roofs] = costs.roofs
    found = roofs(work)
    least = 2.0 * op.macs / (law.peak(op.compute) * FULL_ATTENTION)
    found = replace(found, compute=np.maximum(found.compute, least))
    found = found.overlapped(known.hidden(law.overlap), law.factors.get("attention", 1.0))
    single = np.asarray(op.tokens) == 1
    return quicker(found, law.attention(shape, shape).decoding(1.0, op.attended), single) if single.any() else found
