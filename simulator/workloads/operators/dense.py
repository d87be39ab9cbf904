"""Products of whole matrices: plain, of the windows of a convolution, and of the experts that tokens choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.workloads.dtypes import DType
from simulator.workloads.operators.base import BF16, Size
from simulator.workloads.popularity import activation, popularity


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
