"""Products that are done otherwise than by multiplying whole matrices one at a time.

With weights of which some are zero, bit by bit, by looking sums up in tables, several in one kernel, and softmax
attention without its scores in memory, of whole sequences or of new tokens over a cache. Sizes, FLOPs and bytes as in
`simulator.workloads.operators`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from simulator.workloads.dtypes import DType

if TYPE_CHECKING:
    from simulator.workloads.operators import AnyOperator, Convolution, Gemm, Size
    from simulator.workloads.sparsity import Pattern


def weights_of(product: Gemm | Convolution) -> Size:
    """Numbers of a product's second factor."""
    if product.kind == "gemm":
        return product.n * product.k * product.batch  # type: ignore[union-attr]
    _, n, k = product.product  # type: ignore[union-attr]
    return n * k * product.groups  # type: ignore[union-attr]


def inputs_of(product: Gemm | Convolution) -> Size:
    """Numbers of a product's first factor, those of overlapping windows as often as they are multiplied."""
    if product.kind == "gemm":
        return product.m * product.k * product.batch  # type: ignore[union-attr]
    m, _, k = product.product  # type: ignore[union-attr]
    return m * k * product.groups  # type: ignore[union-attr]


@dataclass(frozen=True, slots=True)
class Sparse:
    """`main` with the share `density` of its weights, stored as `pattern` says.

    Kernels that are `dense` load what is stored, spread it out on the chip and multiply the zeros too ("load as sparse,
    compute as dense", Flash-LLM, arXiv:2309.10285); others leave the zeros out.
    """

    kind: ClassVar[str] = "sparse"
    main: Gemm | Convolution
    density: Size
    pattern: Pattern
    dense: bool = False

    @property
    def compute(self) -> str:
        return self.main.compute

    @property
    def macs(self) -> Size:
        """Multiply-adds with weights other than zero."""
        return self.main.flops() / 2.0 * self.density

    def flops(self) -> Size:
        return self.main.flops() * (1.0 if self.dense else self.density)

    def bytes(self) -> Size:
        stored = self.main.weight
        bits = self.pattern.stored_bits(self.density, 8.0 * stored.bytes)
        return self.main.bytes() + weights_of(self.main) * (bits / 8.0 - stored.bytes)


@dataclass(frozen=True, slots=True)
class BitSerial:
    """`main` as one product of single bits for each pair of a weight's and an input's bits: `planes` pairs.

    Products of bits are XNOR and population count (XNOR-Net, arXiv:1603.05279); wider numbers add shifted ones up
    (APNN-TC, arXiv:2106.12169, 3; DLRT, arXiv:2207.08820).
    """

    kind: ClassVar[str] = "bit-serial"
    main: Gemm | Convolution
    planes: float = 1.0

    @property
    def compute(self) -> str:
        return "binary"

    @property
    def macs(self) -> Size:
        return self.main.flops() / 2.0

    def flops(self) -> Size:
        return self.main.flops() * self.planes

    def bytes(self) -> Size:
        return self.main.bytes()


@dataclass(frozen=True, slots=True)
class Lookup:
    """`main` by tables: sums of each `group` inputs for all signs, looked up once for each of the weights' `bits`.

    T-MAC (arXiv:2407.00088, 3): one bit of `group` weights is an index; half a table is kept, as the other half is its
    negative. Tables stay in registers or on the chip.
    """

    kind: ClassVar[str] = "lookup"
    main: Gemm | Convolution
    bits: float
    group: int = 4

    @property
    def compute(self) -> str:
        return "fp32"

    @property
    def macs(self) -> Size:
        return self.main.flops() / 2.0

    @property
    def lookups(self) -> Size:
        """Entries read, each of which is added to a sum."""
        return self.macs * self.bits / self.group

    @property
    def entries(self) -> Size:
        """Entries of all tables, each the sum or the difference of an earlier one and an input."""
        tables: Size = inputs_of(self.main) / self.group
        return tables * float(2 ** (self.group - 1))

    def flops(self) -> Size:
        return self.lookups + self.entries

    def bytes(self) -> Size:
        return self.main.bytes()


@dataclass(frozen=True, slots=True)
class Chained:
    """Products in one kernel, tile by tile, whose results in between stay on the chip; `moved` bytes do not.

    Each of `parts` is a product and how many times its work it does, as tiles need edges that their neighbours compute
    too. `more_flops` are those of pointwise operators between them.
    """

    kind: ClassVar[str] = "chained"
    parts: tuple[tuple[AnyOperator, float], ...]
    moved: Size
    more_flops: Size = 0.0

    @property
    def compute(self) -> str:
        return self.parts[0][0].compute

    def flops(self) -> Size:
        return sum((op.flops() * times for op, times in self.parts), 0.0) + self.more_flops

    def bytes(self) -> Size:
        return self.moved


@dataclass(frozen=True, slots=True)
class FullAttention:
    """Softmax attention in which every token looks at `attended` others, in one kernel: no scores in memory.

    For each of `heads` (times the batch) `tokens` queries; keys and values are read once from memory and from the
    cache for each tile of queries (FlashAttention, arXiv:2205.14135, algorithm 1).
    """

    kind: ClassVar[str] = "full-attention"
    heads: Size
    tokens: Size
    keys: Size
    attended: Size
    qk_width: Size
    v_width: Size
    activation: DType
    kv_heads: Size

    @property
    def compute(self) -> str:
        return self.activation.compute

    @property
    def macs(self) -> Size:
        return self.heads * self.tokens * self.attended * (self.qk_width + self.v_width)

    def flops(self) -> Size:
        """Both products and five operations a score for the softmax."""
        return 2.0 * self.macs + 5.0 * self.heads * self.tokens * self.attended

    def bytes(self) -> Size:
        width = self.qk_width + self.v_width
        return (self.heads * self.tokens + self.kv_heads * self.keys) * width * self.activation.bytes


@dataclass(frozen=True, slots=True)
class DecodeAttention:
    """Attention of a few new tokens over a long cache in one kernel, by how it is dealt to a device's units.

    Of each of `sequences` each of `kv_heads` is one piece of work for `group` queries that share it; pieces are dealt
    whole ("heads"), cut into equal parts with a kernel that combines them ("keys", Flash-Decoding), or cut where a
    unit's equal share of all tiles ends ("even": stream-K, LeanAttention, arXiv:2405.10480).
    """

    kind: ClassVar[str] = "decode-attention"
    sequences: Size
    kv_heads: Size
    group: Size
    keys: Size
    qk_width: Size
    v_width: Size
    activation: DType
    cache: DType
    split: str = "keys"

    @property
    def compute(self) -> str:
        return self.activation.compute

    @property
    def pieces(self) -> Size:
        return self.sequences * self.kv_heads

    @property
    def macs(self) -> Size:
        return self.pieces * self.group * self.keys * (self.qk_width + self.v_width)

    def flops(self) -> Size:
        """Both products and five operations a score for the softmax."""
        return 2.0 * self.macs + 5.0 * self.pieces * self.group * self.keys

    def bytes(self) -> Size:
        """The cache once, queries and results."""
        each = self.keys * self.cache.bytes + self.group * self.activation.bytes
        return self.pieces * (self.qk_width + self.v_width) * each


AnyProduct = Sparse | BitSerial | Lookup | Chained | FullAttention | DecodeAttention
