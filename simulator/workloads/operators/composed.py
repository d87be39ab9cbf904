"""Operators made of operators: rounds of work beside transfers, and kernels that others have joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from simulator.workloads.operators.base import Size
from simulator.workloads.operators.communication import Collective

if TYPE_CHECKING:
    from simulator.workloads.operators import AnyOperator


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


def main_of(op: AnyOperator) -> AnyOperator:
    """The kernel that others have joined, or the operator itself."""
    while isinstance(op, Fused):
        op = op.main
    return op
