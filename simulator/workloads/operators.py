"""Operators: what there is to compute and to move, as functions of shape.

Every size may be an integer or an array of them; FLOPs and bytes broadcast to the same shape. A
multiply-add counts as two FLOPs. Bytes are those that must cross the device's memory once: operands
read, results written, scales included. Operators know no device and no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.popularity import activation, popularity
from simulator.workloads.products import BitSerial, Chained, DecodeAttention, FullAttention, Lookup, Sparse
from simulator.workloads.span import Span

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
    """y[m, n] = x[m, k] @ w[k, n], for each of `batch` pairs of matrices in one call."""

    kind: ClassVar[str] = "gemm"
    m: Size
    n: Size
    k: Size
    weight: DType = BF16
    activation: DType = BF16
    batch: Size = 1.0

    @property
    def compute(self) -> str:
        return self.weight.compute

    def flops(self) -> Size:
        return 2.0 * self.m * self.n * self.k * self.batch

    def bytes(self) -> Size:
        each = self.n * self.k * self.weight.bytes + self.m * (self.n + self.k) * self.activation.bytes
        return each * self.batch


@dataclass(frozen=True, slots=True)
class Convolution:
    """A window of `window` numbers a channel moved over `batch` images (or sequences, or volumes).

    It reads `read` positions of each of `channels` channels, multiplies at `positions` and writes `written` (None: as
    many) of each of `filters` filters. Each of `groups` groups sees `channels / groups` input channels (as many groups
    as channels: depth-wise). A transposed convolution multiplies at the positions that it reads.
    """

    kind: ClassVar[str] = "convolution"
    batch: Size
    channels: Size
    filters: Size
    read: Size
    positions: Size
    window: Size
    groups: Size = 1.0
    weight: DType = BF16
    activation: DType = BF16
    written: Size | None = None

    @classmethod
    def square(
        cls,
        batch: Size,
        channels: Size,
        filters: Size,
        height: Size,
        width: Size,
        kernel: Size,
        stride: Size = 1.0,
        groups: Size = 1.0,
        weight: DType = BF16,
        activation: DType = BF16,
    ) -> Convolution:
        """A square window over images, edges padded so that stride 1 keeps their size."""
        positions = np.ceil(height / stride) * np.ceil(width / stride)
        return cls(batch, channels, filters, height * width, positions, kernel * kernel, groups, weight, activation)

    @property
    def compute(self) -> str:
        return self.weight.compute

    @property
    def product(self) -> tuple[Size, Size, Size]:
        """Rows, columns and inner size of the matrix product that each group's convolution is."""
        return self.batch * self.positions, self.filters / self.groups, self.channels / self.groups * self.window

    @property
    def results(self) -> Size:
        """Numbers that are written."""
        return self.batch * self.filters * (self.positions if self.written is None else self.written)

    def flops(self) -> Size:
        m, n, k = self.product
        return 2.0 * m * n * k * self.groups

    def bytes(self) -> Size:
        _, n, k = self.product
        images = self.batch * self.channels * self.read
        return n * k * self.groups * self.weight.bytes + (images + self.results) * self.activation.bytes


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts of a layer on one of `ranks` ranks that share them: up, activation, down, routing included.

    `tokens` are those of all ranks, each sent to `top_k` of `experts` experts; `intermediate` is this rank's width
    of an expert. `distribution` says how tokens fall on experts (see `simulator.hardware.kernels.experts`), `busiest`
    how many times the mean load the rank has that the others wait for.
    """

    kind: ClassVar[str] = "experts"
    tokens: Size
    hidden: Size
    intermediate: Size
    top_k: Size
    experts: Size
    ranks: Size = 1.0
    gated: bool = True
    weight: DType = BF16
    activation: DType = BF16
    distribution: str = "random"
    busiest: float = 1.0

    @property
    def compute(self) -> str:
        return self.weight.compute

    @property
    def visits(self) -> Size:
        """(token, expert) pairs of this rank."""
        return self.tokens * self.top_k / self.ranks * self.busiest

    @property
    def rarest(self) -> float:
        """Chance that a token visits the least popular expert."""
        if not self.distribution.startswith("zipf_"):
            return float(self.top_k / self.experts)
        return float(min(self.top_k * popularity(int(self.experts), self._skew)[-1], 1.0))

    @property
    def _skew(self) -> float:
        return float(self.distribution.rsplit("_", 1)[-1])

    def active(self) -> Size:
        """Expected experts of this rank that some token visits: 1 - (1 - k/E)^T of them, fewer with a skew."""
        if self.distribution.startswith("zipf_"):
            chances = popularity(int(self.experts), self._skew)
            visited = activation(np.asarray(self.tokens, dtype=np.float64), float(self.top_k), chances)
            return np.asarray(visited.sum(axis=-1) / self.ranks)
        return self.experts / self.ranks * (1.0 - (1.0 - self.top_k / self.experts) ** np.asarray(self.tokens))

    def flops(self) -> Size:
        return 2.0 * self.visits * self.hidden * self.intermediate * (3.0 if self.gated else 2.0)

    def bytes(self) -> Size:
        weights = self.active() * self.hidden * self.intermediate * (3.0 if self.gated else 2.0) * self.weight.bytes
        return weights + self.visits * 2.0 * (self.hidden + self.intermediate) * self.activation.bytes


@dataclass(frozen=True, slots=True)
class HeadShape:
    """Heads of attention on one device: query and key heads, their widths, and what one cached token holds.

    `kv_elements` numbers of a token are read for all heads together; in latent attention (`latent`) all heads
    share one vector.
    """

    q_heads: Any
    kv_heads: Any
    qk_dim: Any
    v_dim: Any
    kv_elements: Any
    activation: DType = BF16
    kv: DType = BF16
    latent: bool = False

    @property
    def activation_bytes(self) -> float:
        return self.activation.bytes

    @property
    def kv_bytes(self) -> float:
        return self.kv.bytes

    @property
    def format(self) -> str:
        """Arithmetic and cache format, such as "bf16/fp8"."""
        return f"{self.activation.name}/{self.kv.name}"


@dataclass(frozen=True, slots=True)
class Attention:
    """Softmax attention of one iteration in one layer on one device, fused (no score matrix in memory).

    `chunks` lists prompt chunks as (cached, new) tokens; `sequences` decoding sequences attend to `attended`
    tokens in all. A device does `share` of it where attention is data-parallel.
    """

    kind: ClassVar[str] = "attention"
    span: Span
    prompt: HeadShape
    decode: HeadShape
    chunks: tuple[tuple[int, int], ...] = ()
    sequences: float = 0.0
    attended: float = 0.0
    share: float = 1.0

    @property
    def compute(self) -> str:
        return self.prompt.activation.compute

    def prompt_flops(self) -> float:
        pairs = sum(self.span.pairs(cached, new) for cached, new in self.chunks)
        return self.share * 2.0 * pairs * float(self.prompt.q_heads * (self.prompt.qk_dim + self.prompt.v_dim))

    def decode_flops(self) -> float:
        return self.share * 2.0 * self.attended * float(self.decode.q_heads * (self.decode.qk_dim + self.decode.v_dim))

    def prompt_bytes(self) -> float:
        read = sum(self.span.context(cached, new) for cached, new in self.chunks)
        return self.share * (_cache(self.prompt, read) + _rows(self.prompt, sum(new for _, new in self.chunks)))

    def decode_bytes(self) -> float:
        return self.share * (_cache(self.decode, self.attended) + _rows(self.decode, self.sequences))

    def flops(self) -> Size:
        return self.prompt_flops() + self.decode_flops()

    def bytes(self) -> Size:
        return self.prompt_bytes() + self.decode_bytes()


def _cache(shape: HeadShape, tokens: float) -> float:
    return tokens * float(shape.kv_elements) * shape.kv_bytes


def _rows(shape: HeadShape, tokens: float) -> float:
    return tokens * float(shape.q_heads * (shape.qk_dim + shape.v_dim)) * shape.activation_bytes


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
class Collective:
    """A collective operation of `world` ranks; `message` is the bytes of one rank's full input or output.

    The ranks are `stride` devices apart, so that only every so many share a node.

    `pattern` is "all_reduce", "all_gather", "reduce_scatter", "all_to_all" or "send_recv", which passes the message
    to a neighbour (world 2), or one place on in a ring of `world` ranks.
    """

    pattern: str
    message: Size
    world: int
    stride: int = 1
    kind: ClassVar[str] = "collective"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return 0.0 * self.message

    def bytes(self) -> Size:
        return self.message


@dataclass(frozen=True, slots=True)
class HostCopy:
    """`message` bytes copied from host memory to the device, in so many `transfers`."""

    message: Size
    transfers: Size
    kind: ClassVar[str] = "host_copy"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return 0.0 * self.message

    def bytes(self) -> Size:
        return self.message


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


@dataclass(frozen=True, slots=True)
class Send:
    """A transfer in one direction of a device's links; transfers of different `lane`s may use different links."""

    transfer: Collective
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Round:
    """`work`, one operator after the other, beside which `sends` are under way; run `times` times in a row."""

    work: tuple[AnyOperator, ...] = ()
    sends: tuple[Send, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True)
