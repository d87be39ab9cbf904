"""Tensors of an operator graph: shape, number format, and how many of a weight's numbers are there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import mul

from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.operators import Size
from simulator.workloads.sparsity import pattern

Shape = tuple[Size, ...]
FP32 = DTYPES["fp32"]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A named array. Dimensions are numbers, or arrays of them over candidates that are looked at side by side.

    Of a weight only the share `density` of numbers is other than zero, where `pattern` says ("unstructured", "2:4",
    "block", ...); "dense" stores them all.
    """

    name: str
    shape: Shape
    dtype: DType = FP32
    weight: bool = False
    density: Size = 1.0
    pattern: str = "dense"

    @property
    def elements(self) -> Size:
        """Numbers in the array, zeros included."""
        return product(self.shape)

    @property
    def bytes(self) -> Size:
        """Bytes of the array as it is stored dense, scales included."""
        return self.elements * self.dtype.bytes

    @property
    def stored_bytes(self) -> Size:
        """Bytes as a weight is kept: numbers other than zero, and where they are."""
        return self.elements * pattern(self.pattern).stored_bits(self.density, 8.0 * self.dtype.bytes) / 8.0


def product(shape: Shape) -> Size:
    """Elements of an array of this shape; 1 for a scalar."""
    return reduce(mul, shape, 1)
