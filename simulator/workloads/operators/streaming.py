"""Operators that do little arithmetic on what they read: element by element, by rows looked up, along edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.workloads.dtypes import DType
from simulator.workloads.operators.base import BF16, Size


@dataclass(frozen=True, slots=True)
class Elementwise:
    """Norms, activations, rotary embedding, residual sums: `reads` + `writes` numbers moved for each element.

    `kernel` names the curve that times it: "norm", "activation", "rotary", "sampling" or "elementwise".
    """

    elements: Size
    reads: Size
    writes: Size
    flops_per_element: Size = 1.0
    activation: DType = BF16
    kernel: str = "elementwise"
    kind: ClassVar[str] = "streaming"

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
    kernel: str = "gather"
    kind: ClassVar[str] = "streaming"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return 0.0 * self.rows

    def bytes(self) -> Size:
        return 2.0 * self.rows * self.columns * self.activation.bytes


@dataclass(frozen=True, slots=True)
class Aggregation:
    """Sum over a graph's edges: each of `vertices` gets the weighted sum of its neighbours' `columns` numbers.

    A sparse product in rows (CSR); every edge reads its neighbour's row, a column index and a weight of 4 bytes each.
    """

    edges: Size
    vertices: Size
    columns: Size
    activation: DType = BF16
    kernel: str = "gather"
    kind: ClassVar[str] = "streaming"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return 2.0 * self.edges * self.columns

    def bytes(self) -> Size:
        rows = (self.edges + self.vertices) * self.columns * self.activation.bytes
        return rows + 8.0 * self.edges + 4.0 * self.vertices


@dataclass(frozen=True, slots=True)
class LowRank:
    """One side of the LoRA products of a batch, each token with its own adapter's matrix, in one gathered kernel.

    `tokens` tokens have adapters, whose ranks add up to `token_ranks` over the tokens and to `ranks` over the distinct
    adapters. Between `width` and the rank, down or `up`; up adds to what the base model's product has written. Ranks
    are not padded to the largest (BGMV and SGMV, Punica, arXiv:2310.18547; MBGMM and MBGMV, S-LoRA, arXiv:2311.03285).
    """

    tokens: Size
    token_ranks: Size
    ranks: Size
    width: Size
    up: bool = False
    activation: DType = BF16
    kernel: str = "gather"
    kind: ClassVar[str] = "streaming"

    @property
    def compute(self) -> str:
        return self.activation.compute

    def flops(self) -> Size:
        return 2.0 * self.token_ranks * self.width

    def bytes(self) -> Size:
        rows = self.tokens * self.width * (2.0 if self.up else 1.0)
        return (self.ranks * self.width + rows + self.token_ranks) * self.activation.bytes
