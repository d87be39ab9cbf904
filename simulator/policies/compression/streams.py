"""Operators that compression is made of, with what they move counted in numbers of four bytes."""

from __future__ import annotations

from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Elementwise, Gather

FP32 = DTYPES["fp32"]
INDEX = 4.0  # bytes of the place of a number


def stream(elements: float, read: float, written: float, flops: float = 1.0) -> Elementwise:
    """An elementwise kernel that reads and writes so many bytes of each element."""
    return Elementwise(elements, read / FP32.bytes, written / FP32.bytes, flops, FP32)


def scattered(elements: float) -> Gather:
    """Numbers picked from, or added to, places of their own: one memory sector each (eight numbers of four bytes)."""
    return Gather(elements, 8.0, FP32)
