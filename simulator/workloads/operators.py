"""Operators: what there is to compute and to move, as functions of shape.

Every size may be an integer or an array of them; FLOPs and bytes broadcast to the same shape. A
multiply-add counts as two FLOPs. Bytes are those that must cross the device's memory once: operands
read, results written, scales included. Operators know no device and no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.dtypes import DTYPES, DType

Size = float | NDArray[np.floating[Any]]
BF16 = DTYPES["bf16"]


class Operator(Protocol):
    """What the timing law needs: a kind to look its curve up by, the arithmetic format, FLOPs and bytes."""

    kind: ClassVar[str]

    @property
    def compute(self) -> str:
        """Name of the format whose arithmetic units do the work."""
        ...

    def flops(self) -> Size: ...

    def bytes(self) -> Size: ...


@dataclass(frozen=True, slots=True)
class Gemm:
    """y[m, n] = x[m, k] @ w[k, n]."""

    kind: ClassVar[str] = "gemm"
    m: Size
    n: Size
    k: Size
    weight: DType = BF16
    activation: DType = BF16

    @property
    def compute(self) -> str:
        return self.weight.compute

    def flops(self) -> Size:
        return 2.0 * self.m * self.n * self.k

    def bytes(self) -> Size:
        return self.n * self.k * self.weight.bytes + self.m * (self.n + self.k) * self.activation.bytes


@dataclass(frozen=True, slots=True)
class ExpertGemm:
    """The same matrix product over `active` experts at once; `m` counts (token, expert) pairs of all of them."""

    kind: ClassVar[str] = "moe"
    m: Size
    n: Size
    k: Size
    active: Size
    weight: DType = BF16
    activation: DType = BF16

    @property
    def compute(self) -> str:
        return self.weight.compute

    def flops(self) -> Size:
        return 2.0 * self.m * self.n * self.k

    def bytes(self) -> Size:
        weights = self.active * self.n * self.k * self.weight.bytes
        return weights + self.m * (self.n + self.k) * self.activation.bytes


@dataclass(frozen=True, slots=True)
class Attention:
    """Softmax attention over a batch, fused (no score matrix in memory).

    `pairs` is the number of (query token, attended token) pairs, `queries` of query tokens and `context` of
    cached tokens read; `qk_dim` and `v_dim` are per query head, `kv_elements` the numbers of one cached token.
    """

    pairs: Size
    queries: Size
    context: Size
    q_heads: float
    qk_dim: int
    v_dim: int
    kv_elements: float
    decode: bool
    activation: DType = BF16
    kv: DType = BF16
    kind: ClassVar[str] = "attention"

    @property
    def compute(self) -> str:
        return self.activation.compute

    def flops(self) -> Size:
        return 2.0 * self.pairs * self.q_heads * (self.qk_dim + self.v_dim)

    def bytes(self) -> Size:
        moved = self.queries * self.q_heads * (self.qk_dim + self.v_dim) * self.activation.bytes
        return self.context * self.kv_elements * self.kv.bytes + moved


@dataclass(frozen=True, slots=True)
class Elementwise:
    """Norms, activations, rotary embedding, residual sums: `reads` + `writes` numbers moved for each element."""

    elements: Size
    reads: float
    writes: float
    flops_per_element: float = 1.0
    activation: DType = BF16
    kind: ClassVar[str] = "elementwise"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return self.elements * self.flops_per_element

    def bytes(self) -> Size:
        return self.elements * (self.reads + self.writes) * self.activation.bytes


@dataclass(frozen=True, slots=True)
class Gather:
    """`rows` rows of `columns` numbers picked out of a table (embedding) and written in order."""

    rows: Size
    columns: float
    activation: DType = BF16
    kind: ClassVar[str] = "gather"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return 0.0 * self.rows

    def bytes(self) -> Size:
        return 2.0 * self.rows * self.columns * self.activation.bytes


@dataclass(frozen=True, slots=True)
class Collective:
    """A collective operation of `world` ranks; `message` is the bytes of one rank's full input or output.

    `pattern` is "all_reduce", "all_gather", "reduce_scatter", "all_to_all" or "send_recv" (world 2).
    """

    pattern: str
    message: Size
    world: int
    kind: ClassVar[str] = "collective"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return 0.0 * self.message

    def bytes(self) -> Size:
        return self.message


AnyOperator = Gemm | ExpertGemm | Attention | Elementwise | Gather | Collective


@dataclass(frozen=True, slots=True)
class Call:
    """One operator of a graph, run `count` times in a row (once a layer, say)."""

    name: str
    op: AnyOperator
    count: int = 1
