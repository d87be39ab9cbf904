"""Operators: what there is to compute and to move, as functions of shape.

Every size may be an integer or an array of them; FLOPs and bytes broadcast to the same shape. A
multiply-add counts as two FLOPs. Bytes are those that must cross the device's memory once: operands
read, results written, scales included. Operators know no device and no time.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.operators.attention import Attention, HeadShape
from simulator.workloads.operators.base import BF16, Operator, Size
from simulator.workloads.operators.communication import Collective, HostCopy
from simulator.workloads.operators.composed import Fused, Round, Rounds, Send, main_of
from simulator.workloads.operators.dense import Convolution, Experts, Gemm
from simulator.workloads.operators.products import BitSerial, Chained, DecodeAttention, FullAttention, Lookup, Sparse
from simulator.workloads.operators.streaming import Aggregation, Elementwise, Gather, LowRank

__all__ = [
    "BF16",
    "Aggregation",
    "AnyOperator",
    "Attention",
    "BitSerial",
    "Call",
    "Chained",
    "Collective",
    "Convolution",
    "DecodeAttention",
    "Elementwise",
    "Experts",
    "FullAttention",
    "Fused",
    "Gather",
    "Gemm",
    "HeadShape",
    "HostCopy",
    "Lookup",
    "LowRank",
    "Operator",
    "Round",
    "Rounds",
    "Send",
    "Size",
    "Sparse",
    "main_of",
]

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


@dataclass(frozen=True, slots=True)
class Call:
    """One operator of a graph, run `count` times in a row (once a layer, say)."""

    name: str
    op: AnyOperator
    count: int = 1
