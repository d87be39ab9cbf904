"""Fixed offsets of buffers in one arena, chosen before anything runs. Each planner is one small class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from simulator.workloads.graphs.memory.sharing import Buffer


@dataclass(frozen=True, slots=True)
class Placement:
    """A buffer and the byte of the arena at which it begins."""

    life: Buffer
    offset: int

    @property
    def end(self) -> int:
        """The byte behind its last."""
        return self.offset + whole(self.life.bytes)


class Arena(Protocol):
    """Gives every buffer an offset, a multiple of `alignment` bytes; no two alive at once may share a byte."""

    def __call__(self, lives: Sequence[Buffer], alignment: int) -> list[Placement]: ...


Fit = Literal["first", "best"]


@dataclass(frozen=True, slots=True)
class GreedyBySize:
    """The largest buffer first, into a gap between those placed before it that are alive beside it.

    Pisarchyk and Lee, arXiv:2001.03288, algorithm 3, which TensorFlow Lite's planner follows: the smallest gap that is
    large enough ("best"), or the lowest ("first").
    """

    fit: Fit = "best"

    def __call__(self, lives: Sequence[Buffer], alignment: int) -> list[Placement]:
        return place(sorted(lives, key=lambda life: (-life.bytes, life.first)), alignment, self.fit)


@dataclass(frozen=True, slots=True)
class InOrder:
    """Buffers as they are first written, into the lowest gap ("first") or the smallest ("best"), as an allocator would.

    What is freed leaves holes that later buffers may not fill.
    """

    fit: Fit = "first"

    def __call__(self, lives: Sequence[Buffer], alignment: int) -> list[Placement]:
        return place(sorted(lives, key=lambda life: (life.first, -life.bytes)), alignment, self.fit)


def place(lives: Iterable[Buffer], alignment: int, fit: Fit) -> list[Placement]:
    """Place buffers one after the other; those before stay where they are."""
    found: list[Placement] = []
    for life in lives:
        beside = sorted((p for p in found if overlap(p.life, life)), key=lambda p: p.offset)
        found.append(Placement(life, _offset(beside, whole(life.bytes), alignment, fit)))
    return found


def overlap(a: Buffer, b: Buffer) -> bool:
    """Whether two buffers are there at the same time."""
    return a.first <= b.last and b.first <= a.last


def aligned(offset: int, alignment: int) -> int:
    """The next multiple of the alignment."""
    return -(-offset // alignment) * alignment


def whole(size: float) -> int:
    """Bytes rounded up: narrow formats may end inside one."""
    return -int(-size // 1)


def _offset(beside: Sequence[Placement], size: int, alignment: int, fit: Fit) -> int:
    at, best, smallest = 0, None, None
    for placed in beside:
        gap = placed.offset - at
        if gap >= size and (smallest is None or gap < smallest):
            best, smallest = at, gap
            if fit == "first":
                break
        at = max(at, aligned(placed.end, alignment))
    return at if best is None else best
