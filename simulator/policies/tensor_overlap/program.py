"""What a policy of overlap decides: in which order a device computes, begins collectives, and waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from simulator.workloads.operators import Call, Collective, Gemm


@dataclass(frozen=True, slots=True)
class Compute:
    """Run a `share` of operators one after the other."""

    calls: tuple[Call, ...]
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Put:
    """Begin a `share` of a collective, which runs after those begun before it and beside computation."""

    link: Collective
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until collective number `number`, from 1, is done."""

    number: int


Action = Compute | Put | Wait


class TensorOverlap(Protocol):
    """Orders the operators of a pass. The micro-batch is cut into `parts`, whose operators it is given.

    While collectives run, their kernels hold `units` of the device and take `accesses` of memory for each byte sent.
    """

    @property
    def parts(self) -> int: ...

    @property
    def units(self) -> float: ...

    @property
    def accesses(self) -> float: ...

    def program(self, calls: Sequence[Call]) -> list[Action]:
        """Actions for the calls of one part of the micro-batch, given in order; every part's are among them."""
        ...


def reduces(call: Call, after: Call) -> bool:
    """Whether the second call sums the result of the first, a product, over devices."""
    summing = isinstance(after.op, Collective) and after.op.pattern in ("all_reduce", "reduce_scatter")
    return summing and isinstance(call.op, Gemm)