class Rounds:
    """Work in rounds that each take as long as the longer of computing and sending, as in ring attention."""

    rounds: tuple[Round, ...]
    kind: ClassVar[str] = "rounds"

    @property
    def compute(self) -> str:
        return "fp32"

    def leaves(self) -> Iterator[tuple[AnyOperator, int]]:
        """The operators computed in all rounds, and how often each."""
        for each in self.rounds:
            for op in each.work:
                inner = op.leaves() if isinstance(op, Rounds) else [(op, 1)]
                yield from ((leaf, count * each.times) for leaf, count in inner)

    def transfers(self) -> Iterator[tuple[Collective, int]]:
        """What a device sends in all rounds, and how often."""
        for each in self.rounds:
            yield from ((send.transfer, each.times) for send in each.sends)
            for op in each.work:
                if isinstance(op, Rounds):
                    yield from ((inner, count * each.times) for inner, count in op.transfers())

    def flops(self) -> Size:
        return sum((op.flops() * count for op, count in self.leaves()), 0.0)

    def bytes(self) -> Size:
        return sum((op.bytes() * count for op, count in self.leaves()), 0.0)


@dataclass(frozen=True, slots=True)
class Fused:
    """`main` and, on its results while they are in registers, `more_flops` of other operators.

    These read and write `more_bytes` on top of what `main` moves (less than none where results shrink).
    """

    main: AnyOperator
    more_flops: Size
    more_bytes: Size
    kind: ClassVar[str] = "fused"

    @property
    def compute(self) -> str:
        return self.main.compute

    def flops(self) -> Size:
        return self.main.flops() + self.more_flops

    def bytes(self) -> Size:
        return self.main.bytes() + self.more_bytes


AnyOperator = (
    Gemm
    | Convolution
    | Experts
    | Attention
    | Elementwise
    | Gather
    | Aggregation
    | Collective
    | HostCopy
    | LowRank
    | Rounds
    | Fused
    | Sparse
    | BitSerial
    | Lookup
    | Chained
    | FullAttention
    | DecodeAttention
)


def main_of(op: AnyOperator) -> AnyOperator:
    """The kernel that others have joined, or the operator itself."""
    while isinstance(op, Fused):
        op = op.main
    return op


@dataclass(frozen=True, slots=True)
class Call:
    """One operator of a graph, run `count` times in a row (once a layer, say)."""

    name: str
    op: AnyOperator
    count: int = 1
