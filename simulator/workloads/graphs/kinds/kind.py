"""An operator type as two functions of a node and its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import AnyOperator, Elementwise, Size

Attributes = Mapping[str, Any]
Operands = Sequence[Tensor | None]
# Operators that a node runs, and how often each.
Work = tuple[tuple[AnyOperator, Size], ...]
NOTHING: Work = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """`shapes` gives the shapes of results from attributes and operands; `work` the operators from results too.

    A `view` only names the same bytes otherwise. `pointwise` types make each number of their one result from the
    numbers at the same place (or one that is broadcast there), so that they can join the kernel that gives those.
    """

    shapes: Callable[[Attributes, Operands], tuple[Shape, ...]]
    work: Callable[[Attributes, Operands, Sequence[Tensor]], Work]
    view: bool = False
    pointwise: bool = False


def first(operands: Operands) -> Tensor:
    """The main operand, which no type leaves out."""
    found = operands[0]
    assert found is not None
    return found


def streamed(
    operands: Operands,
    results: Sequence[Tensor],
    flops: Size,
    kernel: str = "elementwise",
    *,
    reads: Size | None = None,
) -> Work:
    """A kernel that reads all operands once (or `reads` bytes), writes all results once, at so many FLOPs a result."""
    out = results[0]
    moved = sum((t.bytes for t in operands if t is not None), 0.0) if reads is None else reads
    written = sum((t.bytes for t in results), 0.0)
    size = out.elements * out.dtype.bytes
    return ((Elementwise(out.elements, moved / size, written / size, flops, out.dtype, kernel), 1),)


def agree(type: str, one: Size, other: Size) -> None:
    """Raise `InputError` for two numbers that have to be one; sizes over candidates are not looked at."""
    if isinstance(one, int) and isinstance(other, int) and one != other:
        raise InputError(f"{type}: sizes {one} and {other} have to be one: the graph does not fit together")


def same_shape(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """One result of the shape of the main operand."""
    return (first(operands).shape,)
