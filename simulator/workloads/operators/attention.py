"""Attention over a cache: the shape of its heads, and the work of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from simulator.workloads.dtypes import DType
from simulator.workloads.operators.base import BF16, Size
from simulator.workloads.span import Span


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
